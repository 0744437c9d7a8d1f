"""A newer record comes into force when it is warm, and nobody who was told so is answered by the old one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from invoker.isolation.fake import Function
from invoker.pool.lease import Lease
from invoker.pool.pool import Pool
from invoker.pool.rollout import Rollouts
from invoker.pool.versions import Versions
from samovar.clock import SystemClock
from samovar.function import FunctionVersion
from samovar.link.operations import Forget, UnknownVersion
from tests.invoker.building import pool_over, until, version
from tests.invoker.test_pool import call

OLD = version(handler="old.handler")
NEW = version(handler="new.handler", serial=2)
NEWER = version(handler="newer.handler", serial=3)
LONG_S = 3.0


class Slow:
    """An initialisation that ends when told."""

    def __init__(self) -> None:
        self.begun = 0
        self._may_end = asyncio.Event()

    async def init(self) -> None:
        self.begun += 1
        await self._may_end.wait()

    def end(self) -> None:
        self._may_end.set()


class Platform:
    """Versions, pool and rollouts, called as the server calls them."""

    def __init__(self, pool: Pool, deadline_s: float) -> None:
        self.pool = pool
        self.versions = Versions()
        self.rollouts = Rollouts(self.versions, pool, SystemClock(), deadline_s)

    async def call(self, known: FunctionVersion, leases: list[Lease] | None = None) -> bytes:
        """A call from a gateway that knows this record."""
        return await call(self.pool, self.versions.resolve(known.arn, known.version, known.serial), leases)


def saying(word: str, slow: Slow | None = None) -> Function:
    return Function(lambda event, head: word, init=slow.init) if slow else Function(lambda event, head: word)


@contextlib.asynccontextmanager
async def platform(
    folder: Path, deadline_s: float = LONG_S, slow: Slow | None = None, **settings: Any
) -> AsyncIterator[Platform]:
    """One whose function has answered a call with its old code."""
    functions = {
        "old.handler": saying("old"),
        "new.handler": saying("new", slow),
        "newer.handler": saying("newer"),
    }
    async with pool_over(folder, functions, **settings) as (pool, _):
        made = Platform(pool, deadline_s)
        made.rollouts.declare(OLD)
        assert await made.call(OLD) == b'"old"'
        yield made
        await made.rollouts.close()


async def test_until_the_new_code_is_warm_the_old_answers_and_nobody_waits(tmp_path: Path) -> None:
    slow, leases = Slow(), list[Lease]()
    async with platform(tmp_path, slow=slow) as at:
        at.rollouts.declare(NEW)
        await until(lambda: slow.begun == 1)
        # Gateways that have not heard of it, and those that have.
        assert [await at.call(OLD, leases), await at.call(NEW, leases)] == [b'"old"', b'"old"']
        assert not at.rollouts.is_settled(NEW.key)
        slow.end()
        await at.rollouts.settled(NEW, LONG_S)
        assert [await at.call(OLD, leases), await at.call(NEW, leases)] == [b'"new"', b'"new"']
    assert [lease.cold for lease in leases] == [None] * 4


async def test_once_it_is_settled_no_call_gets_the_old_code(tmp_path: Path) -> None:
    async with platform(tmp_path) as at:
        for serial, word in ((2, b'"new"'), (3, b'"newer"')):
            record = {2: NEW, 3: NEWER}[serial]
            at.rollouts.declare(record)
            await at.rollouts.settled(record, LONG_S)
            assert await asyncio.gather(*(at.call(OLD) for _ in range(20))) == [word] * 20


async def test_the_deadline_puts_it_in_force_however_cold(tmp_path: Path) -> None:
    slow, leases = Slow(), list[Lease]()
    async with platform(tmp_path, deadline_s=0.02, slow=slow) as at:
        at.rollouts.declare(NEW)
        await at.rollouts.settled(NEW, LONG_S)
        waiting = asyncio.create_task(at.call(OLD, leases))
        await until(lambda: at.pool.waiting == 1)
        slow.end()
        assert await waiting == b'"new"'
        assert slow.begun == 1


async def test_waiting_for_it_has_an_end(tmp_path: Path) -> None:
    slow = Slow()
    async with platform(tmp_path, slow=slow) as at:
        at.rollouts.declare(NEW)
        await at.rollouts.settled(NEW, 0.01)
        assert not at.rollouts.is_settled(NEW.key)
        slow.end()


async def test_a_record_that_is_overtaken_never_comes_into_force(tmp_path: Path) -> None:
    slow = Slow()
    async with platform(tmp_path, slow=slow) as at:
        at.rollouts.declare(NEW)
        await until(lambda: slow.begun == 1)
        waiting = asyncio.create_task(at.rollouts.settled(NEW, LONG_S))
        at.rollouts.declare(NEWER)
        await waiting
        assert await at.call(NEW) == b'"newer"'
        slow.end()
        await until(lambda: len(at.pool.environments) == 1)
        assert await at.call(NEW) == b'"newer"'


async def test_a_limit_that_is_changed_during_a_rollout_does_not_begin_it_again(tmp_path: Path) -> None:
    slow = Slow()
    async with platform(tmp_path, slow=slow) as at:
        at.rollouts.declare(NEW)
        await until(lambda: slow.begun == 1)
        limited = version(handler="new.handler", serial=3, max_environments=5)
        at.rollouts.declare(limited)
        slow.end()
        await at.rollouts.settled(limited, LONG_S)
        assert await at.call(limited) == b'"new"'
        assert slow.begun == 1


async def test_a_function_that_is_deleted_meanwhile_is_gone(tmp_path: Path) -> None:
    slow = Slow()
    async with platform(tmp_path, slow=slow) as at:
        at.rollouts.declare(NEW)
        await until(lambda: slow.begun == 1)
        at.rollouts.forget(Forget(NEW.arn, 3))
        await at.rollouts.settled(NEW, LONG_S)
        with pytest.raises(UnknownVersion):
            await at.call(NEW)
        slow.end()
        await until(lambda: not at.pool.environments)


async def test_a_function_that_may_have_one_environment_has_never_two(tmp_path: Path) -> None:
    single, follower = version(max_environments=1), version(serial=2, handler="new.handler", max_environments=1)
    functions = {"app.handler": saying("old"), "new.handler": saying("new")}
    async with pool_over(tmp_path, functions) as (pool, isolation):
        at = Platform(pool, LONG_S)
        at.rollouts.declare(single)
        await at.call(single)
        at.rollouts.declare(follower)
        assert at.rollouts.is_settled(follower.key)
        assert len(isolation.boxes) == 1
        assert await at.call(follower) == b'"new"'
