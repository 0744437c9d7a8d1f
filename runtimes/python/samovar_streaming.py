"""Answers that a handler gives in parts: generators, and handlers that take a `response_stream`.

Where the caller asked for a stream, each part goes to the invoker as it comes (docs/runtime-protocol.md, "Streamed
answers"); where not, the parts are collected and are the answer. Sending waits while the caller is slow.

Standard library only, Python 3.9 and later; imported once by the keeper, before it forks.
"""

from __future__ import annotations

import base64
import json
from types import AsyncGeneratorType, GeneratorType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from runtimes.python.bootstrap import Connection

CHUNK, RESULT = 3, 16
HTTP_TYPE = "application/vnd.awslambda.http-integration-response"
"""Of a stream that begins with status, headers and cookies as JSON, and eight zero bytes (AWS's own name for it)."""
DELIMITER = bytes(8)
_ARGUMENT = "response_stream"
_ANNOTATION = "ResponseStream"
_IS_ASYNC_GENERATOR, _IS_COROUTINE = 0x200, 0x80
"""Flags of a function's code (`inspect.CO_ASYNC_GENERATOR`, `CO_COROUTINE`), without importing `inspect`."""


class Streaming:
    """A call of a handler that writes to a stream; it begins when there is something to write to."""

    def __init__(self, begin: Callable[[ResponseStream], Any]) -> None:
        self.begin = begin


STREAMED = frozenset({GeneratorType, AsyncGeneratorType, Streaming})
"""Types of what a handler returns that stand for an answer in parts."""


def adapted(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The handler as one of `(event, context)`, whether or not it takes a stream besides.

    The argument is found by its name, `response_stream`, or by its annotation, `ResponseStream`.
    """
    code = getattr(handler, "__code__", None)
    if code is None:
        return handler
    if code.co_flags & _IS_ASYNC_GENERATOR:
        import asyncio  # noqa: F401 - while it initialises, not while the first caller waits
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    argument = next((name for name in names if name == _ARGUMENT or _is_annotated(handler, name)), None)
    if argument is None:
        return handler
    is_coroutine = bool(code.co_flags & _IS_COROUTINE)

    def with_stream(event: Any, context: Any) -> Streaming:
        others = [name for name in names if name != argument]
        values = dict(zip(others, (event, context)))  # noqa: B905 - Python 3.9 has no `strict`

        def begin(stream: ResponseStream) -> None:
            result = handler(**values, **{argument: stream})
            if is_coroutine:
                import asyncio

                asyncio.run(result)

        return Streaming(begin)

    return with_stream


def _is_annotated(handler: Callable[..., Any], name: str) -> bool:
    given = getattr(handler, "__annotations__", {}).get(name)
    called = given if isinstance(given, str) else getattr(given, "__name__", "")
    return called.rpartition(".")[2] == _ANNOTATION


class Live:
    """Sends each part to the invoker as it comes."""

    def __init__(self, connection: Connection, number: int) -> None:
        self._connection = connection
        self._number = number
        self._head = b""
        self.has_begun = False

    def begin(self, content_type: str) -> None:
        """Tell what follows; it leaves with the first part."""
        self._head = json.dumps({"streaming": True, "content_type": content_type}).encode()

    def write(self, data: bytes) -> None:
        """Send a part, and wait while there is no room for it."""
        kind = CHUNK if self.has_begun else RESULT
        self.has_begun = True
        self._connection.send_part(kind, self._number, self._head, data)
        self._head = b""

    def ending(self, event: Any) -> tuple[int, dict[str, Any], bytes]:
        """Kind, head and body of the frame that ends the answer."""
        return CHUNK, {}, b""


class Collected:
    """Keeps the parts until there are no more."""

    has_begun = False
    """Nothing has been sent before the end."""

    def __init__(self, limit: int, too_large: Callable[[], Exception]) -> None:
        self._limit = limit
        self._too_large = too_large
        self._parts: list[bytes] = []
        self._size = 0
        self._content_type = ""

    def begin(self, content_type: str) -> None:
        """Take note of what follows."""
        self._content_type = content_type

    def write(self, data: bytes) -> None:
        """Keep a part. Raises what `too_large` makes."""
        self._size += len(data)
        if self._size > self._limit:
            raise self._too_large()
        self._parts.append(data)

    def ending(self, event: Any) -> tuple[int, dict[str, Any], bytes]:
        """Kind, head and body of the whole answer.

        It is what was written, as it is; but what begins with a status, and whatever answers an HTTP event, becomes an
        object of payload format 2.0.
        """
        whole = b"".join(self._parts)
        if self._content_type == HTTP_TYPE:
            prelude, _, body = whole.partition(DELIMITER)
            return RESULT, {}, _as_http(json.loads(prelude), body)
        if isinstance(event, dict) and event.get("version") == "2.0" and "requestContext" in event:
            return RESULT, {}, _as_http({"statusCode": 200, "headers": {"content-type": self._content_type}}, whole)
        return RESULT, {"content_type": self._content_type}, whole


def _as_http(answer: dict[str, Any], body: bytes) -> bytes:
    try:
        answer["body"] = body.decode()
    except UnicodeDecodeError:
        answer["body"], answer["isBase64Encoded"] = base64.b64encode(body).decode(), True
    return json.dumps(answer).encode()


class ResponseStream:
    """What a handler writes its answer to: a file of text or bytes, and before these a status and headers.

    `content_type` is that of an answer without headers of its own; it counts until the first `write`.
    """

    def __init__(self, output: Live | Collected, marshal: Callable[[Any], bytes]) -> None:
        self._output = output
        self._marshal = marshal
        self._is_open = False
        self.closed = False
        self.content_type = "application/octet-stream"

    def start(self, status_code: int = 200, headers: dict[str, str] | None = None, cookies: Sequence[str] = ()) -> None:
        """Send status, headers and cookies of an HTTP answer. Raises `ValueError` once something has been written."""
        if self._is_open:
            raise ValueError("status and headers come before everything else")
        self._open(HTTP_TYPE)
        metadata = {"statusCode": status_code, "headers": headers or {}, "cookies": list(cookies)}
        self._output.write(json.dumps(metadata).encode() + DELIMITER)

    def write(self, data: Any) -> int:
        """Send text, bytes, or any other value as JSON. Raises `ValueError` when the stream is closed."""
        if self.closed:
            raise ValueError("the stream is closed")
        if not self._is_open:
            self._open(self.content_type)
        if isinstance(data, str):
            encoded = data.encode("utf-8", "surrogatepass")
        elif isinstance(data, (bytes, bytearray, memoryview)):
            encoded = bytes(data)
        else:
            encoded = self._marshal(data)
        if encoded or not self._output.has_begun:
            self._output.write(encoded)
        return len(data) if isinstance(data, str) else len(encoded)

    def give(self, part: Any) -> None:
        """Take what a generator yields: the first may be an object with `statusCode`, `headers` and `cookies`."""
        if not self._is_open and isinstance(part, dict) and "statusCode" in part:
            self.start(part["statusCode"], part.get("headers"), part.get("cookies") or ())
            part = part.get("body")
        if part is not None:
            self.write(part)

    def flush(self) -> None:
        """Nothing is held back."""

    def writable(self) -> bool:
        """As with other files."""
        return not self.closed

    def close(self) -> None:
        """Write nothing more. The answer itself ends when the handler returns."""
        self.closed = True

    def _open(self, content_type: str) -> None:
        self._is_open = True
        self._output.begin(content_type)


def stream(result: Any, output: Live | Collected, marshal: Callable[[Any], bytes]) -> None:
    """Write all of an answer in parts. Raises what the handler raises."""
    given = ResponseStream(output, marshal)
    if isinstance(result, Streaming):
        result.begin(given)
    elif isinstance(result, GeneratorType):
        for part in result:
            given.give(part)
    else:
        import asyncio

        async def drain() -> None:
            async for part in result:
                given.give(part)

        asyncio.run(drain())
    if not output.has_begun:
        given.closed = False
        given.write(b"")
