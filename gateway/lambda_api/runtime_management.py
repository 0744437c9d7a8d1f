"""When a function gets newer patch versions of its runtime: Put and GetRuntimeManagementConfig.

Runtimes are the host's own interpreters and images, which its operator updates. `Auto` and `FunctionUpdate` are kept
and told; there are no versions of AWS's runtimes to pin a function to.
"""

from __future__ import annotations

import msgspec
from fastapi import Request, Response

from gateway.lambda_api.edge import Named, UsesFunctions, UsesServices, answer, find
from gateway.lambda_api.models import RuntimeManagementAnswer, RuntimeManagementRequest
from gateway.lambda_api.operations import Operations, asked
from gateway.lambda_api.qualifiers import check_qualifier
from gateway.record import Attached, RuntimeManagement, attached_to, with_attached
from samovar.errors import InvalidParameterValue
from samovar.names import FunctionReference

router = Operations()


@router.operation("PutRuntimeManagementConfig")
async def put_runtime_management_config(
    request: Request, reference: Named, services: UsesServices, functions: UsesFunctions
) -> Response:
    """PutRuntimeManagementConfig."""
    wanted = asked(request, RuntimeManagementRequest)
    update_on = wanted.update_runtime_on
    if update_on == "Manual" or wanted.runtime_version_arn is not None:
        raise InvalidParameterValue(
            "UpdateRuntimeOn = Manual and RuntimeVersionArn are not offered by Samovar: runtimes are this host's own "
            "interpreters and images, and change when its operator updates them"
        )
    await check_qualifier(services, reference)

    def edit(found: Attached) -> Attached:
        return msgspec.structs.replace(found, runtime_management=RuntimeManagement(update_on=update_on))

    await functions.attach(reference.arn, lambda record: with_attached(record, reference.qualifier, edit))
    return answer(_shown(reference, update_on))


@router.operation("GetRuntimeManagementConfig")
async def get_runtime_management_config(reference: Named, services: UsesServices) -> Response:
    """GetRuntimeManagementConfig."""
    await check_qualifier(services, reference)
    record = await find(services, reference._replace(qualifier=None))
    found = attached_to(record, reference.qualifier).runtime_management
    return answer(_shown(reference, "Auto" if found is None else found.update_on))


def _shown(reference: FunctionReference, update_on: str) -> RuntimeManagementAnswer:
    arn = f"{reference.arn}:{reference.qualifier}" if reference.qualifier else reference.arn
    return RuntimeManagementAnswer(update_on, arn)
