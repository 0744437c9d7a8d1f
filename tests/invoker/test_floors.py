"""Environments that are ready before a call asks: provisioned ones, and those of a version that is to follow."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from invoker.environments.environment import InitFailed
from invoker.environments.lifecycle import State
from invoker.isolation.fake import Function
from invoker.pool.keepalive import KeepAlive
from invoker.pool.lease import Lease
from invoker.pool.pool import Pool
from samovar.clock import ManualClock
from samovar.errors import TooManyRequests
from samovar.function import FunctionVersion
from samovar.invocation import ColdReason
from samovar.provisioning import Provision
from tests.invoker.building import Gate, pool_over, until, version
from tests.invoker.test_pool import call, echo


def provisioned(count: int, **changes: Any) -> FunctionVersion:
    return version(provisioned=(Provision(count=count),), **changes)


def idle(pool: Pool) -> int:
    return pool.count(State.IDLE)


async def test_they_are_started_without_a_call_and_serve_the_first_ones_warm(tmp_path: Path) -> None:
    gate, leases = Gate(), list[Lease]()
    async with pool_over(tmp_path, gate.handle) as (pool, isolation):
        pool.supersede(provisioned(2))
        await until(lambda: idle(pool) == 2)
        calls = [asyncio.create_task(call(pool, provisioned(2), leases)) for _ in range(2)]
        await until(lambda: gate.running == 2)
        assert [lease.cold for lease in leases] == [None, None]
        assert len(isolation.boxes) == 2
        gate.open()
        await asyncio.gather(*calls)


async def test_no_more_are_started_at_once_than_the_host_allows(tmp_path: Path) -> None:
    async with pool_over(tmp_path, echo, max_starts=2) as (pool, _):
        pool.supersede(provisioned(6))
        assert len(pool.environments) == 2
        await until(lambda: idle(pool) == 6)
        assert (pool.provisioned[0].wanted, pool.provisioned[0].ready) == (6, 6)


async def test_one_that_dies_is_replaced(tmp_path: Path) -> None:
    async with pool_over(tmp_path, echo) as (pool, isolation):
        pool.supersede(provisioned(1))
        await until(lambda: idle(pool) == 1)
        isolation.boxes[0].die("killed by SIGKILL")
        await until(lambda: len(isolation.boxes) == 2 and idle(pool) == 1)


async def test_keep_alive_ends_only_what_is_beyond_them(tmp_path: Path) -> None:
    gate = Gate()
    keep = KeepAlive(adaptive=False, ttl_s=0.02, min_s=0.02, max_s=1.0)
    async with pool_over(tmp_path, gate.handle, keep_alive=keep) as (pool, _):
        pool.supersede(provisioned(1))
        calls = [asyncio.create_task(call(pool, provisioned(1))) for _ in range(3)]
        await until(lambda: gate.running == 3)
        gate.open()
        await asyncio.gather(*calls)
        await until(lambda: len(pool.environments) == 1)
        assert idle(pool) == 1
        pool.supersede(version(serial=2))
        await until(lambda: not pool.environments)


async def test_they_make_others_leave_and_are_not_made_to_leave(tmp_path: Path) -> None:
    async with pool_over(tmp_path, echo, memory_budget_mb=256) as (pool, isolation):
        for name in ("g", "h"):
            await call(pool, version(name=name))
        pool.supersede(provisioned(1))
        await until(lambda: len(isolation.boxes) == 3 and idle(pool) == 2)
        assert sorted(str(box.destroyed) for box in isolation.boxes) == ["None", "None", "evicted to make room"]
        await call(pool, version(name="i"))
        assert [box.destroyed for box in isolation.boxes[:2]] == ["evicted to make room"] * 2
        assert isolation.boxes[2].destroyed is None


async def test_what_does_not_fit_is_said_and_started_when_there_is_room(tmp_path: Path) -> None:
    gate = Gate()
    async with pool_over(tmp_path, gate.handle, memory_budget_mb=256) as (pool, _):
        busy = asyncio.create_task(call(pool, version(name="g")))
        await until(lambda: gate.running == 1)
        pool.supersede(provisioned(2))
        await until(lambda: idle(pool) == 1)
        (view,) = pool.provisioned
        assert (view.wanted, view.ready) == (2, 1)
        assert "128 MB for one more do not fit: of 256 MB (memory_budget_mb), 256 are taken" in view.problem
        gate.open()
        await busy
        await until(lambda: pool.provisioned[0].ready == 2)
        assert pool.provisioned[0].problem == ""


async def test_one_that_cannot_be_initialised_is_said_and_not_tried_in_a_loop(tmp_path: Path) -> None:
    def fail() -> None:
        raise ValueError("no such table")

    functions = {"app.handler": Function(echo, init=fail)}
    async with pool_over(tmp_path, functions) as (pool, isolation):
        pool.supersede(provisioned(1))
        await until(lambda: bool(pool.provisioned[0].problem) and not pool.environments)
        assert "no such table" in pool.provisioned[0].problem
        assert len(isolation.boxes) == 1


async def test_a_call_that_waits_is_not_told_how_a_provisioned_one_failed_but_has_one_started(tmp_path: Path) -> None:
    begun, attempts = threading.Event(), list[int]()

    def fail_once() -> None:
        attempts.append(len(attempts))
        if attempts == [0]:
            assert begun.wait(10)
            raise ValueError("not ready")

    functions = {"app.handler": Function(echo, init=fail_once)}
    async with pool_over(tmp_path, functions, max_starts=1, init_timeout_s=20.0) as (pool, _):
        pool.supersede(provisioned(1))
        leases = list[Lease]()
        waiting = asyncio.create_task(call(pool, provisioned(1), leases))
        await until(lambda: pool.waiting == 1)
        begun.set()
        assert await waiting == b'"event"'
        assert leases[0].cold is not None
        assert "not ready" in pool.provisioned[0].problem or pool.provisioned[0].ready == 1


async def test_they_come_and_go_with_their_window(tmp_path: Path) -> None:
    # 1970-01-01 was a Thursday; the window opens a tenth of a second after the start.
    office = Provision(count=2, start="0 8 * * *", end="0 9 * * *")
    clock = ManualClock(epoch=8 * 3600 - 0.1)
    async with pool_over(tmp_path, echo, clock=clock) as (pool, _):
        pool.supersede(version(provisioned=(office,)))
        assert (pool.provisioned[0].wanted, pool.environments) == (0, [])
        clock.advance(0.1)
        await until(lambda: idle(pool) == 2)
        clock.advance(3600)
        pool.supersede(version(serial=2, provisioned=(office,)))
        assert pool.provisioned[0].wanted == 0
        assert idle(pool) == 2  # until their keep-alive is over


async def test_changing_their_number_replaces_none(tmp_path: Path) -> None:
    async with pool_over(tmp_path, echo) as (pool, isolation):
        await call(pool, version())
        pool.supersede(provisioned(2, serial=2))
        await until(lambda: idle(pool) == 2)
        pool.supersede(version(serial=3, max_environments=5))
        await call(pool, version(serial=3, max_environments=5))
        assert len(isolation.boxes) == 2
        assert not any(box.destroyed for box in isolation.boxes)
        assert pool.provisioned == []


async def test_a_limit_that_is_lowered_below_what_there_is_replaces_all(tmp_path: Path) -> None:
    async with pool_over(tmp_path, echo) as (pool, isolation):
        await call(pool, version())
        pool.supersede(version(serial=2, max_environments=0))
        with pytest.raises(TooManyRequests):
            await call(pool, version(serial=2, max_environments=0))
        await until(lambda: not pool.environments)
        assert isolation.boxes[0].destroyed == "outdated"


async def test_a_call_that_finds_all_of_them_busy_says_so(tmp_path: Path) -> None:
    gate, leases = Gate(), list[Lease]()
    async with pool_over(tmp_path, gate.handle) as (pool, _):
        pool.supersede(provisioned(1))
        await until(lambda: idle(pool) == 1)
        calls = [asyncio.create_task(call(pool, provisioned(1), leases)) for _ in range(2)]
        await until(lambda: gate.running == 2)
        gate.open()
        await asyncio.gather(*calls)
    cold = leases[1].cold
    assert cold is not None
    assert cold.reason is ColdReason.SCALE_OUT
    assert (cold.preparation.provisioned, cold.preparation.provisioned_ready) == (1, 1)


async def test_a_version_that_is_to_follow_is_warm_before_it_is_in_force(tmp_path: Path) -> None:
    functions = {"old.handler": Function(lambda event, head: "old"), "new.handler": Function(lambda event, head: "new")}
    old, new, leases = version(handler="old.handler"), version(handler="new.handler", serial=2), list[Lease]()
    async with pool_over(tmp_path, functions) as (pool, isolation):
        await call(pool, old)
        assert pool.warmth.can_warm_up(new)
        await pool.warmth.warm_up(new)
        assert idle(pool) == 2
        assert await call(pool, old) == b'"old"'
        pool.supersede(new)
        assert await call(pool, new, leases) == b'"new"'
        assert leases[0].cold is None
        await until(lambda: len(pool.environments) == 1)
        assert isolation.boxes[0].destroyed == "outdated"


async def test_as_many_as_are_provisioned_are_warm_before(tmp_path: Path) -> None:
    async with pool_over(tmp_path, echo) as (pool, isolation):
        pool.supersede(provisioned(3))
        await until(lambda: idle(pool) == 3)
        await pool.warmth.warm_up(provisioned(3, serial=2, code_sha256="new"))
        assert len(isolation.boxes) == 6
        pool.supersede(provisioned(3, serial=2, code_sha256="new"))
        await until(lambda: len(pool.environments) == 3)
        assert pool.provisioned[0].ready == 3


async def test_a_version_without_environments_needs_no_warm_up_nor_one_that_differs_in_numbers(tmp_path: Path) -> None:
    async with pool_over(tmp_path, echo) as (pool, _):
        assert not pool.warmth.can_warm_up(version())
        await call(pool, version())
        assert not pool.warmth.can_warm_up(version(serial=2, max_environments=7))
        assert pool.warmth.can_warm_up(version(serial=2, code_sha256="new"))
        assert not pool.warmth.can_warm_up(version(serial=2, code_sha256="new", max_environments=1))


async def test_a_warm_up_for_which_there_is_no_room_ends_at_once(tmp_path: Path) -> None:
    async with pool_over(tmp_path, echo, memory_budget_mb=128) as (pool, isolation):
        await call(pool, version())
        await pool.warmth.warm_up(version(serial=2, code_sha256="new"))
        assert len(isolation.boxes) == 1


async def test_a_warm_up_that_fails_ends_and_its_calls_meet_the_failure_themselves(tmp_path: Path) -> None:
    def fail() -> None:
        raise ValueError("broken")

    functions = {"app.handler": Function(echo), "new.handler": Function(echo, init=fail)}
    new = version(serial=2, handler="new.handler")
    async with pool_over(tmp_path, functions) as (pool, _):
        await call(pool, version())
        await pool.warmth.warm_up(new)
        assert await call(pool, version()) == b'"event"'
        pool.supersede(new)
        with pytest.raises(InitFailed, match="broken"):
            await call(pool, new)


async def test_a_version_that_is_overtaken_leaves_nothing(tmp_path: Path) -> None:
    async with pool_over(tmp_path, echo) as (pool, isolation):
        await call(pool, version())
        await pool.warmth.warm_up(version(serial=2, code_sha256="second"))
        await pool.warmth.warm_up(version(serial=3, code_sha256="third"))
        pool.supersede(version(serial=3, code_sha256="third"))
        await until(lambda: len(pool.environments) == 1)
        assert [box.destroyed for box in isolation.boxes] == ["outdated", "outdated", None]


async def test_a_function_that_is_deleted_during_a_warm_up_leaves_nothing(tmp_path: Path) -> None:
    async with pool_over(tmp_path, echo) as (pool, _):
        await call(pool, version())
        await pool.warmth.warm_up(version(serial=2, code_sha256="new"))
        pool.forget(version().key)
        await until(lambda: not pool.environments)


async def test_a_version_that_takes_over_is_started_if_the_other_is_in_use(tmp_path: Path) -> None:
    async with pool_over(tmp_path, echo) as (pool, isolation):
        second = version(version="2", serial=2)
        await pool.warmth.stand_by(second, "1")
        assert not isolation.boxes
        await call(pool, version(version="1"))
        await pool.warmth.stand_by(second, "1")
        assert len(isolation.boxes) == 2
        leases: list[Lease] = []
        await call(pool, second, leases)
        assert leases[0].cold is None
        await pool.warmth.stand_by(second, "1")
        assert len(isolation.boxes) == 2


async def test_an_idle_one_is_not_for_calls_whose_share_has_been_promised_to_another_version(tmp_path: Path) -> None:
    async with pool_over(tmp_path, echo) as (pool, _):
        latest = version(max_environments=1)
        assert await call(pool, latest)
        await until(lambda: idle(pool) == 1)
        pool.supersede(version(version="1", max_environments=1, provisioned=(Provision(count=1),)))
        with pytest.raises(TooManyRequests) as refused:
            await call(pool, latest)
        assert refused.value.reason == "ReservedFunctionConcurrentInvocationLimitExceeded"
