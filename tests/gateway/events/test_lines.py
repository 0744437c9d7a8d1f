"""The lines on a real store: every interleaving of claim, crash, settle and retry leaves each event in one place.

The model is the table of states; the store is asked after each step where every event is.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from gateway.events import keys
from gateway.events.event import NewEvent, decode_head
from gateway.events.intake import Intake
from gateway.events.lifecycle import Happening, State, after
from gateway.events.lines import BEYOND_MS, Claimed, Keeping, Lines, Message, Settlement
from gateway.functions.store import connect
from tests.valkey import Valkey

ARN = "arn:aws:lambda:us-east-1:123456789012:function:orders"
KEEPING = Keeping(10_000, 10_000, 2**30)


async def places(client: Any, line: str = ARN) -> dict[str, list[State]]:
    """Where each event is, by its id."""
    found: dict[str, list[State]] = {}
    pending = set()
    if await client.exists(keys.line(line)) and await client.xinfo_groups(keys.line(line)):
        pending = {
            one["message_id"] for one in await client.xpending_range(keys.line(line), keys.GROUP, "-", "+", 9999)
        }
    for entry, fields in await client.xrange(keys.line(line)):
        state = State.CLAIMED if entry in pending else State.WAITING
        found.setdefault(decode_head(fields[b"h"]).id, []).append(state)
    for state, key in (
        (State.DELAYED, keys.delayed(line)),
        (State.SUCCEEDED, keys.ended("ok", line)),
        (State.FAILED, keys.ended("failed", line)),
    ):
        for name in await client.zrange(key, 0, -1):
            found.setdefault(name.decode(), []).append(state)
    assert set(map(bytes.decode, await client.hkeys(keys.held(line)))) == {
        name for name, states in found.items() if State.DELAYED in states
    }
    return found


@pytest.fixture
async def lines(client: Any) -> Lines:
    return Lines(client, KEEPING)


async def put(client: Any, *numbers: int, payload: bytes = b"{}") -> None:
    intake = Intake(client, lambda lines: None, 2**20)
    for number in numbers:
        await intake.accept(NewEvent(arn=ARN, payload=payload, request_id=f"r-{number}"))


def succeeded(claimed: Claimed) -> Settlement:
    head = msgspec.structs.replace(claimed.head, condition="Success", ended_ms=1)
    return Settlement(claimed, Happening.SUCCEED, head, kept_for=ARN)


async def test_who_takes_a_line_has_it_until_he_leaves_or_dies(client: Any, lines: Lines) -> None:
    await put(client, 1)
    assert await lines.take(ARN, "a")
    assert not await lines.take(ARN, "b")
    assert await lines.renew("a", [ARN]) == []
    assert not await lines.leave(ARN, "a")  # something waits
    (claimed,) = await lines.claim(ARN, "a", 10, 10) or await lines.claim(ARN, "a", 10, 10)
    await lines.settle(ARN, [succeeded(claimed)], 1)
    assert await lines.leave(ARN, "a")
    assert not await client.exists(keys.line(ARN))
    assert not await client.exists(keys.LINES)
    assert await lines.take(ARN, "b")


async def test_a_line_that_nobody_attends_is_found_once(client: Any, lines: Lines) -> None:
    await put(client, 1)
    assert await lines.unattended(0) == []  # somebody has just been asked
    await client.delete(keys.drain(ARN))
    assert await lines.unattended(0) == [ARN]
    assert await lines.unattended(0) == []


async def test_a_line_that_is_declined_is_found_at_once_unless_somebody_is_there(client: Any, lines: Lines) -> None:
    await put(client, 1)
    assert await lines.unattended(0) == []  # somebody has just been asked
    await lines.decline(ARN)
    assert await lines.unattended(0) == [ARN]
    assert await lines.take(ARN, "alive")
    await lines.decline(ARN)  # by another, whom somebody had asked before
    assert await lines.unattended(0) == []


async def test_what_is_put_on_other_lines_goes_with_the_settling_or_not_at_all(client: Any, lines: Lines) -> None:
    await put(client, 1)
    await lines.claim(ARN, "a", 10, 1)
    (claimed,) = await lines.claim(ARN, "a", 10, 1)
    told = Settlement(
        claimed, Happening.FAIL, claimed.head, kept_for=ARN, messages=[Message("deliveries", claimed.head, b"[1]")]
    )
    assert await lines.settle(ARN, [told], 1) == ["deliveries"]
    assert await lines.settle(ARN, [told], 1) == []
    assert await client.xlen(keys.line("deliveries")) == 1


async def test_the_oldest_of_what_is_kept_makes_room(client: Any) -> None:
    lines = Lines(client, Keeping(3, 10, 5000))
    await put(client, *range(5), payload=b"[]")
    await lines.claim(ARN, "a", 10, 1)
    for claimed in await lines.claim(ARN, "a", 10, 1):
        await lines.settle(ARN, [succeeded(claimed)], 1)
    assert await client.zrange(keys.ended("ok", ARN), 0, -1) == [b"r-2", b"r-3", b"r-4"]
    assert await client.hlen(keys.past(ARN)) == await client.hlen(keys.past_payloads(ARN)) == 3
    await put(client, 9, payload=b"[" + b"1," * 2400 + b"1]")
    (claimed,) = await lines.claim(ARN, "a", 10, 1)
    await lines.settle(ARN, [succeeded(claimed)], 2)
    assert await client.zrange(keys.ended("ok", ARN), 0, -1) == [b"r-9"]
    size = await client.hstrlen(keys.past(ARN), "r-9") + await client.hstrlen(keys.past_payloads(ARN), "r-9")
    assert int(await client.hget(keys.sizes(ARN), "ok")) == size


async def test_a_clock_that_is_set_back_holds_nothing_up(client: Any, lines: Lines) -> None:
    """By a day: what was put off waits no longer than it would have, and what is put off from now on waits its time."""
    await put(client, 1, 2)
    await lines.take(ARN, "a")
    await lines.reclaim(ARN, "a", own=True)
    first, second = await lines.claim(ARN, "a", 2, 10)
    before, now = 1_800_000_000_000, 1_800_000_000_000 - 86_400_000
    await lines.settle(ARN, [Settlement(first, Happening.PAUSE, first.head, before + 60_000)], before)
    await lines.settle(ARN, [Settlement(second, Happening.PAUSE, second.head, now + 120_000)], now)
    await client.delete(keys.drain(ARN))
    assert await lines.wake(ARN, now) == now + 120_000
    assert await places(client) == {"r-1": [State.WAITING], "r-2": [State.DELAYED]}


async def test_somebody_is_asked_to_look_at_what_a_clock_put_off_that_is_set_back(client: Any, lines: Lines) -> None:
    await put(client, 1)
    await lines.take(ARN, "a")
    await lines.reclaim(ARN, "a", own=True)
    (claimed,) = await lines.claim(ARN, "a", 1, 10)
    due = 1_800_000_000_000
    await lines.settle(ARN, [Settlement(claimed, Happening.PAUSE, claimed.head, due)], due - 1000)
    assert await lines.wake(ARN, due - 1000) == due
    await lines.leave(ARN, "a", anyhow=True)
    await client.delete(keys.drain(ARN))
    assert await lines.unattended(due - 1000) == []
    assert await lines.unattended(due - BEYOND_MS - 1) == [ARN]


class Interleavings(RuleBasedStateMachine):
    """Three workers at one line, any of which may die at any time and come back to life too late."""

    valkey: Valkey
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.client: Any = self.runner.run(self._connected())
        self.lines = Lines(self.client, KEEPING)
        self.model: dict[str, State] = {}
        self.holders: dict[str, int] = {}
        self.runs: Counter[tuple[str, int]] = Counter()
        self.now_ms = 1000
        self.lives = [0, 0, 0]

    async def _connected(self) -> Any:
        client = connect(self.valkey.url)
        await client.flushall()
        return client

    def teardown(self) -> None:
        self.runner.run(self.client.aclose())
        self.runner.close()

    def name(self, worker: int) -> str:
        """A worker that died comes back under another name."""
        return f"{worker}-{self.lives[worker]}"

    @initialize(count=st.integers(1, 4))
    def some_events(self, count: int) -> None:
        self.accept(count)
        self.runner.run(self.lines.reclaim(ARN, self.name(0), own=True))

    @rule(count=st.integers(1, 3))
    def accept(self, count: int) -> None:
        numbers = range(len(self.model), len(self.model) + count)
        self.runner.run(put(self.client, *numbers))
        self.model |= {f"r-{number}": State.WAITING for number in numbers}

    def _note(self, worker: int, claimed: list[Claimed], happening: Happening) -> Any:
        for one in claimed:
            self.model[one.head.id] = after(self.model[one.head.id], happening)
            self.runs[one.head.id, one.head.runs] += 1
        return multiple(*claimed)

    @rule(worker=st.integers(0, 2), count=st.integers(1, 3), target=claims)
    def claim(self, worker: int, count: int) -> Any:
        self.runner.run(self.lines.take(ARN, self.name(worker)))
        self.runner.run(self.lines.renew(self.name(worker), []))
        found = self.runner.run(self.lines.claim(ARN, self.name(worker), count, 1))
        return self._note(worker, found, Happening.CLAIM)

    @rule(worker=st.integers(0, 2))
    def crash(self, worker: int) -> None:
        self.runner.run(self.client.delete(keys.worker(self.name(worker))))
        self.lives[worker] += 1

    @rule(worker=st.integers(0, 2), target=claims)
    def reclaim(self, worker: int) -> Any:
        found = self.runner.run(self.lines.reclaim(ARN, self.name(worker), own=False))
        return self._note(worker, found, Happening.RECLAIM)

    @rule(
        claimed=claims,
        happening=st.sampled_from([Happening.SUCCEED, Happening.FAIL, Happening.PAUSE]),
        pause_ms=st.integers(1, 50),
    )
    def settle(self, claimed: Claimed, happening: Happening, pause_ms: int) -> None:
        """Also of claims that others have taken over, and of those that were settled before."""
        is_pending = self.runner.run(self._is_pending(claimed))
        due = self.now_ms + pause_ms
        kept_for = "" if happening is Happening.PAUSE else ARN
        self.runner.run(
            self.lines.settle(ARN, [Settlement(claimed, happening, claimed.head, due, kept_for)], self.now_ms)
        )
        if is_pending:
            self.model[claimed.head.id] = after(self.model[claimed.head.id], happening)

    async def _is_pending(self, claimed: Claimed) -> bool:
        if not await self.client.exists(keys.line(ARN)):
            return False
        return bool(await self.client.xpending_range(keys.line(ARN), keys.GROUP, claimed.entry, claimed.entry, 1))

    @rule(passes_ms=st.integers(0, 60))
    def time_passes(self, passes_ms: int) -> None:
        self.now_ms += passes_ms
        before = self.runner.run(self._delayed())
        self.runner.run(self.lines.wake(ARN, self.now_ms))
        for name, due in before.items():
            if due <= self.now_ms:
                self.model[name] = after(self.model[name], Happening.DUE)

    async def _delayed(self) -> dict[str, float]:
        return {name.decode(): due for name, due in await self.client.zrange(keys.delayed(ARN), 0, -1, withscores=True)}

    @rule(worker=st.integers(0, 2))
    def leave(self, worker: int) -> None:
        self.runner.run(self.lines.leave(ARN, self.name(worker)))

    @rule(claimed=consumes(claims))
    def forget(self, claimed: Claimed) -> None:
        """The worker died with it."""

    @invariant()
    def each_event_is_in_one_place(self) -> None:
        assert self.runner.run(places(self.client)) == {name: [state] for name, state in self.model.items()}

    @invariant()
    def no_two_runs_have_one_number(self) -> None:
        assert max(self.runs.values(), default=1) == 1

    @invariant()
    def no_line_with_something_to_do_is_forgotten(self) -> None:
        if not set(self.model.values()) <= {State.SUCCEEDED, State.FAILED}:
            assert self.runner.run(self.client.sismember(keys.LINES, ARN))


def test_every_interleaving_leaves_each_event_in_one_place(valkey: Valkey) -> None:
    Interleavings.valkey = valkey
    machine: Any = Interleavings.TestCase
    machine.settings = settings(
        max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )
    machine().runTest()
