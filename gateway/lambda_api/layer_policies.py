"""Who may use a layer version: AddLayerVersionPermission, GetLayerVersionPolicy, RemoveLayerVersionPermission."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from gateway import policy
from gateway.lambda_api.edge import UsesServices, answer, no_content, read
from gateway.lambda_api.layer_models import AddLayerVersionPermissionRequest, PolicyAnswer, StatementAnswer
from gateway.lambda_api.layers import UsesLayers, layer_arn
from gateway.layers import Layers, LayerVersion
from samovar.errors import PreconditionFailed, ResourceNotFound

router = APIRouter(prefix="/2018-10-31/layers/{layer}/versions/{number}/policy")

Revision = Annotated[str | None, Query(alias="RevisionId")]


@router.post("")
async def add_layer_version_permission(
    layer: str, number: int, request: Request, services: UsesServices, layers: UsesLayers, revision: Revision = None
) -> Response:
    """AddLayerVersionPermission."""
    asked = await read(request, AddLayerVersionPermissionRequest)
    arn = layer_arn(services, layer)
    current = await _found(layers, arn, number)
    _check_revision(current, revision)
    condition = {"StringEquals": {"aws:PrincipalOrgID": asked.organization_id}}
    added = policy.statement(asked.statement_id, asked.principal, asked.action, f"{arn}:{number}", condition)
    changed = await layers.permit(arn, number, current, policy.with_statement(current.policy, added))
    return answer(StatementAnswer(policy.written(added), changed.revision_id), 201)


@router.get("")
async def get_layer_version_policy(layer: str, number: int, services: UsesServices, layers: UsesLayers) -> Response:
    """GetLayerVersionPolicy."""
    current = await _found(layers, layer_arn(services, layer), number)
    if not current.policy:
        raise ResourceNotFound("No policy is associated with the given resource.")
    return answer(PolicyAnswer(policy.document(current.policy), current.revision_id))


@router.delete("/{sid}")
async def remove_layer_version_permission(
    layer: str, number: int, sid: str, services: UsesServices, layers: UsesLayers, revision: Revision = None
) -> Response:
    """RemoveLayerVersionPermission."""
    arn = layer_arn(services, layer)
    current = await _found(layers, arn, number)
    _check_revision(current, revision)
    await layers.permit(arn, number, current, policy.without_statement(current.policy, sid))
    return no_content()


async def _found(layers: Layers, arn: str, number: int) -> LayerVersion:
    version = await layers.get(arn, number)
    if version is None:
        raise ResourceNotFound(f"Layer version {arn}:{number} does not exist.")
    return version


def _check_revision(current: LayerVersion, revision: str | None) -> None:
    if revision is not None and revision != current.revision_id:
        raise PreconditionFailed(
            "The Revision Id provided does not match the latest Revision Id. "
            "Call the GetLayerPolicy API to retrieve the latest Revision Id"
        )
