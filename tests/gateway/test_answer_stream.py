"""Streamed answers on their way through the gateway: from the invoker's frames to the bytes of HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http import answer as http_answer
from gateway.link.exchanges import Reply, StreamExchange
from gateway.link.invoker_link import Call, InvokerLink
from samovar.errors import EnvironmentFailure, TooManyRequests
from samovar.invocation import AnswerHead, InvokeHead, Outcome, StreamHead
from samovar.link.channel import FrameChannel
from samovar.link.operations import OperationAnswer, UnknownVersion
from samovar.link.wire import CANCEL, CHUNK, CREDIT, END, REQUEST, RESPONSE, Frame, ProtocolError
from tests.gateway.test_invoker_link import VERSION

HEAD = msgspec.json.encode(StreamHead(version="3", content_type="text/plain"))
ENDING = msgspec.json.encode(AnswerHead(version="3"))
Serve = Callable[[FrameChannel, int, InvokeHead], None]


class StreamingInvoker:
    """An invoker that answers as a test says, and notes what it is told."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self.credit = 0
        self.cancelled = asyncio.Event()
        self.declared = 0

    def frames_received(self, channel: FrameChannel, frames: list[Frame]) -> None:
        """From `FrameReceiver`."""
        for frame in frames:
            if frame.kind == CREDIT:
                self.credit += int.from_bytes(frame.body, "big")
            elif frame.kind == CANCEL:
                self.cancelled.set()
            elif frame.kind == REQUEST and frame.head.startswith(b'["invoke"'):
                self._serve(channel, frame.stream, msgspec.json.decode(frame.head, type=InvokeHead))
            else:
                self.declared += 1
                channel.send(RESPONSE, frame.stream, msgspec.json.encode(OperationAnswer()))

    def channel_lost(self, channel: FrameChannel, error: Exception | None) -> None:
        """From `FrameReceiver`."""


@asynccontextmanager
async def linked(folder: Path, serve: Serve) -> AsyncIterator[tuple[StreamingInvoker, InvokerLink]]:
    invoker = StreamingInvoker(serve)
    path = str(folder / "s")
    server = await asyncio.get_running_loop().create_unix_server(lambda: FrameChannel(invoker), path)
    async with InvokerLink(folder / "s") as link:
        yield invoker, link
    server.close()


def stream(link: InvokerLink) -> Any:
    return link.stream(VERSION, Call("id", streaming=True), b"{}")


def in_parts(*parts: bytes, ending: bytes = ENDING, error: bytes = b"") -> Serve:
    def serve(channel: FrameChannel, number: int, head: InvokeHead) -> None:
        assert head.streaming
        channel.send(RESPONSE, number, HEAD, flags=0)
        for part in parts:
            channel.send(CHUNK, number, b"", part, flags=0)
        channel.send(CHUNK, number, ending, error)

    return serve


async def test_parts_come_in_order_are_credited_and_end(tmp_path: Path) -> None:
    async with linked(tmp_path, in_parts(b"one", b"three")) as (invoker, link):
        async with stream(link) as answer:
            assert answer.head == StreamHead(version="3", content_type="text/plain")
            assert [part async for part in answer.parts()] == [b"one", b"three"]
            assert (answer.ending.outcome, answer.payload) == (Outcome.OK, b"")
        async with stream(link) as answer:
            pass
        assert invoker.credit == 8
        assert not invoker.cancelled.is_set()
        assert "0 under way" in repr(link)


async def test_an_error_comes_with_the_end(tmp_path: Path) -> None:
    failed = msgspec.json.encode(AnswerHead(outcome=Outcome.ERROR, version="3"))
    async with linked(tmp_path, in_parts(b"one", ending=failed, error=b"{}")) as (_, link), stream(link) as answer:
        assert [part async for part in answer.parts()] == [b"one"]
        assert (answer.ending.outcome, answer.payload) == (Outcome.ERROR, b"{}")


async def test_leaving_early_cancels_and_wakes_who_waits(tmp_path: Path) -> None:
    def serve(channel: FrameChannel, number: int, head: InvokeHead) -> None:
        channel.send(RESPONSE, number, HEAD, flags=0)
        channel.send(CHUNK, number, b"", b"one", flags=0)

    async with linked(tmp_path, serve) as (invoker, link), asyncio.timeout(5):
        async with stream(link) as answer:
            parts = answer.parts()
            assert await anext(parts) == b"one"
            asyncio.get_running_loop().call_soon(answer.abandon)
            assert [part async for part in parts] == []
        await invoker.cancelled.wait()


async def test_a_whole_answer_and_a_refusal_are_no_streams(tmp_path: Path) -> None:
    def serve(channel: FrameChannel, number: int, head: InvokeHead) -> None:
        channel.send(RESPONSE, number, ENDING, b'"whole"')

    async with linked(tmp_path, serve) as (_, link), stream(link) as answer:
        assert (answer.head, answer.payload, answer.ending.version) == (None, b'"whole"', "3")

    def refuse(channel: FrameChannel, number: int, head: InvokeHead) -> None:
        refusal = AnswerHead(failure=TooManyRequests.__name__, message="Rate Exceeded.", retry_after=2.0)
        channel.send(RESPONSE, number, msgspec.json.encode(refusal))

    (tmp_path / "r").mkdir()
    async with linked(tmp_path / "r", refuse) as (_, link), stream(link) as answer:
        with pytest.raises(TooManyRequests, match=r"Rate Exceeded\."):
            _ = answer.ending


async def test_an_unknown_version_is_declared_and_asked_again(tmp_path: Path) -> None:
    asked = 0

    def serve(channel: FrameChannel, number: int, head: InvokeHead) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            unknown = AnswerHead(failure=UnknownVersion.__name__)
            channel.send(RESPONSE, number, msgspec.json.encode(unknown))
        else:
            in_parts(b"one")(channel, number, head)

    async with linked(tmp_path, serve) as (invoker, link), stream(link) as answer:
        assert [part async for part in answer.parts()] == [b"one"]
        assert (asked, invoker.declared) == (2, 1)


async def test_an_invoker_that_dies_in_the_middle_ends_the_stream(tmp_path: Path) -> None:
    def serve(channel: FrameChannel, number: int, head: InvokeHead) -> None:
        channel.send(RESPONSE, number, HEAD, flags=0)
        channel.send(CHUNK, number, b"", b"one", flags=0)
        channel.close()

    async with linked(tmp_path, serve) as (_, link), asyncio.timeout(5), stream(link) as answer:
        assert [part async for part in answer.parts()] == [b"one"]
        with pytest.raises(EnvironmentFailure):
            _ = answer.ending


def test_frames_that_are_no_part_of_an_answer_are_refused() -> None:
    class Nobody:
        def begin(self, head: bytes) -> None: ...

        def part(self, part: bytes) -> None: ...

        def end(self, reply: Reply | EnvironmentFailure) -> None: ...

    exchange = StreamExchange(1, Nobody(), 0.0)
    assert exchange.whole(Frame(RESPONSE, 0, 1, HEAD, b"")) is None
    with pytest.raises(ProtocolError):
        exchange.whole(Frame(RESPONSE, END, 1, HEAD, b""))


@pytest.mark.parametrize(
    ("metadata", "status", "headers"),
    [
        (b"{}", 200, [(b"content-type", b"application/octet-stream")]),
        (
            b'{"statusCode": 404, "headers": {"Content-Type": "text/plain", "Connection": "x"}, "cookies": ["a"]}',
            404,
            [(b"content-type", b"text/plain"), (b"set-cookie", b"a")],
        ),
    ],
)
def test_metadata_becomes_status_and_headers(metadata: bytes, status: int, headers: Any) -> None:
    found = http_answer.start_of_stream(metadata, b"body")
    assert found is not None
    assert (found.status, found.headers, found.body) == (status, headers, b"body")


@pytest.mark.parametrize(
    "metadata", [b"", b"[]", b'{"statusCode": 99}', b'{"headers": {"a": "b\\r\\nc: d"}}', b'{"cookies": 1}', b"\xff"]
)
def test_metadata_that_is_none_begins_nothing(metadata: bytes) -> None:
    assert http_answer.start_of_stream(metadata, b"") is None


@given(st.text())
def test_no_content_type_breaks_the_headers(text: str) -> None:
    for _, value in http_answer.headers_of({"content-type": text}):
        assert not set(value) & set(b"\r\n\0")
