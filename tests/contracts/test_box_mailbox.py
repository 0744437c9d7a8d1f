"""A worker's mailbox: events lie ready in it, are taken one by one, and can be taken back until then."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from invoker.environments.mailbox import Mailbox
from invoker.isolation.contract import Isolation
from samovar.link.wire import EVENT, LAID, QUIET, RESULT, encode
from tests.contracts.harness import PATIENCE_S, Connection, Message, Room, Wish, open_room, within

pytestmark = pytest.mark.needs("kernel")


@contextlib.asynccontextmanager
async def with_mailbox(isolation: Isolation) -> AsyncIterator[tuple[Room, Connection, Mailbox]]:
    async with open_room(isolation, Wish()) as room:
        mailbox = Mailbox()
        try:
            yield room, await room.spawn(mailbox=mailbox), mailbox
        finally:
            mailbox.close()


def packet(number: int, source: str, *, span_ms: int | None = None) -> bytes:
    """An event; with `span_ms` one that lies ready behind another."""
    deadline_ms = 4_000_000_000_000 if span_ms is None else span_ms
    head = {"request_id": f"request-{number}", "deadline_ms": deadline_ms, "arn": "arn:aws:lambda"}
    body = msgspec.json.encode({"source": source})
    return encode(EVENT, number, msgspec.json.encode(head), body, 1 if span_ms is None else 1 | LAID)


async def answer(worker: Connection, number: int) -> Message:
    message = await within(worker.receive())
    assert message is not None, "the worker ended"
    assert (message.kind, message.stream, message.head) == (RESULT, number, {}), message.body
    return message


def value(message: Message) -> Any:
    return msgspec.json.decode(message.body)


async def test_events_are_taken_one_by_one_and_what_is_left_can_be_taken_back(isolation: Isolation) -> None:
    async with with_mailbox(isolation) as (room, _, mailbox):
        wait = f"import os, time\nwhile not os.path.exists('{room.box.tmp_dir}/{{}}'): time.sleep(0.001)"
        assert mailbox.put(packet(1, "print('one', flush=True)\n" + wait.format("never")))
        for number in (2, 3, 4):
            assert mailbox.put(packet(number, f"result = {number}", span_ms=60_000))
        await printed(room, b"one")
        assert mailbox.take_back([2, 3, 4]) == [2, 3, 4]
        assert mailbox.take_back([2, 3, 4]) == []
        await room.kill()


async def test_what_lies_behind_one_that_the_worker_has_yet_to_wake_for_stays(isolation: Isolation) -> None:
    async with with_mailbox(isolation) as (_, worker, mailbox):
        for last in range(3, 33, 3):
            for number in (last - 2, last - 1, last):
                assert mailbox.put(packet(number, "import time; time.sleep(0.005)"))
            returned = mailbox.take_back([last - 1, last])
            for number in sorted({last - 2, last - 1, last} - set(returned)):
                await answer(worker, number)


async def printed(room: Room, text: bytes) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while text not in room.output:  # noqa: ASYNC110 - bytes, which tell nobody that they have grown
            await asyncio.sleep(0.001)


async def test_the_time_of_one_that_lay_ready_begins_when_it_is_taken(isolation: Isolation) -> None:
    async with with_mailbox(isolation) as (_, worker, mailbox):
        assert mailbox.put(packet(1, "import time; time.sleep(0.3)"))
        assert mailbox.put(packet(2, "result = context.get_remaining_time_in_millis()", span_ms=60_000))
        await answer(worker, 1)
        left = value(await answer(worker, 2))
        assert 30_000 < left <= 60_000


async def test_a_large_event_is_announced_and_comes_over_the_connection(isolation: Isolation) -> None:
    async with with_mailbox(isolation) as (_, worker, mailbox):
        source = "result = len(event['source'])" + " " * 300_000
        head = {"request_id": "request-1", "deadline_ms": 4_000_000_000_000, "arn": "arn:aws:lambda"}
        assert mailbox.announce(1)
        assert mailbox.put(packet(2, "result = 'small'", span_ms=60_000))
        worker.send(EVENT, 1, head, msgspec.json.encode({"source": source}))
        assert value(await answer(worker, 1)) == len(source)
        assert value(await answer(worker, 2)) == "small"


async def test_an_answer_tells_whether_output_is_left_and_the_next_event_marks_its_own(isolation: Isolation) -> None:
    async with with_mailbox(isolation) as (room, worker, mailbox):
        assert mailbox.put(packet(1, "result = 1"))
        assert (await answer(worker, 1)).flags & QUIET
        loud = "import subprocess, sys\nprint('x' * 150_000)\nsubprocess.run(['/bin/echo', 'last words'])"
        assert mailbox.put(packet(2, loud))
        assert mailbox.put(packet(3, "print('three')", span_ms=60_000))
        is_quiet = bool((await answer(worker, 2)).flags & QUIET)
        await answer(worker, 3)
        await printed(room, b"three\n")
        before, mark, after = bytes(room.output).partition(b"\0samovar-event 3\n")
        assert bool(mark) is not is_quiet
        assert (before if mark else before.removesuffix(b"three\n")).endswith(b"last words\n")
        assert after == (b"three\n" if mark else b"")


async def test_what_lay_behind_a_call_that_ends_the_process_can_be_taken_back(isolation: Isolation) -> None:
    async with with_mailbox(isolation) as (room, worker, mailbox):
        assert mailbox.put(packet(1, "import os; os._exit(7)"))
        for number in (2, 3):
            assert mailbox.put(packet(number, "result = 'never'", span_ms=60_000))
        assert await within(worker.receive()) is None
        assert (await room.exited()).head == {"status": 7}
        assert mailbox.take_back([2, 3]) == [2, 3]
        successor = await room.spawn(mailbox=(fresh := Mailbox()))
        assert fresh.put(packet(1, "result = 'again'"))
        assert value(await answer(successor, 1)) == "again"
        fresh.close()
