"""Reserved concurrency: Put, Get and DeleteFunctionConcurrency. It is the function's `max_environments`."""

from __future__ import annotations

import msgspec
from fastapi import Request, Response

from gateway.functions.provisioned import check_reserved, of_function
from gateway.functions.provisioning import check_provisions_fit
from gateway.functions.record import FunctionRecord
from gateway.functions.registry import not_found
from gateway.lambda_api.edge import Named, UsesFunctions, UsesServices, answer, find, no_content
from gateway.lambda_api.models import Concurrency
from gateway.lambda_api.operations import Operations, asked
from gateway.services import Services
from samovar.errors import InvalidParameterValue, ResourceNotFound, UntypedParameterValue
from samovar.names import LATEST, FunctionReference

router = Operations()


@router.operation("PutFunctionConcurrency")
async def put_function_concurrency(
    request: Request, reference: Named, services: UsesServices, functions: UsesFunctions
) -> Response:
    """PutFunctionConcurrency; 0 switches the function off."""
    _refuse_qualifier(reference)
    wanted = asked(request, Concurrency)
    reserved = wanted.reserved_concurrent_executions
    try:
        record = await services.registry.fresh(reference.arn)
    except ResourceNotFound as error:
        raise not_found(reference.arn, LATEST) from error  # in AWS's words, which are others everywhere else
    if (reserved or 0) > unreserved(services, but=record.arn):
        raise UntypedParameterValue(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
            "below its minimum value of [0]."
        )
    if reserved is not None:
        check_reserved(record, reserved)
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


def unreserved(services: Services, but: str | None = None) -> int:
    """Environments that no function (`but` one) has reserved or provisioned, of all this platform may have."""
    functions = [one for one in services.registry.all_cached() if one.arn != but]
    taken = sum(of_function(one) if (own := one.version.max_environments) is None else own for one in functions)
    return max(0, services.settings.max_environments - taken)


def _reserving(record: FunctionRecord, reserved: int | None) -> FunctionRecord:
    version = msgspec.structs.replace(record.version, max_environments=reserved)
    return msgspec.structs.replace(record, version=version)
