"""The door of the control API: nobody comes in whose request is not signed by a key that may do what it asks for."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.access import identity, operations
from gateway.access.guard import Guard
from gateway.access.refusals import refusal
from gateway.http.asgi import ClientGone, Request, send_response
from gateway.http.rendering import Response
from gateway.lambda_api.body import BODY_DEADLINE_S, largest
from samovar.errors import SamovarError
from samovar.settings import Settings


class Door:
    """An ASGI application before another. What is let in has `scope["state"]["caller"]`, an `AccessKey`."""

    def __init__(self, control: ASGIApp, guard: Guard, settings: Settings) -> None:
        self._control = control
        self._guard = guard
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or (scope["method"], scope["path"]) in operations.OPEN:
            await self._control(scope, receive, send)
            return
        request = Request(scope, receive)
        asked = operations.of(scope["method"], scope["path"], request.headers, scope["query_string"])
        try:
            await self._guard.admit(request, asked, largest(self._settings), BODY_DEADLINE_S)
            if asked.operation is operations.IDENTITY:
                await send_response(send, request, await self._identity(request))
                return
        except SamovarError as error:
            in_json = asked.operation.protocol == "query" and _wants_json(request)
            await send_response(send, request, refusal(error, asked.operation.protocol, request.id, in_json=in_json))
            return
        except ClientGone:
            return
        scope.setdefault("state", {})["caller"] = request.caller
        body = request.received()
        await self._control(scope, receive if body is None else _replaying(body, receive), send)

    async def _identity(self, request: Request) -> Response:
        body = await request.body(largest(self._settings))
        given = request.scope["query_string"] + b"&" + body
        action = parse_qs(given.decode("latin-1")).get("Action", [""])[0]
        assert request.caller is not None
        wants_json = _wants_json(request)
        return identity.answer(action, request.caller, self._settings.account, request.id, as_json=wants_json)


def _wants_json(request: Request) -> bool:
    """Services of the query protocol answer in JSON whom `Accept` says so; others read XML."""
    return request.headers.get(b"accept", b"").startswith(b"application/json")


def _replaying(body: bytes, receive: Receive) -> Receive:
    """The body that was read to verify its hash, once more; after it, what the client does next."""
    replay: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return replay.pop() if replay else await receive()

    return again
