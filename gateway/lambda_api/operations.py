"""Routes of APIs in REST's form by the names of their operations; the API's model says their methods and paths.

Before an operation's own function is called, everything its request gives (in path, query, headers and body) has been
gathered under the model's names for it and checked against the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar, cast

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from gateway.lambda_api import constraints, model
from gateway.lambda_api.body import json_body, raw_body
from samovar.errors import SerializationFailed

T = TypeVar("T")
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
_SWITCHES: Final = {"true": True, "false": False}


class OperationRoute(APIRoute):
    """A route that also looks at the query, where the model tells two operations apart by it."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """See Starlette."""
        match, child = super().matches(scope)
        wanted = _stated(self.name)[1].query
        if wanted and wanted.encode() not in scope["query_string"].split(b"&"):
            return Match.NONE, {}
        return match, child


class Operations(APIRouter):
    """A router whose routes are operations of a model, that of the Lambda API unless another is named."""

    def __init__(self, api: model.Api = "lambda") -> None:
        super().__init__()
        self._api = api

    def operation(self, name: str) -> Callable[[Endpoint], Endpoint]:
        """Have the decorated function answer the operation of that name."""
        stated = model.operations(self._api)[name]

        def register(endpoint: Endpoint) -> Endpoint:
            # ARNs, which may have slashes, come in members named for what they name.
            path = stated.path.replace("{Resource}", "{Resource:path}").replace("Arn}", "Arn:path}")
            self.add_api_route(
                path,
                endpoint,
                methods=[stated.method],
                name=name if self._api == "lambda" else f"{self._api}:{name}",
                dependencies=[Depends(_gather)],
                route_class_override=OperationRoute,
            )
            if stated.query:  # before the operation that has the same path and asks for nothing in the query
                self.routes.insert(0, self.routes.pop())
            return endpoint

        return register


def asked(request: Request, kind: type[T]) -> T:
    """What the request gives, as a record. Raises `SerializationFailed` for what is no Base64."""
    try:
        return msgspec.convert(request.state.given, kind)
    except msgspec.ValidationError as error:
        raise SerializationFailed(str(error)) from error


async def _gather(request: Request) -> None:
    """Leave what the request gives in `request.state.given`, checked.

    Raises `SerializationFailed` and `ValidationFailed`; what `json_body` raises.
    """
    api, operation = _stated(request.scope["route"].name)
    root = model.Shape("structure") if operation.input is None else model.shape(operation.input, api)
    given: dict[str, Any] = dict(_outside_the_body(request, root, api))
    if root.payload is not None and model.shape(root.members[root.payload].shape, api).type == "blob":
        if body := await raw_body(request):
            given[root.payload] = body
    elif any(member.location is None for member in root.members.values()):
        body = await json_body(request)
        if not isinstance(body, dict):
            raise SerializationFailed("The request body must be a JSON object")
        given |= {name: value for name, value in body.items() if name not in given}
    constraints.check(operation.name, given, api)
    request.state.given = given


def _stated(route: str) -> tuple[model.Api, model.Operation]:
    """What the model says of a route's operation, and which model that is."""
    api, found, name = route.rpartition(":")
    if not found:
        return "lambda", model.operations()[name]
    of = cast(model.Api, api)
    return of, model.operations(of)[name]


def _outside_the_body(request: Request, root: model.Shape, api: model.Api) -> Iterator[tuple[str, Any]]:
    for name, member in root.members.items():
        where = member.location_name or name
        if member.location == "uri":
            yield name, _parsed(model.shape(member.shape, api), [request.path_params[where]])
        elif member.location == "querystring" and where in request.query_params:
            yield name, _parsed(model.shape(member.shape, api), request.query_params.getlist(where))
        elif member.location == "header" and where in request.headers:
            yield name, request.headers[where]


def _parsed(kind: model.Shape, texts: list[str]) -> Any:
    """The value of a parameter in path or query, where everything is text."""
    if kind.type == "list":
        return texts
    text = texts[-1]
    if kind.type in ("integer", "long"):
        try:
            return int(text)
        except ValueError as error:
            raise SerializationFailed("STRING_VALUE can not be converted to an Integer") from error
    return _SWITCHES.get(text.lower(), text) if kind.type == "boolean" else text
