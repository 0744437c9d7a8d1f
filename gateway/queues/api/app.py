"""SQS's API: requests that `gateway.queues.gate` has told from others, from their signature to their answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from functools import partial
from typing import Final

from starlette.types import Receive, Scope, Send

from gateway.access.guard import Guard
from gateway.access.operations import Asked
from gateway.access.operations import Operation as Needed
from gateway.http.asgi import BODY_DEADLINE_S, ClientGone, Request, send_response
from gateway.http.rendering import Response
from gateway.http.room import Room
from gateway.namespaces import region_of
from gateway.queues.api import json_protocol, operations, query_json, query_protocol
from gateway.queues.api.call import Answer, Call
from gateway.queues.api.operations import Operation
from gateway.queues.api.requests import ReceiveMessage
from gateway.queues.api.requests import Request as Given
from gateway.queues.ending import end
from gateway.queues.errors import InvalidAction, NoAction
from gateway.queues.gate import TARGET
from gateway.services import Services
from samovar.errors import SamovarError, ServiceFailure, ServiceUnavailable

MOST_BYTES: Final = 8 * 1024 * 1024
"""Of a request: a message of 1 MiB in which every character is escaped."""
_log = logging.getLogger(__name__)


class SqsApi:
    """Answers requests for SQS."""

    def __init__(self, services: Services, guard: Guard) -> None:
        self._services = services
        self._guard = guard
        self._room = Room()

    async def __call__(self, scope: Scope, receive: Receive, send: Send, *, as_json: bool) -> None:
        """Handle one request."""
        request = Request(scope, receive, self._room)
        try:
            response = await self._answered(request, as_json)
        except ClientGone:
            return
        finally:
            request.let_go()
        await send_response(send, request, response)

    async def _answered(self, request: Request, as_json: bool) -> Response:
        refusal = json_protocol.refusal if as_json else partial(query_protocol.refusal, as_json=_wants_json(request))
        try:
            return await (self._json(request) if as_json else self._query(request))
        except SamovarError as error:
            return refusal(error, request.id)
        except asyncio.CancelledError:  # the server cancels a request only when draining has run out of time
            request.close = True
            return json_protocol.refusal(ServiceUnavailable("Samovar is shutting down.", retry_after=1.0), request.id)
        except (ClientGone, GeneratorExit):
            raise
        except Exception:  # noqa: BLE001 - the last line of defence: becomes an answer and a traceback
            _log.exception("request %s failed", request.id)
            failure = ServiceFailure(f"Samovar failed unexpectedly; its log has the reason under {request.id}")
            return refusal(failure, request.id)

    async def _json(self, request: Request) -> Response:
        operation = operations.find(request.headers[b"x-amz-target"].removeprefix(TARGET).decode("latin-1"))
        needed = Needed("sqs", operation.name, operation.needs, "json")
        await self._guard.admit(request, Asked(needed), MOST_BYTES, BODY_DEADLINE_S)
        given = json_protocol.decode(operation.request, await request.body(MOST_BYTES))
        return json_protocol.answer(await self._served(request, operation, given), request.id)

    async def _query(self, request: Request) -> Response:
        unknown = Needed("sqs", "query", None, "query")
        region, content = await self._guard.authenticate(request, Asked(unknown), MOST_BYTES, BODY_DEADLINE_S)
        is_form = request.headers.get(b"content-type", b"").startswith(b"application/x-www-form-urlencoded")
        fields = query_protocol.fields_of(request.scope["query_string"], content if is_form else b"")
        if "Action" not in fields:
            raise NoAction("The request names no Action.")
        operation = operations.find(fields["Action"])
        needed = unknown._replace(name=operation.name, needs=operation.needs)
        path = request.scope["path"]
        self._guard.authorise(request, Asked(needed), region, path, content)
        if path != "/":
            if not operation.is_of_queue:
                raise InvalidAction(f"The action {operation.name} is not valid for this endpoint.")
            fields.setdefault("QueueUrl", path)
        answer = await self._served(request, operation, query_protocol.decode(operation, fields))
        return query_protocol.answer(operation.name, answer, request.id, as_json=_wants_json(request))

    async def _served(self, request: Request, operation: Operation, given: Given) -> Answer | None:
        operations.check_required(operation, given)
        assert request.caller is not None, "nobody comes in without"
        settings, scope = self._services.settings, request.scope
        host = request.headers.get(b"host", b"").decode("latin-1") or f"{settings.host}:{settings.port}"
        call = Call(
            queues=self._services.queues,
            moves=self._services.moves,
            region=region_of(request.headers, scope["query_string"], settings.region),
            base=f"{scope['scheme']}://{host}",
            sender=request.caller.user_id(settings.account),
            trace=_trace(request),
        )
        work = operation.handler(call, given)
        if isinstance(given, ReceiveMessage) and given.wait_time_seconds != 0:
            return await _while_connected(request, work)
        return await work


def _wants_json(request: Request) -> bool:
    """Whether a form is to be answered in JSON."""
    return request.headers.get(b"accept", b"").split(b";")[0].strip().lower() == query_json.MEDIA_TYPE


def _trace(request: Request) -> str | None:
    given = request.headers.get(b"x-amzn-trace-id")
    return None if given is None else given.decode("latin-1")


async def _while_connected(request: Request, work: Awaitable[Answer | None]) -> Answer | None:
    """What `work` comes to. Raises `ClientGone` if the client hangs up first: then no message must be received."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(request.gone())
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return working.result()
    finally:
        for task in (working, leaving):
            await end(task)
