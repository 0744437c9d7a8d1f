"""Answers in parts: how much is under way, who waits for whom, and what ends them."""

from __future__ import annotations

import asyncio
from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoker.environments.worker import Answer, AnswerTooLarge, EventHead, Worker, WorkerEnded
from invoker.faults import ProcessEnd
from invoker.response_stream import WINDOW_BYTES, ResponseStream
from samovar.invocation import AnswerLimits
from samovar.link.channel import FrameChannel
from samovar.link.wire import CHUNK, END, RESPONSE, RESULT, Frame

HEAD = EventHead("id", 0, "arn", streaming=True)
BEGIN = msgspec.json.encode({"streaming": True, "content_type": "text/plain"})


class Wire:
    """A channel that notes what is sent over it, and whether it is being read."""

    def __init__(self) -> None:
        self.sent: list[Frame] = []
        self._is_read = True

    def send(self, kind: int, stream: int, head: bytes = b"", body: bytes = b"", flags: int = END) -> None:
        """As `FrameChannel.send`."""
        self.sent.append(Frame(kind, flags, stream, head, body))

    send_at_once = send

    def is_being_read(self) -> bool:
        """Whether its peer can go on sending."""
        return self._is_read

    def pause_reading(self) -> None:
        """As `FrameChannel.pause_reading`."""
        assert self._is_read
        self._is_read = False

    def resume_reading(self) -> None:
        """As `FrameChannel.resume_reading`."""
        assert not self._is_read
        self._is_read = True


class Call:
    """A worker with one event, whose answer may come in parts."""

    def __init__(self) -> None:
        self.gateway, self.source = Wire(), Wire()
        self.stream = ResponseStream(cast(FrameChannel, self.gateway), 7)
        self.stream.version = "$LATEST"
        self.worker = Worker(1)
        self.worker.channel = cast(FrameChannel, self.source)
        self.outcomes: list[Answer | Exception] = []
        self.worker.ask(HEAD, b"{}", 60, self.outcomes.append, self.stream)

    def say(self, kind: int, head: bytes = b"", body: bytes = b"", *, ends: bool = False) -> None:
        """A frame from the worker."""
        self.worker.take(Frame(kind, END if ends else 0, 1, head, body))

    @property
    def parts(self) -> list[bytes]:
        """What has been passed on."""
        return [frame.body for frame in self.gateway.sent if frame.kind == CHUNK]


async def test_parts_are_passed_on_as_they_come() -> None:
    call = Call()
    call.say(RESULT, BEGIN, b"first")
    assert call.gateway.sent[0] == Frame(RESPONSE, 0, 7, b'["stream","$LATEST","text/plain"]', b"")
    call.say(CHUNK, body=b"second")
    assert (call.parts, call.outcomes) == ([b"first", b"second"], [])
    call.say(CHUNK, ends=True)
    assert call.outcomes == [Answer(None, b"")]
    call.stream.end(b"[]", b"")
    assert call.gateway.sent[-1] == Frame(CHUNK, END, 7, b"[]", b"")


async def test_an_error_in_the_middle_is_the_answer_and_no_part_of_it() -> None:
    call = Call()
    call.say(RESULT, BEGIN, b"first")
    call.say(CHUNK, b'{"error": "KeyError"}', b"{")
    call.say(CHUNK, body=b"}", ends=True)
    assert (call.parts, call.outcomes) == ([b"first"], [Answer("KeyError", b"{}")])
    call.stream.end(b"[]", b"x" * 300_000)
    *_, first, last = call.gateway.sent
    assert (first.head, first.ends_message, last.head, last.ends_message) == (b"[]", False, b"", True)


async def test_an_answer_that_comes_whole_is_none_in_parts() -> None:
    call = Call()
    call.say(RESULT, body=b"x", ends=False)
    call.say(CHUNK, body=b"y", ends=True)
    assert (call.outcomes, call.stream.has_begun, call.gateway.sent) == ([Answer(None, b"xy")], False, [])


async def test_the_worker_is_not_read_while_a_window_is_under_way() -> None:
    call = Call()
    call.say(RESULT, BEGIN, b"x" * (WINDOW_BYTES - 1))
    assert call.source.is_being_read()
    call.say(CHUNK, body=b"xx")
    assert not call.source.is_being_read()
    call.stream.taken(WINDOW_BYTES // 4)
    assert not call.source.is_being_read()
    call.stream.taken(WINDOW_BYTES // 2)
    assert call.source.is_being_read()


@pytest.mark.parametrize("ending", ["timeout", "death", "discard"])
async def test_whatever_ends_it_the_worker_is_read_again(ending: str) -> None:
    call = Call()
    call.say(RESULT, BEGIN, b"x" * WINDOW_BYTES)
    assert not call.source.is_being_read()
    if ending == "timeout":
        call.worker._finish(1, TimeoutError())
    elif ending == "death":
        call.worker.end(ProcessEnd(signal=9))
        assert isinstance(call.outcomes[0], WorkerEnded)
    else:
        call.stream.discard()
        call.say(CHUNK, body=b"dropped")
        call.say(CHUNK, ends=True)
        assert call.parts == [b"x" * WINDOW_BYTES]
        assert call.outcomes == [Answer(None, b"")]
    assert call.source.is_being_read()
    call.stream.taken(WINDOW_BYTES)
    call.stream.discard()


async def test_an_answer_over_the_limit_costs_the_worker() -> None:
    call = Call()
    call.worker.limits = AnswerLimits(streamed=10)
    call.say(RESULT, BEGIN, b"x" * 10)
    call.say(CHUNK, body=b"x")
    assert [type(outcome) for outcome in call.outcomes] == [AnswerTooLarge]
    assert call.parts == [b"x" * 10]


@given(st.lists(st.integers(1, WINDOW_BYTES // 2) | st.none(), max_size=40))
def test_never_more_than_a_window_and_a_part_is_under_way(steps: list[int | None]) -> None:
    async def check() -> None:
        call = Call()
        call.say(RESULT, BEGIN)
        under_way: list[int] = []
        for size in steps:
            if size is not None and call.source.is_being_read():
                call.say(CHUNK, body=bytes(size))
                under_way.append(size)
            elif under_way:
                call.stream.taken(under_way.pop(0))
            assert call.source.is_being_read() or sum(under_way) > WINDOW_BYTES // 2
            assert sum(under_way) < WINDOW_BYTES + WINDOW_BYTES // 2
        while under_way:
            call.stream.taken(under_way.pop(0))
        assert call.source.is_being_read()

    asyncio.run(check())
