"""When a function gets newer patch versions of its runtime: Put and GetRuntimeManagementConfig.

Runtimes are the host's own interpreters and images, which its operator updates: there is one version of each. The
choice is kept and told, and `Manual` names that version.
"""

from __future__ import annotations

import msgspec
from fastapi import Request, Response

from gateway.functions.record import Attached, RuntimeManagement, attached_to, with_attached
from gateway.lambda_api.edge import Named, UsesFunctions, UsesServices, answer, find
from gateway.lambda_api.models import RuntimeManagementAnswer, RuntimeManagementRequest
from gateway.lambda_api.operations import Operations, asked
from gateway.lambda_api.qualifiers import check_qualifier
from samovar.errors import InvalidParameterValue
from samovar.function import FunctionVersion
from samovar.names import FunctionReference, runtime_version_arn

router = Operations()


@router.operation("PutRuntimeManagementConfig")
async def put_runtime_management_config(
    request: Request, reference: Named, services: UsesServices, functions: UsesFunctions
) -> Response:
    """PutRuntimeManagementConfig."""
    wanted = asked(request, RuntimeManagementRequest)
    await check_qualifier(services, reference)
    record = await find(services, reference._replace(qualifier=None))
    _check(wanted, record.version)
    management = RuntimeManagement(update_on=wanted.update_runtime_on, version_arn=wanted.runtime_version_arn)

    def edit(found: Attached) -> Attached:
        return msgspec.structs.replace(found, runtime_management=management)

    await functions.attach(reference.arn, lambda record: with_attached(record, reference.qualifier, edit))
    return answer(_shown(reference, management))


def _check(wanted: RuntimeManagementRequest, version: FunctionVersion) -> None:
    arn = wanted.runtime_version_arn
    if wanted.update_runtime_on != "Manual":
        if arn is not None:
            raise InvalidParameterValue("RuntimeVersionArn can only be set when UpdateRuntimeOn is set to Manual.")
        return
    if arn is None:
        raise InvalidParameterValue("RuntimeVersionArn must be set when UpdateRuntimeOn is set to Manual.")
    if version.image is not None or arn != runtime_version_arn(version.region, version.runtime):
        raise InvalidParameterValue(
            f"Runtime version {arn} is not offered by Samovar: each runtime has the one version this host has, which "
            "GetFunctionConfiguration tells as RuntimeVersionConfig"
        )


@router.operation("GetRuntimeManagementConfig")
async def get_runtime_management_config(reference: Named, services: UsesServices) -> Response:
    """GetRuntimeManagementConfig."""
    await check_qualifier(services, reference)
    record = await find(services, reference._replace(qualifier=None))
    found = attached_to(record, reference.qualifier).runtime_management
    return answer(_shown(reference, RuntimeManagement(update_on="Auto") if found is None else found))


def _shown(reference: FunctionReference, management: RuntimeManagement) -> RuntimeManagementAnswer:
    arn = f"{reference.arn}:{reference.qualifier}" if reference.qualifier else reference.arn
    return RuntimeManagementAnswer(management.update_on, arn, management.version_arn)
