"""Routes to functions below `/api/`, and the stacks they mostly come from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Meta

from gateway.lambda_api.body import read
from gateway.lambda_api.edge import InPath, Region, UsesFunctions, UsesServices, answer, find, no_content
from gateway.stacks import StackStore
from gateway.v1.schema import described
from samovar.errors import InvalidParameterValue
from samovar.stack import MAX_ROUTES, Route, Stack

router = APIRouter()


class RoutesRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The routes a function is to have."""

    routes: Annotated[tuple[Route, ...], Meta(max_length=MAX_ROUTES)]


@router.get("/functions/{name}/routes", responses=described.answers(list[Route]))
async def get_routes(reference: InPath, services: UsesServices) -> Response:
    """The routes that lead to a function."""
    return answer((await find(services, reference)).routes)


@router.put(
    "/functions/{name}/routes", responses=described.answers(list[Route]), openapi_extra=described.takes(RoutesRequest)
)
async def put_routes(request: Request, reference: InPath, functions: UsesFunctions) -> Response:
    """Replace the routes that lead to a function; with nothing, none does."""
    routes = (await read(request, RoutesRequest)).routes
    if len({(route.api, route.method, route.path) for route in routes}) < len(routes):
        raise InvalidParameterValue("A function has each method and path of an API once")
    record = await functions.attach(reference.arn, lambda record: msgspec.structs.replace(record, routes=routes))
    return answer(record.routes)


@router.get("/stacks", responses=described.answers(list[Stack]))
async def list_stacks(region: Region, services: UsesServices) -> Response:
    """The deployed templates, in the order of their names."""
    return answer(await StackStore(services.redis).all(region))


@router.get("/stacks/{stack}", responses=described.answers(Stack))
async def get_stack(stack: str, region: Region, services: UsesServices) -> Response:
    """What belongs to a deployed template."""
    return answer(await StackStore(services.redis).get(region, stack))


@router.put("/stacks/{stack}", responses=described.answers(Stack), openapi_extra=described.takes(Stack))
async def put_stack(request: Request, stack: str, region: Region, services: UsesServices) -> Response:
    """Keep what belongs to a deployed template. Nothing is made or removed by it."""
    given = await read(request, Stack)
    if given.name != stack:
        raise InvalidParameterValue(f"The stack in the path is {stack}, the one in the body {given.name}")
    now = datetime.fromtimestamp(services.clock.epoch(), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    kept = msgspec.structs.replace(given, updated=now)
    await StackStore(services.redis).put(region, kept)
    return answer(kept)


@router.delete("/stacks/{stack}", status_code=204)
async def delete_stack(stack: str, region: Region, services: UsesServices) -> Response:
    """Forget a deployed template. What belongs to it stays."""
    await StackStore(services.redis).remove(region, stack)
    return no_content()
