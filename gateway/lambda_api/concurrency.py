"""Reserved concurrency: Put, Get and DeleteFunctionConcurrency. It is the function's `max_environments`."""

from __future__ import annotations

import msgspec
from fastapi import Request, Response

from gateway.lambda_api.edge import Named, UsesFunctions, UsesServices, answer, find, no_content
from gateway.lambda_api.models import Concurrency
from gateway.lambda_api.operations import Operations, asked
from gateway.provisioning import check_provisions_fit
from gateway.record import FunctionRecord
from samovar.errors import InvalidParameterValue
from samovar.names import FunctionReference

router = Operations()

_MOST = 10_000
"""As many environments as a whole host may have (`Settings.max_environments`)."""


@router.operation("PutFunctionConcurrency")
async def put_function_concurrency(
    request: Request, reference: Named, services: UsesServices, functions: UsesFunctions
) -> Response:
    """PutFunctionConcurrency; 0 switches the function off."""
    _refuse_qualifier(reference)
    wanted = asked(request, Concurrency)
    reserved = wanted.reserved_concurrent_executions
    if reserved is not None and reserved > _MOST:
        raise InvalidParameterValue(f"ReservedConcurrentExecutions = {reserved} is not allowed: at most {_MOST}")
    record = await services.registry.fresh(reference.arn)
    await check_provisions_fit(services, _reserving(record, reserved).version)
    await functions.attach(reference.arn, lambda record: _reserving(record, reserved))
    return answer(wanted)


@router.operation("GetFunctionConcurrency")
async def get_function_concurrency(reference: Named, services: UsesServices) -> Response:
    """GetFunctionConcurrency."""
    _refuse_qualifier(reference)
    record = await find(services, reference)
    return answer(Concurrency(record.version.max_environments))


@router.operation("DeleteFunctionConcurrency")
async def delete_function_concurrency(reference: Named, functions: UsesFunctions) -> Response:
    """DeleteFunctionConcurrency."""
    _refuse_qualifier(reference)
    await functions.attach(reference.arn, lambda record: _reserving(record, None))
    return no_content()


def _refuse_qualifier(reference: FunctionReference) -> None:
    if reference.qualifier is not None:
        raise InvalidParameterValue(
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
            "Please specify either a function name or an unqualified function ARN."
        )


def _reserving(record: FunctionRecord, reserved: int | None) -> FunctionRecord:
    version = msgspec.structs.replace(record.version, max_environments=reserved)
    return msgspec.structs.replace(record, version=version)
