"""Several calls in one environment: who joins whom, what is left when one is lost, and what is accounted to whom."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from invoker.environments.lifecycle import State
from invoker.environments.slots import Slots
from invoker.environments.worker import EventHead
from invoker.isolation.fake import Exit, Function, hang
from invoker.logs.output import EnvironmentLog, LogFiles
from invoker.pool.policy import Start, scale
from invoker.pool.pool import Pool
from samovar.clock import ManualClock
from samovar.function import FunctionVersion
from samovar.logs import lines as logs
from samovar.logs.lines import Position
from tests.invoker.building import Gate, leased, pool_over, run, until, version
from tests.invoker.test_policy import demand, host

FOUR = version(runtime="provided.al2023", environment={"AWS_LAMBDA_MAX_CONCURRENCY": "4"}, timeout_s=1)


def at_once(handle: Any, concurrency: int = 4) -> dict[str, Function]:
    return {"app.handler": Function(handle, concurrency=concurrency)}


async def call(pool: Pool, event: bytes = b"0", of: FunctionVersion = FOUR, timeout_s: float = 5) -> tuple[str, bytes]:
    """One invocation; its environment and what came of it."""
    async with leased(pool, of) as held:
        result = await run(held.environment, EventHead(f"request-{event!r}", 0, of.arn), event, timeout_s)
        held.worker_lost = result.worker_lost
        return held.environment.id, result.payload


async def test_calls_join_others_until_the_environment_is_full(tmp_path: Path) -> None:
    gate = Gate()
    async with pool_over(tmp_path, at_once(gate.handle)) as (pool, isolation):
        calls = [asyncio.create_task(call(pool, b"%d" % n)) for n in range(4)]
        await until(lambda: gate.running == 4)
        assert len(isolation.boxes) == 1
        calls += [asyncio.create_task(call(pool, b"%d" % n)) for n in range(4, 6)]
        await until(lambda: gate.running == 6)
        gate.open()
        answers = await asyncio.gather(*calls)
        assert [payload for _, payload in answers] == [b"%d" % n for n in range(6)]
        assert len({environment for environment, _ in answers}) == len(isolation.boxes) == 2
        assert pool.count(State.IDLE) == 2


async def test_a_worker_tells_how_many_it_takes_where_the_function_does_not(tmp_path: Path) -> None:
    gate, plain = Gate(), version(runtime="provided.al2023")
    async with pool_over(tmp_path, at_once(gate.handle), max_environments_per_function=1) as (pool, isolation):
        calls = [asyncio.create_task(call(pool, b"%d" % n, plain)) for n in range(5)]
        await until(lambda: gate.running == 4)
        gate.open()
        await asyncio.gather(*calls)
        assert len(isolation.boxes) == 1


async def test_no_more_calls_run_at_once_than_are_reserved(tmp_path: Path) -> None:
    gate = Gate()
    reserved = version(**{**_fields(FOUR), "max_environments": 3})
    async with pool_over(tmp_path, at_once(gate.handle)) as (pool, _):
        calls = [asyncio.create_task(call(pool, b"%d" % n, reserved)) for n in range(5)]
        await until(lambda: gate.running == 3 and pool.waiting == 2)
        await asyncio.sleep(0.02)
        assert gate.running == 3
        gate.open()
        await asyncio.gather(*calls)


async def test_a_call_that_is_lost_takes_nobody_along_and_the_worker_goes_after_the_last(tmp_path: Path) -> None:
    gate = Gate()
    async with pool_over(tmp_path, at_once(gate.handle)) as (pool, isolation):
        beside = asyncio.create_task(call(pool, b"1"))
        await until(lambda: gate.running == 1)
        async with leased(pool, FOUR) as lost:
            lost.worker_lost = True  # as after a timeout: what it does there goes on
        late = asyncio.create_task(call(pool, b"2"))
        await until(lambda: gate.running == 2)
        assert len(isolation.boxes) == 2, "nobody joins an environment whose worker has to go"
        gate.open()
        first, second = await beside, await late
        assert (first[1], second[1]) == (b"1", b"2")
        assert first[0] != second[0]
        await until(lambda: pool.count(State.IDLE) == 2)
        assert await call(pool, b"3")


async def test_a_call_that_times_out_beside_another_leaves_that_its_time(tmp_path: Path) -> None:
    async def handle(event: Any, head: Any) -> Any:
        return await hang() if event == 99 else event

    async with pool_over(tmp_path, at_once(handle)) as (pool, _):
        lost = [asyncio.create_task(call(pool, b"99", timeout_s=0.05)) for _ in range(2)]
        assert all(b"Task timed out" in payload for _, payload in await asyncio.gather(*lost))
        assert (await call(pool, b"3"))[1] == b"3"


async def test_a_worker_that_ends_fails_all_its_calls_and_is_replaced(tmp_path: Path) -> None:
    gate = Gate()

    async def handle(event: Any, head: Any) -> Any:
        if event == 99:
            raise Exit(status=3)
        return await gate.handle(event, head)

    async with pool_over(tmp_path, at_once(handle)) as (pool, isolation):
        calls = [asyncio.create_task(call(pool, b"%d" % n)) for n in range(3)]
        await until(lambda: gate.running == 3)
        calls.append(asyncio.create_task(call(pool, b"99")))
        answers = await asyncio.gather(*calls)
        assert all(b"Runtime.ExitError" in payload for _, payload in answers)
        gate.open()
        assert (await call(pool, b"4"))[1] == b"4"
        assert len(isolation.boxes) == 1


def test_as_many_environments_are_started_as_hold_the_calls() -> None:
    assert scale(demand(waiting=9, concurrency=4), host(max_starts=9), []) == Start(3)
    assert scale(demand(waiting=9, concurrency=4, starting=2), host(max_starts=9), []) == Start(1)


@given(st.lists(st.tuples(st.sampled_from(["begin", "end"]), st.integers(0, 4), st.integers(0, 10**6)), max_size=40))
def test_what_calls_are_accounted_comes_to_what_was_used_while_any_ran(
    steps: list[tuple[str, int, int]],
) -> None:
    slots, running, used, accounted = Slots(5), set[int](), 0, 0
    for what, number, cpu_us in steps:
        used += cpu_us if running else 0
        slots.book(cpu_us)
        if what == "begin" and number not in running:
            running.add(number)
            slots.begin(str(number))
        elif what == "end" and number in running:
            running.discard(number)
            accounted += slots.end(str(number))
    accounted += sum(slots.end(str(number)) for number in running)
    assert abs(accounted - used) <= len(steps)


async def test_a_line_belongs_to_the_call_it_names_or_to_the_only_one(tmp_path: Path) -> None:
    files = LogFiles(tmp_path, max_bytes=10**6, max_files=3)
    log = EnvironmentLog(files, ManualClock(), "eu", "f", "stream")
    log.join("one")
    log.line(b"alone")
    log.join("two")
    log.line(b"INFO two: here")
    log.line(b"whose?")
    log.line_of("one", b"told")
    log.leave("one")
    log.line(b"alone again")
    log.leave("two")
    log.line_of("two", b"late")
    files.close()
    folder = logs.folder_of(tmp_path, "eu", "f")
    assert [(line.request_id, line.text) for _, line in logs.read_from(folder, Position())] == [
        ("one", "alone"), ("two", "INFO two: here"), ("-", "whose?"), ("one", "told"), ("two", "alone again"),
        ("-", "late"),
    ]  # fmt: skip


def _fields(of: FunctionVersion) -> dict[str, Any]:
    return {"runtime": of.runtime, "environment": of.environment}
