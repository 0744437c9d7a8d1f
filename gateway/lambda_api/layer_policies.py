"""Who may use a layer version: AddLayerVersionPermission, GetLayerVersionPolicy, RemoveLayerVersionPermission."""

from __future__ import annotations

from typing import NamedTuple

from fastapi import Request, Response

from gateway.functions import policy
from gateway.functions.layers import Layers, LayerVersion
from gateway.lambda_api.edge import Region, UsesServices, answer, no_content
from gateway.lambda_api.layer_models import (
    AddLayerVersionPermissionRequest,
    LayerVersionName,
    RemoveLayerVersionPermissionRequest,
)
from gateway.lambda_api.layers import UsesLayers, layer_arn
from gateway.lambda_api.models import PolicyAnswer, StatementAnswer
from gateway.lambda_api.operations import Operations, asked
from samovar.errors import PreconditionFailed, ResourceNotFound

router = Operations()


class _Found(NamedTuple):
    arn: str
    number: int
    version: LayerVersion


@router.operation("AddLayerVersionPermission")
async def add_layer_version_permission(
    request: Request, region: Region, services: UsesServices, layers: UsesLayers
) -> Response:
    """AddLayerVersionPermission."""
    wanted = asked(request, AddLayerVersionPermissionRequest)
    found = await _found(layers, layer_arn(services, region, wanted.layer_name), wanted)
    condition = {"StringEquals": {"aws:PrincipalOrgID": wanted.organization_id}}
    resource = f"{found.arn}:{found.number}"
    added = policy.statement(wanted.statement_id, wanted.principal, wanted.action, resource, condition)
    changed = await layers.permit(*found, policy.with_statement(found.version.policy, added))
    return answer(StatementAnswer(policy.written(added), changed.revision_id), 201)


@router.operation("GetLayerVersionPolicy")
async def get_layer_version_policy(
    request: Request, region: Region, services: UsesServices, layers: UsesLayers
) -> Response:
    """GetLayerVersionPolicy."""
    wanted = asked(request, LayerVersionName)
    version = (await _found(layers, layer_arn(services, region, wanted.layer_name), wanted)).version
    if not version.policy:
        raise ResourceNotFound("No policy is associated with the given resource.")
    return answer(PolicyAnswer(policy.document(version.policy), version.revision_id))


@router.operation("RemoveLayerVersionPermission")
async def remove_layer_version_permission(
    request: Request, region: Region, services: UsesServices, layers: UsesLayers
) -> Response:
    """RemoveLayerVersionPermission."""
    wanted = asked(request, RemoveLayerVersionPermissionRequest)
    found = await _found(layers, layer_arn(services, region, wanted.layer_name), wanted)
    await layers.permit(*found, policy.without_statement(found.version.policy, wanted.statement_id))
    return no_content()


async def _found(layers: Layers, arn: str, wanted: LayerVersionName) -> _Found:
    """The version a request names. Raises `ResourceNotFound`, and `PreconditionFailed` for an old revision."""
    version = await layers.get(arn, wanted.version_number)
    if version is None:
        raise ResourceNotFound(f"Layer version {arn}:{wanted.version_number} does not exist.")
    if wanted.revision_id is not None and wanted.revision_id != version.revision_id:
        raise PreconditionFailed(
            "The Revision Id provided does not match the latest Revision Id. "
            "Call the GetLayerPolicy API to retrieve the latest Revision Id"
        )
    return _Found(arn, wanted.version_number, version)
