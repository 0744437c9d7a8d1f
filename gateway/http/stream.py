"""Streamed answers over HTTP: status and headers first, then each part as the function gives it.

AWS Lambda developer guide, "Response streaming for Lambda functions".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from msgspec.structs import replace
from starlette.types import Send

from gateway.http import answer as http_answer
from gateway.http.asgi import Request, send_parts, send_response
from gateway.http.contract import Invoker, Wanted
from gateway.http.rendering import Response
from gateway.link.answer_stream import AnswerStream
from gateway.link.invoker_link import Answer
from samovar.invocation import Outcome

HTTP_TYPE: Final = "application/vnd.awslambda.http-integration-response"
_MOST_METADATA: Final = 64 * 1024
"""Bytes of status, headers and cookies as JSON."""


def streaming(wanted: Wanted) -> Wanted:
    """The same errand, whose answer may come in parts."""
    call = replace(wanted.errand.call, streaming=True)
    return replace(wanted, errand=wanted.errand._replace(call=call))


@asynccontextmanager
async def watched(request: Request, answer: AnswerStream) -> AsyncIterator[None]:
    """Let go of the answer as soon as the client hangs up: the function runs on, and nobody waits for it."""
    watching = asyncio.ensure_future(request.gone())
    watching.add_done_callback(lambda _: answer.abandon())
    try:
        yield
    finally:
        watching.cancel()


class HttpStream:
    """The answer to a request that a function may answer in parts (`SendsItself`)."""

    def __init__(
        self, invoker: Invoker, request: Request, wanted: Wanted, dress: Callable[[Response], Response]
    ) -> None:
        """`dress` gives a response the headers that are not the function's own."""
        self._invoker = invoker
        self._request = request
        self._wanted = wanted
        self._dress = dress

    async def send(self, send: Send) -> None:
        """See `SendsItself`. An error in the middle ends the connection, so that nobody takes the answer for whole."""
        request = self._request
        async with self._invoker.stream(*streaming(self._wanted).errand) as answer:
            if answer.head is None:
                response = self._wanted.settle(Answer(answer.ending, answer.payload))
                await send_response(send, request, response)
                return
            async with watched(request, answer):
                parts = answer.parts()
                start = await _start(answer.head.content_type, parts)
                if start is None:
                    await send_response(send, request, self._dress(http_answer.BAD_GATEWAY))
                    return
                head = self._dress(Response(start.status, start.headers))
                await send_parts(send, request, head.status, head.headers, _whole(start.body, parts, answer))


async def _start(content_type: str, parts: AsyncIterator[bytes]) -> Response | None:
    """Status, headers and the first of the body; `None` where the function did not get that far, or gives none."""
    if content_type != HTTP_TYPE:
        return Response(200, http_answer.headers_of({"content-type": content_type}))
    begun = b""
    async for part in parts:
        begun += part
        metadata, found, body = begun.partition(http_answer.DELIMITER)
        if found:
            return http_answer.start_of_stream(metadata, body)
        if len(begun) > _MOST_METADATA:
            break
    return None


async def _whole(first: bytes, parts: AsyncIterator[bytes], answer: AnswerStream) -> AsyncIterator[bytes]:
    """The body. Raises `CutShort` when the function failed, or its client left, before its end."""
    if first:
        yield first
    async for part in parts:
        yield part
    if answer.is_abandoned or answer.ending.outcome is not Outcome.OK:
        raise CutShort


class CutShort(Exception):
    """The answer has begun and cannot be completed."""
