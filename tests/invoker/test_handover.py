"""Calls that lie ready behind another: each begins once, in its turn, whatever becomes of the one in front."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from invoker.invoke import Invocation, Invocations
from invoker.isolation.contract import Usage
from invoker.isolation.fake import Exit, Function, OutOfMemory, hang
from invoker.pool import policy
from invoker.pool.pool import Pool
from invoker.pool.versions import Versions
from samovar.clock import SystemClock
from samovar.invocation import AnswerHead, InvokeHead, Outcome, Reading
from samovar.link.wire import END, RESULT, Frame
from tests.invoker.building import pool_over, until, version


class Ledger:
    """Stands for the meter."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []

    def record(self, reading: Reading, safe: Any) -> None:
        """As `Meter.record`."""
        self.readings.append(reading)
        asyncio.get_running_loop().call_soon(safe, None)


class Stage:
    """A function that does what each event says, and who calls it."""

    def __init__(self) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        self.ran: Counter[str] = Counter()
        self.order: list[str] = []
        self.answers: dict[str, list[tuple[AnswerHead, bytes]]] = {}
        self.calls: dict[str, Invocation] = {}
        self.ledger = Ledger()
        self.pool: Pool
        self.invocations: Invocations

    def handle(self, event: str, head: Any) -> Awaitable[str]:
        """The handler."""
        name = str(head["request_id"])
        self.ran[name] += 1
        self.order.append(name)
        print(f"printed by {name}")  # noqa: T201 - as functions do
        return self._act(event, name)

    async def _act(self, event: str, name: str) -> str:
        if event.startswith("gate"):
            await self.gates.setdefault(event, asyncio.Event()).wait()
        elif event == "crash":
            raise Exit(signal=9)
        elif event == "exit":
            raise Exit(status=3)
        elif event == "memory":
            raise OutOfMemory
        elif event == "hang":
            await hang()
        elif event == "raise":
            raise ValueError(name)
        return name

    def call(self, name: str, event: str) -> None:
        """Begin a call."""
        head = InvokeHead("invoke", version().arn, "$LATEST", 1, name, tail=True)
        answers = self.answers[name] = []
        call = self.invocations.prepare(head, msgspec.json.encode(event), lambda *answer: answers.append(answer))
        self.calls[name] = call
        call.begin()

    def open(self, gate: str) -> None:
        """Let the calls with that event end."""
        self.gates.setdefault(gate, asyncio.Event()).set()

    async def answered(self, *names: str) -> list[Outcome]:
        """How these calls end."""
        await until(lambda: all(self.answers[name] for name in names))
        return [self.answers[name][0][0].outcome for name in names]

    async def warm_up(self) -> None:
        """Have it known how long calls take."""
        self.call("first of all", "quick")
        assert await self.answered("first of all") == [Outcome.OK]

    @property
    def lying(self) -> list[str]:
        """Which calls lie ready."""
        return [
            name
            for one in self.pool.environments
            for lease in one.followers
            for name, call in self.calls.items()
            if call._lease is lease
        ]


@contextlib.asynccontextmanager
async def stage(*, stuck_after_s: float = 60.0, timeout_s: int = 60, **options: Any) -> AsyncIterator[Stage]:
    folder = Path(tempfile.mkdtemp(prefix="lay-"))
    at = Stage()
    usual = {"max_environments_per_function": 1, "cores": 1, "has_mailboxes": True}
    try:
        async with pool_over(folder, {"app.handler": Function(at.handle)}, **usual | options) as (pool, _):
            at.pool = pool
            versions = Versions()
            of = version(timeout_s=timeout_s)
            versions.declare(of)
            versions.put_in_force(of)
            ledger: Any = at.ledger
            at.invocations = Invocations(versions, pool, ledger, SystemClock())
            # On a machine that is busy with other things even these calls may take long.
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(policy, "BRIEF_CALL_S", 60.0)
                patch.setattr(policy, "stuck_after", lambda _: stuck_after_s)
                yield at
    finally:
        shutil.rmtree(folder)


def tail(answer: AnswerHead) -> str:
    return base64.b64decode(answer.log_tail or "").decode()


async def test_calls_lie_ready_behind_one_that_runs_and_follow_in_their_order() -> None:
    async with stage() as at:
        await at.warm_up()
        at.call("a", "gate")
        for name in "bcdef":
            at.call(name, "quick")
        await until(lambda: at.ran["a"] == 1)
        at.call("g", "quick")
        assert at.lying == []  # they joined the queue after the call in front had begun
        at.open("gate")
        assert await at.answered(*"abcdefg") == [Outcome.OK] * 7
        assert at.order[-7:] == list("abcdefg")
        assert len(at.pool.environments) == 1


async def lie_ready(at: Stage, front: str, *names: str) -> None:
    """Have calls lie ready behind one whose event is `front`."""
    await at.warm_up()
    at.call("first", "gate-of-first")
    await until(lambda: at.ran["first"] == 1)
    at.call("front", front)
    for name in names:
        at.call(name, "quick")
    at.open("gate-of-first")
    await until(lambda: at.ran["front"] == 1)


async def test_each_has_its_own_output_and_its_own_reading() -> None:
    async with stage() as at:
        await lie_ready(at, "gate", *"bcdefghi")
        assert at.lying == list("bcdefgh")
        at.open("gate")
        await at.answered("front", *"bcdefghi")
        for name in ("front", *"bcdefghi"):
            assert tail(at.answers[name][0][0]).count("printed by") == 1
            assert f"printed by {name}\n" in tail(at.answers[name][0][0])
        readings = {one.request_id: one for one in at.ledger.readings}
        assert readings["b"].queue_ms > 0
        assert sum(one.cpu_ms for one in at.ledger.readings) == sum(at.ran.values())


async def test_answers_that_come_at_once_share_what_one_look_has_shown() -> None:
    async with stage() as at:
        await at.warm_up()
        (environment,) = at.pool.environments
        box: Any = environment.home.box
        environment.use_cpu()
        box.used = Usage(7, box.used.cpu_us + 1000)
        shares = [environment.use_cpu(3)]
        box.used = Usage(7, box.used.cpu_us + 50)  # for the next one: nobody looks before
        shares += [environment.use_cpu(2), environment.use_cpu(1)]
        assert shares == [333, 333, 334]
        assert environment.use_cpu() == 50


async def test_calls_whose_answers_come_at_once_have_run_one_after_the_other() -> None:
    async with stage() as at:
        await lie_ready(at, "gate", *"bcd")
        environment = at.pool.environments[0]
        worker = environment.link.worker
        assert worker is not None
        assert worker.channel is not None
        numbers = [next(iter(worker._exchanges)), *(lease.number for lease in environment.followers)]
        await asyncio.sleep(0.02)
        environment.link.frames_received(worker.channel, [Frame(RESULT, END, number, b"", b"1") for number in numbers])
        names = ["front", *"bcd"]
        assert await at.answered(*names) == [Outcome.OK] * 4
        durations = [one.duration_ms for one in at.ledger.readings if one.request_id in names]
        assert max(durations) - min(durations) < 0.25 * sum(durations)
        assert sum(durations) >= 20
        at.open("gate")


@pytest.mark.parametrize(
    ("front", "outcome"),
    [
        ("crash", Outcome.EXIT), ("exit", Outcome.EXIT), ("memory", Outcome.OUT_OF_MEMORY), ("hang", Outcome.TIMEOUT),
        ("raise", Outcome.ERROR),
    ],
)  # fmt: skip
async def test_what_becomes_of_the_one_in_front_is_its_own_affair(front: str, outcome: Outcome) -> None:
    async with stage(timeout_s=1 if front == "hang" else 60) as at:
        await lie_ready(at, front, *"bcde")
        assert await at.answered("front", *"bcde") == [outcome, *[Outcome.OK] * 4]
        assert [name for name in at.order if name in set("bcde")] == list("bcde")


async def test_a_call_that_lies_ready_can_be_withdrawn() -> None:
    async with stage() as at:
        await lie_ready(at, "gate", *"bcd")
        assert at.calls["c"].withdraw()
        assert not at.calls["front"].withdraw()
        at.open("gate")
        assert await at.answered("front", "b", "d") == [Outcome.OK] * 3
        assert at.ran["c"] == 0
        assert at.answers["c"] == []


async def test_a_call_does_not_stay_behind_a_long_one() -> None:
    async with stage(max_environments_per_function=2, cores=2, stuck_after_s=0.02) as at:
        at.call("x", "gate-of-x")
        at.call("y", "gate-of-y")
        await until(lambda: at.ran["x"] == at.ran["y"] == 1)
        for number in range(40):  # both calls have been long: it takes a while to be forgotten
            at.call(f"more-{number}", "quick")
        at.call("front", "gate")
        for name in "bcd":
            at.call(name, "quick")
        at.open("gate-of-x")
        await until(lambda: at.ran["front"] == 1)
        at.open("gate-of-y")
        assert await at.answered(*"bcd") == [Outcome.OK] * 3
        assert at.answers["front"] == []
        at.open("gate")
        assert await at.answered("front") == [Outcome.OK]


async def test_a_version_that_goes_leaves_no_call_without_an_answer() -> None:
    async with stage() as at:
        await lie_ready(at, "gate", *"bcd")
        at.pool.forget(version().key)
        await until(lambda: all(at.answers[name] for name in "bcd"))
        assert {at.answers[name][0][0].failure for name in "bcd"} == {"ResourceNotFound"}
        at.open("gate")
        assert await at.answered("front") == [Outcome.OK]
        assert all(at.ran[name] == 0 for name in "bcd")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["call", "call", "call", "withdraw", "open", "turn", "supersede"]),
        st.sampled_from(["quick", "quick", "quick", "quick", "gate", "crash", "exit", "raise", "large"]),
        st.integers(0, 30),
    ),
    max_size=60,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(STEPS, st.integers(1, 2), st.sampled_from([0.0, 0.001, 60.0]))
def test_every_call_is_answered_once_and_run_at_most_once(
    steps: list[tuple[str, str, int]], environments: int, stuck_after_s: float
) -> None:
    asyncio.run(_play(steps, environments, stuck_after_s))


async def _play(steps: list[tuple[str, str, int]], environments: int, stuck_after_s: float) -> None:
    async with stage(
        max_environments_per_function=environments, cores=environments, stuck_after_s=stuck_after_s, queue_limit=1000
    ) as at:
        at.call("0", "quick")
        await at.answered("0")
        events, withdrawn, serial = {"0": "quick"}, set[str](), 1
        for what, event, number in steps:
            name = str(len(events))
            if what == "call":
                events[name] = event
                at.call(name, "quick" + "x" * 100_000 if event == "large" else event)
            elif what == "withdraw" and (target := str(number % len(events))) not in withdrawn:
                if not at.answers[target] and at.calls[target].withdraw():
                    withdrawn.add(target)
            elif what == "open":
                at.open("gate")
                at.gates["gate"] = asyncio.Event()
            elif what == "supersede":
                serial += 1
                at.pool.supersede(version(timeout_s=60, serial=serial, handler="app.handler"))
            for _ in range(number if what == "turn" else 0):
                await asyncio.sleep(0)
        at.open("gate")
        at.gates["gate"].set()
        expected = {"crash": Outcome.EXIT, "exit": Outcome.EXIT, "raise": Outcome.ERROR}
        await until(lambda: all(at.answers[name] or name in withdrawn for name in events))
        for name, event in events.items():
            if name in withdrawn:
                assert (at.answers[name], at.ran[name]) == ([], 0)
                continue
            ((answer, _),) = at.answers[name]
            assert answer.outcome is expected.get(event, Outcome.OK)
            assert at.ran[name] == 1
            assert tail(answer).count("printed by") == 1
            assert f"printed by {name}\n" in tail(answer)
