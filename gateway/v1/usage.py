"""Usage of functions and their single invocations."""

from __future__ import annotations

import logging
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query, Response

from gateway.functions.functions import ask
from gateway.functions.registry import not_found
from gateway.lambda_api.edge import InPath, Region, UsesServices, answer
from gateway.services import Services
from gateway.usage import Window, read_reading, read_readings, read_usage
from gateway.v1.moments import epoch_seconds
from gateway.v1.schema import described
from samovar.answers import Usage
from samovar.errors import ResourceNotFound, SamovarError
from samovar.explanation import Explanation, explain, explain_refusal
from samovar.invocation import Reading
from samovar.link.operations import RefusedCall, RefusedQuestion
from samovar.names import FunctionReference

router = APIRouter()
_DAY_S: Final = 86_400
_log = logging.getLogger(__name__)

Since = Annotated[str | None, Query(description="Epoch seconds or ISO 8601; by default a day ago.")]
Until = Annotated[str | None, Query(description="Epoch seconds or ISO 8601; by default now.")]


@router.get("/usage", responses=described.answers(Usage))
async def usage(region: Region, services: UsesServices, since: Since = None, until: Until = None) -> Response:
    """What all functions used together, and each of them, deleted ones included."""
    window = _window(services, since, until)
    complete = await _flushed(services)
    arns = await services.store.ever(region)
    return answer(await read_usage(services.redis, arns, window, complete=complete, each=True))


@router.get("/functions/{name}/usage", responses=described.answers(Usage))
async def function_usage(
    reference: InPath, services: UsesServices, since: Since = None, until: Until = None
) -> Response:
    """What one function used. A deleted function's usage is kept."""
    window = _window(services, since, until)
    arn = await _known(services, reference)
    complete = await _flushed(services)
    return answer(await read_usage(services.redis, [arn], window, complete=complete, each=False))


@router.get("/functions/{name}/invocations", responses=described.answers(list[Reading]))
async def invocations(
    reference: InPath,
    services: UsesServices,
    since: Since = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 100,
) -> Response:
    """The meter readings of a function's latest invocations, newest first."""
    arn = await _known(services, reference)
    oldest = epoch_seconds(since, services.clock.epoch() - _DAY_S)
    await _flushed(services)
    return answer(await read_readings(services.redis, arn, int(oldest * 1000), limit))


@router.get("/invocations/{request_id}", responses=described.answers(Reading))
async def invocation(request_id: str, services: UsesServices) -> Response:
    """The meter reading of one invocation."""
    return answer(await _reading(services, request_id))


@router.get("/invocations/{request_id}/why", responses=described.answers(Explanation))
async def why(request_id: str, services: UsesServices) -> Response:
    """Why one invocation was cold, waited or was refused, and what would have avoided it."""
    try:
        return answer(explain(await _reading(services, request_id)))
    except ResourceNotFound:
        refused = await _refused(services, request_id)
        if refused is None:
            raise
        return answer(explain_refusal(refused))


async def _refused(services: Services, request_id: str) -> RefusedCall | None:
    """A call that the invoker refused and remembers. `None` when it is away, too."""
    try:
        body = await ask(services.link, "refused", msgspec.json.encode(RefusedQuestion(request_id)))
    except SamovarError as error:
        _log.warning("the invoker cannot say whether it refused %s: %s", request_id, error)
        return None
    return msgspec.json.decode(body, type=RefusedCall | None)


async def _reading(services: Services, request_id: str) -> Reading:
    await _flushed(services)
    reading = await read_reading(services.redis, request_id)
    if reading is None:
        hours = services.settings.reading_retention_h
        raise ResourceNotFound(
            f"No invocation {request_id} is known: no call of this id has ended, or it ended more than {hours} hours "
            "ago, after which readings are given up (setting reading_retention_h). Of refused calls, only the last "
            "thousand since the invoker was started are known"
        )
    return reading


def _window(services: Services, since: str | None, until: str | None) -> Window:
    now = services.clock.epoch()
    end = epoch_seconds(until, now)
    return Window.over(epoch_seconds(since, end - _DAY_S), end, now)


async def _known(services: Services, reference: FunctionReference) -> str:
    """The ARN of a function that exists or existed. Raises `ResourceNotFound`."""
    if not await services.store.existed(reference.arn):
        raise not_found(reference.arn)
    return reference.arn


async def _flushed(services: Services) -> bool:
    """Have the invoker hand over what it has metered, so that every answered call is counted."""
    try:
        await ask(services.link, "flush")
    except SamovarError as error:
        _log.warning("usage may lack the latest calls: %s", error)
        return False
    return True
