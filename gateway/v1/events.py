"""Asynchronous events of functions: list, show, replay, redrive, purge."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from gateway.events.book import Book
from gateway.functions.registry import not_found
from gateway.lambda_api.body import read
from gateway.lambda_api.edge import InPath, UsesServices, answer
from gateway.services import Services
from gateway.v1.moments import epoch_seconds
from gateway.v1.schema import described
from samovar.events import EventDetail, EventPage, EventsDone, EventSelection, EventState
from samovar.names import FunctionReference

router = APIRouter(prefix="/functions/{name}/events")

Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many.")]
Since = Annotated[str | None, Query(description="Epoch seconds or ISO 8601; leaves out what ended before.")]


@router.get("", responses=described.answers(EventPage))
async def events(
    reference: InPath,
    services: UsesServices,
    state: EventState | None = None,
    since: Since = None,
    limit: Limit = 100,
) -> Response:
    """Events of a function: those that wait, run or are delayed, then those that ended, newest first."""
    line = await _line(services, reference)
    since_ms = int(epoch_seconds(since, 0.0) * 1000)
    return answer(await _book(services).page(line, state, since_ms, limit))


@router.get("/{event_id}", responses=described.answers(EventDetail))
async def event(reference: InPath, event_id: str, services: UsesServices) -> Response:
    """One event with its payload."""
    return answer(await _book(services).find(await _line(services, reference), event_id))


@router.post("/replay", responses=described.answers(EventsDone), openapi_extra=described.takes(EventSelection))
async def replay(request: Request, reference: InPath, services: UsesServices) -> Response:
    """Run past events once more as new ones, against a version or alias if `qualifier` names one."""
    selection = await read(request, EventSelection)
    await services.registry.get(reference.arn, selection.qualifier)
    return answer(await _book(services).replay(reference.arn, selection))


@router.post("/redrive", responses=described.answers(EventsDone), openapi_extra=described.takes(EventSelection))
async def redrive(request: Request, reference: InPath, services: UsesServices) -> Response:
    """Have failed events run again under their own ids, with all their attempts before them."""
    selection = await read(request, EventSelection)
    await services.registry.get(reference.arn)
    now_ms = int(services.clock.epoch() * 1000)
    return answer(await _book(services).redrive(reference.arn, selection, now_ms))


@router.post("/purge", responses=described.answers(EventsDone), openapi_extra=described.takes(EventSelection))
async def purge(request: Request, reference: InPath, services: UsesServices) -> Response:
    """Forget events for good."""
    line = await _line(services, reference)
    return answer(await _book(services).purge(line, await read(request, EventSelection)))


def _book(services: Services) -> Book:
    return Book(services.redis, services.intake, services.doorbell.ring)


async def _line(services: Services, reference: FunctionReference) -> str:
    """The line of a function that exists or existed. Raises `ResourceNotFound`."""
    if not await services.store.existed(reference.arn):
        raise not_found(reference.arn)
    return reference.arn
