"""The pool over real environments in fake boxes: who gets what, when, and what is never handed out."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from invoker.environments.environment import InitFailed
from invoker.environments.lifecycle import State
from invoker.environments.worker import EventHead
from invoker.isolation.fake import Exit, Function, OutOfMemory, hang
from invoker.pool.keepalive import FEWEST, KeepAlive
from invoker.pool.lease import Lease
from invoker.pool.pool import Pool
from samovar.clock import ManualClock
from samovar.errors import EnvironmentFailure, ResourceNotFound, ServiceUnavailable, TooManyRequests
from samovar.function import FunctionVersion
from samovar.invocation import ColdReason, Outcome
from tests.invoker.building import Gate, leased, pool_over, run, until, version


def echo(event: Any, head: Any) -> Any:
    """A handler."""
    return event


async def call(pool: Pool, of: FunctionVersion, seen: list[Lease] | None = None) -> bytes:
    """One invocation, as `invoke.py` makes them."""
    async with leased(pool, of) as held:
        if seen is not None:
            seen.append(held.lease)
        head = EventHead("request", 0, of.arn)
        result = await run(held.environment, head, b'"event"', of.limits.timeout_s)
        held.worker_lost = result.worker_lost
        return result.payload


async def test_the_first_call_is_cold_and_the_next_reuses_its_environment(tmp_path: Path) -> None:
    leases: list[Lease] = []
    async with pool_over(tmp_path, echo) as (pool, isolation):
        for _ in range(3):
            assert await call(pool, version(), leases) == b'"event"'
        assert len(isolation.boxes) == 1
    assert [lease.cold.reason if lease.cold else None for lease in leases] == [ColdReason.FIRST_CALL, None, None]


async def test_the_last_used_environment_is_reused_first(tmp_path: Path) -> None:
    async with pool_over(tmp_path, echo) as (pool, _):
        async with leased(pool, version()) as one, leased(pool, version()) as two:
            older, newer = one.environment, two.environment
        async with leased(pool, version()) as again:
            assert again.environment is older
        assert older is not newer


async def test_two_calls_at_once_get_an_environment_each(tmp_path: Path) -> None:
    leases: list[Lease] = []
    gate = Gate()
    async with pool_over(tmp_path, gate.handle) as (pool, _):
        calls = [asyncio.create_task(call(pool, version(), leases)) for _ in range(2)]
        await until(lambda: gate.running == 2)
        gate.open()
        await asyncio.gather(*calls)
    assert leases[0].environment is not leases[1].environment
    assert {lease.cold.reason for lease in leases if lease.cold} == {ColdReason.FIRST_CALL, ColdReason.SCALE_OUT}


async def test_a_burst_never_has_more_starts_under_way_than_allowed(tmp_path: Path) -> None:
    gate = Gate()
    async with pool_over(tmp_path, gate.handle, max_starts=2, max_environments_per_function=6) as (pool, _):
        calls = [asyncio.create_task(call(pool, version())) for _ in range(30)]
        most = 0

        def all_up() -> bool:
            nonlocal most
            starting = pool.count(State.STARTING) + pool.count(State.INITIALISING)
            most = max(most, starting)
            return gate.running == 6

        await until(all_up)
        assert (most, len(pool.environments)) == (2, 6)
        gate.open()
        assert await asyncio.gather(*calls) == [b'"event"'] * 30


async def test_a_call_that_waits_too_long_is_throttled_with_a_time_to_retry(tmp_path: Path) -> None:
    gate = Gate()
    async with pool_over(tmp_path, gate.handle, max_environments_per_function=1, queue_timeout_s=0.05) as (pool, _):
        running = asyncio.create_task(call(pool, version()))
        await until(lambda: gate.running == 1)
        with pytest.raises(TooManyRequests) as refusal:
            await call(pool, version())
        assert refusal.value.retry_after is not None
        assert pool.waiting == 0
        gate.open()
        await running


async def test_a_call_without_room_gets_that_of_an_environment_that_becomes_idle(tmp_path: Path) -> None:
    gate = Gate()
    functions = {"app.handler": Function(gate.handle), "quick.handler": Function(echo)}
    async with pool_over(tmp_path, functions, memory_budget_mb=128) as (pool, isolation):
        running = asyncio.create_task(call(pool, version(name="g")))
        await until(lambda: gate.running == 1)
        waiting = asyncio.create_task(call(pool, version(handler="quick.handler")))
        await until(lambda: pool.waiting == 1)
        gate.open()
        assert {await running, await waiting} == {b'"event"'}
        assert isolation.boxes[0].destroyed == "evicted to make room"


async def test_reserved_concurrency_of_zero_switches_a_function_off(tmp_path: Path) -> None:
    async with pool_over(tmp_path, echo) as (pool, isolation):
        with pytest.raises(TooManyRequests) as refusal:
            await call(pool, version(max_environments=0))
        assert refusal.value.reason == "ReservedFunctionConcurrentInvocationLimitExceeded"
        assert not isolation.boxes


async def test_a_cancelled_call_leaves_the_queue_and_loses_no_environment(tmp_path: Path) -> None:
    gate = Gate()
    async with pool_over(tmp_path, gate.handle, max_environments_per_function=1) as (pool, _):
        running = asyncio.create_task(call(pool, version()))
        await until(lambda: gate.running == 1)
        waiting = asyncio.create_task(call(pool, version()))
        await until(lambda: pool.waiting == 1)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert pool.waiting == 0
        gate.open()
        await running
        assert await call(pool, version()) == b'"event"'
        assert len(pool.environments) == 1


async def test_new_code_serves_new_calls_while_old_calls_finish(tmp_path: Path) -> None:
    gate = Gate()
    functions = {"old.handler": Function(gate.handle), "new.handler": Function(lambda event, head: "new")}
    async with pool_over(tmp_path, functions) as (pool, isolation):
        old = asyncio.create_task(call(pool, version(handler="old.handler")))
        await until(lambda: gate.running == 1)
        new = version(handler="new.handler", serial=2)
        pool.supersede(new)
        leases: list[Lease] = []
        assert await call(pool, new, leases) == b'"new"'
        assert leases[0].cold is not None
        assert leases[0].cold.reason is ColdReason.NEW_VERSION
        gate.open()
        assert await old == b'"event"'
        await until(lambda: len(pool.environments) == 1)
        assert isolation.boxes[0].destroyed == "outdated"


async def test_calls_that_wait_when_new_code_comes_are_served_by_it(tmp_path: Path) -> None:
    gate = Gate()
    functions = {"old.handler": Function(gate.handle), "new.handler": Function(lambda event, head: "new")}
    async with pool_over(tmp_path, functions, max_environments_per_function=2) as (pool, _):
        old = version(handler="old.handler", max_environments=1)
        first = asyncio.create_task(call(pool, old))
        await until(lambda: gate.running == 1)
        second = asyncio.create_task(call(pool, old))
        await until(lambda: pool.waiting == 1)
        pool.supersede(version(handler="new.handler", serial=2))
        assert await second == b'"new"'
        gate.open()
        await first


async def test_an_environment_that_died_while_idle_is_never_handed_out(tmp_path: Path) -> None:
    leases: list[Lease] = []
    async with pool_over(tmp_path, echo) as (pool, isolation):
        await call(pool, version())
        isolation.boxes[0].die("killed by SIGKILL")
        await until(lambda: not pool.environments)
        assert await call(pool, version(), leases) == b'"event"'
    assert leases[0].cold is not None
    assert leases[0].cold.reason is ColdReason.CRASH


async def test_a_crash_costs_the_worker_and_keeps_the_environment(tmp_path: Path) -> None:
    crashes = iter([True, False])

    def handle(event: Any, head: Any) -> str:
        if next(crashes):
            raise Exit(signal=11)
        return "alive"

    leases: list[Lease] = []
    async with pool_over(tmp_path, handle, max_environments_per_function=1) as (pool, isolation):
        assert b"segmentation fault" in await call(pool, version(), leases)
        assert await call(pool, version(), leases) == b'"alive"'
        assert len(isolation.boxes) == 1
    assert leases[1].environment is leases[0].environment


async def test_an_environment_that_ran_out_of_memory_is_replaced(tmp_path: Path) -> None:
    hungry = iter([True, False])

    def handle(event: Any, head: Any) -> str:
        if next(hungry):
            raise OutOfMemory
        return "alive"

    leases: list[Lease] = []
    async with pool_over(tmp_path, handle) as (pool, isolation):
        assert b"Runtime.OutOfMemory" in await call(pool, version(), leases)
        assert await call(pool, version(), leases) == b'"alive"'
        assert isolation.boxes[0].destroyed == "out of memory"
    assert leases[1].environment is not leases[0].environment


async def test_a_call_right_after_a_crash_waits_for_the_same_environment(tmp_path: Path) -> None:
    crashes = iter([True, False])

    def handle(event: Any, head: Any) -> str:
        if next(crashes):
            raise Exit(signal=11)
        return "alive"

    async with pool_over(tmp_path, handle) as (pool, isolation):
        await call(pool, version())
        assert await call(pool, version()) == b'"alive"'
        assert len(isolation.boxes) == 1


async def test_a_failed_initialisation_answers_every_call_that_waits_for_it(tmp_path: Path) -> None:
    def init() -> None:
        raise ImportError("no module named nothing")

    async with pool_over(tmp_path, {"app.handler": Function(echo, init)}, max_starts=1) as (pool, isolation):
        outcomes = await asyncio.gather(*(call(pool, version()) for _ in range(5)), return_exceptions=True)
        assert all(isinstance(outcome, InitFailed) for outcome in outcomes)
        assert b"no module named nothing" in outcomes[0].payload  # type: ignore[union-attr] # narrowed above
        await until(lambda: not pool.environments)
        assert len(isolation.boxes) == 1


async def test_a_start_that_the_host_refuses_is_told_in_its_words_and_tried_again(tmp_path: Path) -> None:
    async with pool_over(tmp_path, echo) as (pool, isolation):
        isolation.refusal = "the engine is gone"
        with pytest.raises(EnvironmentFailure, match="the engine is gone"):
            await call(pool, version())
        isolation.refusal = None
        assert await call(pool, version()) == b'"event"'


async def test_a_call_waits_for_a_busy_environment_when_the_host_refuses_another(tmp_path: Path) -> None:
    gate = Gate()
    async with pool_over(tmp_path, gate.handle) as (pool, isolation):
        running = asyncio.create_task(call(pool, version()))
        await until(lambda: gate.running == 1)
        isolation.refusal = "the engine is gone"
        waiting = asyncio.create_task(call(pool, version()))
        await until(lambda: len(pool.environments) == 2)
        await until(lambda: len(pool.environments) == 1)
        gate.open()
        assert list(await asyncio.gather(running, waiting)) == [b'"event"', b'"event"']


async def test_a_host_without_room_for_a_folder_is_told_to_the_call(tmp_path: Path) -> None:
    async with pool_over(tmp_path, echo) as (pool, _):
        (tmp_path / "e").rename(tmp_path / "gone")
        with pytest.raises(EnvironmentFailure, match=r"no environment could be started: .*No such file"):
            await call(pool, version())
        (tmp_path / "gone").rename(tmp_path / "e")
        assert await call(pool, version()) == b'"event"'


async def test_a_box_that_never_says_hello_is_given_up(tmp_path: Path) -> None:
    async with pool_over(tmp_path, echo, start_timeout_s=0.05) as (pool, isolation):
        isolation.silent = True
        with pytest.raises(EnvironmentFailure, match=r"within 0.05 s"):
            await call(pool, version())
        await until(lambda: not pool.environments)


async def test_an_initialisation_has_the_functions_own_timeout_where_that_is_longer(tmp_path: Path) -> None:
    """Lambda begins it again with that time after ten seconds; the call that waits for it is not turned away."""
    is_done = asyncio.Event()
    functions = {"app.handler": Function(echo, init=is_done.wait)}
    async with pool_over(tmp_path, functions, init_timeout_s=0.02, queue_timeout_s=0.02) as (pool, _):
        asyncio.get_running_loop().call_later(0.2, is_done.set)
        assert await call(pool, version(timeout_s=60)) == b'"event"'


async def test_an_initialisation_that_hangs_is_given_up(tmp_path: Path) -> None:
    functions = {"app.handler": Function(echo, init=hang)}
    async with pool_over(tmp_path, functions, init_timeout_s=0.02, queue_timeout_s=0.02) as (pool, _):
        with pytest.raises(InitFailed) as failed:
            await call(pool, version(timeout_s=1))
        await until(lambda: not pool.environments)
    assert failed.value.outcome is Outcome.TIMEOUT
    assert b"Task timed out after 1.00 seconds" in failed.value.payload


async def test_idle_environments_expire(tmp_path: Path) -> None:
    leases: list[Lease] = []
    keep = KeepAlive(adaptive=False, ttl_s=0.02, min_s=60.0, max_s=60.0)
    async with pool_over(tmp_path, echo, keep_alive=keep) as (pool, _):
        await call(pool, version())
        await until(lambda: not pool.environments)
        await call(pool, version(), leases)
    assert leases[0].cold is not None
    assert leases[0].cold.reason is ColdReason.EXPIRED


async def test_a_full_box_makes_room_by_evicting_the_idle_environment_of_least_worth(tmp_path: Path) -> None:
    leases: list[Lease] = []
    async with pool_over(tmp_path, echo, memory_budget_mb=256) as (pool, isolation):
        for _ in range(200):
            await call(pool, version(name="busy"))
        await call(pool, version(name="rare"))
        await call(pool, version(name="other"))
        assert pool.reserved_mb <= 256
        assert [box.destroyed for box in isolation.boxes] == [None, "evicted to make room", None]
        await call(pool, version(name="rare"), leases)
    assert leases[0].cold is not None
    assert leases[0].cold.reason is ColdReason.EVICTED
    preparation = leases[0].cold.preparation
    assert preparation.idle_s is not None
    assert preparation.kept_s is not None
    assert preparation.idle_s >= preparation.kept_s


async def test_a_short_keep_alive_is_not_held_up_by_the_timer_of_a_long_one(tmp_path: Path) -> None:
    clock = ManualClock()
    keep = KeepAlive(adaptive=True, ttl_s=86_400.0, min_s=0.01, max_s=300.0)
    async with pool_over(tmp_path, echo, keep_alive=keep, clock=clock) as (pool, _):
        for _ in range(FEWEST + 1):
            await call(pool, version(name="hourly"))
            clock.advance(3600.0)
        await call(pool, version(name="unknown"))
        await call(pool, version(name="hourly"))

        def left() -> list[str]:
            clock.advance(0.001)
            return [one.version.name for one in pool.environments]

        await until(lambda: left() == ["unknown"])


async def test_a_call_that_finds_its_environment_gone_teaches_how_long_the_pause_was(tmp_path: Path) -> None:
    clock = ManualClock()
    keep = KeepAlive(adaptive=True, ttl_s=0.01, min_s=60.0, max_s=7200.0)
    leases: list[Lease] = []
    async with pool_over(tmp_path, echo, keep_alive=keep, clock=clock) as (pool, _):
        for _ in range(FEWEST):
            await call(pool, version(), leases)
            clock.advance(1.0)
            await until(lambda: not pool.environments)
            clock.advance(1199.0)
        await call(pool, version(), leases)
        clock.advance(30.0)
        await call(pool, version(), leases)
    assert [lease.cold.reason if lease.cold else None for lease in leases[-3:]] == [
        ColdReason.EXPIRED, ColdReason.EXPIRED, None,
    ]  # fmt: skip
    assert leases[-2].cold is not None
    assert leases[-2].cold.preparation.idle_s == 1200.0
    assert leases[-2].cold.preparation.kept_s == 1.0


async def test_a_deleted_functions_waiting_calls_are_told(tmp_path: Path) -> None:
    gate = Gate()
    async with pool_over(tmp_path, gate.handle, max_environments_per_function=1) as (pool, _):
        running = asyncio.create_task(call(pool, version()))
        await until(lambda: gate.running == 1)
        waiting = asyncio.create_task(call(pool, version()))
        await until(lambda: pool.waiting == 1)
        pool.forget(version().key)
        with pytest.raises(ResourceNotFound, match="deleted"):
            await waiting
        gate.open()
        await running
        await until(lambda: not pool.environments)


async def test_shutdown_lets_running_calls_finish_and_takes_no_more(tmp_path: Path) -> None:
    gate = Gate()
    async with pool_over(tmp_path, gate.handle) as (pool, _):
        running = asyncio.create_task(call(pool, version()))
        await until(lambda: gate.running == 1)
        closing = asyncio.create_task(pool.close(5.0))
        await asyncio.sleep(0)
        with pytest.raises(ServiceUnavailable, match="shutting down"):
            await call(pool, version())
        gate.open()
        assert await running == b'"event"'
        await closing
        assert not pool.environments


async def test_shutdown_cuts_off_what_does_not_finish(tmp_path: Path) -> None:
    gate = Gate()
    async with pool_over(tmp_path, gate.handle) as (pool, isolation):
        running = asyncio.create_task(call(pool, version()))
        await until(lambda: gate.running == 1)
        await pool.close(0.01)
        assert b"Runtime.ExitError" in await running
        assert isolation.boxes[0].destroyed == "shutdown"


async def test_a_hurried_shutdown_does_not_wait(tmp_path: Path) -> None:
    gate = Gate()
    async with pool_over(tmp_path, gate.handle) as (pool, _):
        running = asyncio.create_task(call(pool, version()))
        await until(lambda: gate.running == 1)
        closing = asyncio.create_task(pool.close(1000.0))
        await asyncio.sleep(0)
        pool.hurry()
        await closing
        assert b"Runtime.ExitError" in await running


async def test_the_pool_says_what_it_holds(tmp_path: Path) -> None:
    async with pool_over(tmp_path, echo) as (pool, _):
        await call(pool, version())
        told = "0 of 1 environments are busy, 1 idle, 0 being started; 0 calls wait; 128 of 4096 MB are taken"
        assert repr(pool) == f"<Pool [{told}]>"
        assert "of f:$LATEST in fake: idle, 1 invocations" in repr(pool.environments[0])
