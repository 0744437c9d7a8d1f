"""InvokeWithResponseStream: run a function and answer with frames of an event stream as it gives them.

AWS Lambda API reference, "InvokeWithResponseStream".
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import msgspec
from starlette.types import Send

from gateway.http.asgi import Request, send_parts
from gateway.http.contract import Invoker, SendsItself, Wanted
from gateway.http.rendering import Response
from gateway.http.stream import streaming, watched
from gateway.lambda_api.invoke import InvokeApi
from samovar.invocation import AnswerHead, Outcome
from samovar.link import event_stream
from samovar.link.wire import CHUNK_SIZE

_PREFIX: Final = "/2021-11-15/functions/"
_SUFFIX: Final = "/response-streaming-invocations"


def function_name_in(path: str) -> str | None:
    """The FunctionName in the path of an InvokeWithResponseStream call; `None` for any other path."""
    if path.startswith(_PREFIX) and path.endswith(_SUFFIX):
        name = path[len(_PREFIX) : -len(_SUFFIX)]
        return name if name and "/" not in name else None
    return None


class InvokeStreamApi:
    """Answers `POST /2021-11-15/functions/{FunctionName}/response-streaming-invocations`."""

    def __init__(self, invoke: InvokeApi, invoker: Invoker) -> None:
        self._invoke = invoke
        self._invoker = invoker

    def wanted(self, request: Request, where: str, body: bytes) -> Wanted | None:
        """See `Trigger`. A stream takes its time: it is never served at once."""
        return None

    async def answer(self, request: Request, where: str) -> Response | SendsItself:
        """See `Trigger`. Raises the errors the Lambda API names."""
        asked = await self._invoke.asked(request, where, "InvokeWithResponseStream")
        return asked if isinstance(asked, Response) else _EventStream(self._invoker, request, asked)


class _EventStream:
    """The answer to one call (`SendsItself`)."""

    def __init__(self, invoker: Invoker, request: Request, wanted: Wanted) -> None:
        self._invoker = invoker
        self._request = request
        self._wanted = wanted

    async def send(self, send: Send) -> None:
        """See `SendsItself`."""
        request = self._request
        async with self._invoker.stream(*streaming(self._wanted).errand) as answer:
            version = answer.ending.version if answer.head is None else answer.head.version
            headers = [
                (b"content-type", event_stream.MEDIA_TYPE.encode()),
                (b"x-amzn-requestid", request.id.encode()),
                (b"x-amz-executed-version", version.encode()),
            ]

            async def frames() -> AsyncIterator[bytes]:
                if answer.head is not None:
                    async for part in answer.parts():
                        yield _chunk(part)
                    if answer.is_abandoned:
                        return
                elif answer.ending.outcome is Outcome.OK:
                    for start in range(0, len(answer.payload), CHUNK_SIZE):
                        yield _chunk(answer.payload[start : start + CHUNK_SIZE])
                yield _complete(answer.ending, answer.payload)

            async with watched(request, answer):
                await send_parts(send, request, 200, headers, frames())


def _chunk(part: bytes) -> bytes:
    return event_stream.event("PayloadChunk", part, "application/octet-stream")


def _complete(ending: AnswerHead, payload: bytes) -> bytes:
    """The last frame: how the call ended, and the tail of its log where the caller asked for that."""
    members: dict[str, str] = {}
    if ending.outcome is not Outcome.OK:
        members = {"ErrorCode": _error_type(payload), "ErrorDetails": payload.decode(errors="replace")}
    if ending.log_tail is not None:
        members["LogResult"] = ending.log_tail
    return event_stream.event("InvokeComplete", msgspec.json.encode(members), "application/json")


class _Error(msgspec.Struct):
    errorType: str = "Unhandled"


def _error_type(payload: bytes) -> str:
    try:
        return msgspec.json.decode(payload, type=_Error).errorType
    except msgspec.MsgspecError:
        return _Error().errorType
