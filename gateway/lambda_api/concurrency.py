"""Reserved concurrency: Put, Get and DeleteFunctionConcurrency. It is the function's `max_environments`."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Request, Response

from gateway.lambda_api.edge import UsesFunctions, UsesServices, answer, find, no_content, read, resolve_latest
from gateway.lambda_api.models import Concurrency
from gateway.lambda_api.validation import Constraints
from gateway.provisioning import check_provisions_fit
from gateway.record import FunctionRecord

router = APIRouter()

_MOST = 10_000
"""As many environments as a whole host may have (`Settings.max_environments`)."""


@router.put("/2017-10-31/functions/{name}/concurrency")
async def put_function_concurrency(
    name: str, request: Request, services: UsesServices, functions: UsesFunctions
) -> Response:
    """PutFunctionConcurrency; 0 switches the function off."""
    reference = resolve_latest(services, name)
    asked = await read(request, Concurrency)
    reserved = asked.reserved_concurrent_executions
    constraints = Constraints()
    constraints.check(reserved is not None, reserved, "reservedConcurrentExecutions", "not be null")
    constraints.within(reserved, "reservedConcurrentExecutions", 0, _MOST)
    constraints.enforce()
    record = await services.registry.fresh(reference.name)
    await check_provisions_fit(services, _reserving(record, reserved).version)
    await functions.attach(reference.name, lambda record: _reserving(record, reserved))
    return answer(asked)


@router.get("/2019-09-30/functions/{name}/concurrency")
async def get_function_concurrency(name: str, services: UsesServices) -> Response:
    """GetFunctionConcurrency."""
    record = await find(services, name)
    return answer(Concurrency(record.version.max_environments))


@router.delete("/2017-10-31/functions/{name}/concurrency")
async def delete_function_concurrency(name: str, services: UsesServices, functions: UsesFunctions) -> Response:
    """DeleteFunctionConcurrency."""
    reference = resolve_latest(services, name)
    await functions.attach(reference.name, lambda record: _reserving(record, None))
    return no_content()


def _reserving(record: FunctionRecord, reserved: int | None) -> FunctionRecord:
    version = msgspec.structs.replace(record.version, max_environments=reserved)
    return msgspec.structs.replace(record, version=version)
