"""A turn at a line: what it runs, how many at once, and that it ends without losing anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest

from gateway.events import keys
from gateway.events.drain import Turn
from gateway.events.event import NewEvent
from gateway.events.intake import Intake
from gateway.events.lifecycle import Happening
from gateway.events.lines import Claimed, Lines, Settlement
from gateway.events.rules import End, Ended
from gateway.events.window import Window
from gateway.functions.store import connect
from samovar.clock import SystemClock
from tests.gateway.events.test_lines import ARN, KEEPING, places
from tests.valkey import Valkey


def nobody(lines: Iterable[str]) -> None:
    """Is asked for."""


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that others do."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - of many things, none of which tells
            await asyncio.sleep(0.005)


async def until_done(drainer: Turn, count: int) -> None:
    """Wait until so many events have been run."""
    await until(lambda: drainer.done == count)


class Handler:
    """Runs events, with a task of the turn's or without one: all succeed but those it is told of."""

    def __init__(self, *, begins: bool = False) -> None:
        self.begins = begins
        self.tasks: set[asyncio.Task[None]] = set()
        self.ran: list[str] = []
        self.now = 0
        self.most = 0
        self.refuses = 0
        self.gate: asyncio.Event | None = None

    def begin(self, line: str, claimed: Claimed, done: Callable[[Settlement, Ended | None], None]) -> bool:
        async def doing() -> None:
            done(*await self.do(line, claimed))

        if self.begins:
            task = asyncio.create_task(doing())
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        return self.begins

    async def do(self, line: str, claimed: Claimed) -> tuple[Settlement, Ended | None]:
        self.now += 1
        self.most = max(self.most, self.now)
        self.ran.append(claimed.head.id)
        await (self.gate.wait() if self.gate else asyncio.sleep(0))
        self.now -= 1
        if self.refuses:
            self.refuses -= 1
            due = int(SystemClock().epoch() * 1000) + 30
            return Settlement(claimed, Happening.PAUSE, claimed.head, due), Ended(End.NOT_NOW)
        head = msgspec.structs.replace(claimed.head, condition="Success")
        return Settlement(claimed, Happening.SUCCEED, head, kept_for=ARN), Ended(End.SUCCESS)


@pytest.fixture(params=[False, True], ids=["with-tasks", "without"])
def handler(request: pytest.FixtureRequest) -> Handler:
    return Handler(begins=request.param)


def turn(client: Any, handler: Handler, most: int = 8) -> Turn:
    return Turn(Lines(client, KEEPING), handler, nobody, SystemClock(), Window(most))


async def put(client: Any, count: int) -> None:
    intake = Intake(client, nobody, 2**20)
    await asyncio.gather(
        *(intake.accept(NewEvent(arn=ARN, payload=b"{}", request_id=f"r-{number}")) for number in range(count))
    )


async def test_a_line_is_drained_and_left(client: Any, handler: Handler) -> None:
    await put(client, 500)
    async with asyncio.timeout(30):
        assert await turn(client, handler).at(ARN, "a", linger_s=0) is None
    assert sorted(handler.ran) == sorted({f"r-{number}" for number in range(500)})
    assert 4 <= handler.most <= 8
    assert await client.zcard(keys.ended("ok", ARN)) == 500
    assert not await client.exists(keys.line(ARN), keys.LINES)


async def test_an_event_that_comes_while_somebody_lingers_is_run_at_once(client: Any, handler: Handler) -> None:
    drainer = turn(client, handler)
    task = asyncio.create_task(drainer.at(ARN, "a", linger_s=60))
    for count in (1, 2, 3):
        await put(client, count)
        await until_done(drainer, sum(range(count + 1)))
    drainer.stop()
    async with asyncio.timeout(10):
        await task


async def test_what_could_not_be_run_is_run_later_and_meanwhile_less_is_begun(client: Any, handler: Handler) -> None:
    handler.refuses = 6
    await put(client, 40)
    async with asyncio.timeout(30):
        await turn(client, handler).at(ARN, "a", linger_s=0.5)
    assert len(handler.ran) == 46
    assert await client.zcard(keys.ended("ok", ARN)) == 40


async def test_a_turn_that_is_stopped_finishes_what_runs_and_leaves_the_rest(client: Any, handler: Handler) -> None:
    handler.gate = asyncio.Event()
    await put(client, 50)
    drainer = turn(client, handler)
    task = asyncio.create_task(drainer.at(ARN, "a"))
    await until(lambda: handler.now > 0)
    begun = handler.now
    drainer.stop()
    handler.gate.set()
    async with asyncio.timeout(10):
        await task
    assert await client.zcard(keys.ended("ok", ARN)) >= begun
    handler.gate = None
    async with asyncio.timeout(30):
        await turn(client, handler).at(ARN, "a", linger_s=0)  # the next turn of the same worker
    assert await client.zcard(keys.ended("ok", ARN)) == 50
    assert len(await places(client)) == 50


@pytest.mark.parametrize("is_alive", [True, False])
async def test_what_a_dead_worker_holds_is_taken_over_and_what_a_living_one_holds_is_not(
    client: Any, is_alive: bool
) -> None:
    lines, handler = Lines(client, KEEPING), Handler()
    await put(client, 3)
    await lines.claim(ARN, "other", 3, 1)
    assert len(await lines.claim(ARN, "other", 3, 1)) == 3
    if is_alive:
        await lines.renew("other", [])
    async with asyncio.timeout(30):
        await turn(client, handler).at(ARN, "a", linger_s=0)
    assert len(handler.ran) == (0 if is_alive else 3)


async def test_a_store_that_is_killed_and_comes_back_loses_nothing(own_valkey: Valkey) -> None:
    client, handler = connect(own_valkey.url), Handler()
    handler.gate = asyncio.Event()
    await put(client, 20)
    drainer = turn(client, handler)
    task = asyncio.create_task(drainer.at(ARN, "a", linger_s=0.5))
    await until(lambda: handler.now > 0)
    own_valkey.stop()
    handler.gate.set()
    await asyncio.sleep(0.2)
    own_valkey.start()
    async with asyncio.timeout(30):
        await task
    # Twice where the store's file did not have yet who had claimed what: it puts that off while its disk is busy.
    assert set(handler.ran) == {f"r-{number}" for number in range(20)}
    found: Any = client
    assert await found.zcard(keys.ended("ok", ARN)) == 20
    await client.aclose()
