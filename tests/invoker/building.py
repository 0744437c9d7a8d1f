"""Builders for tests of the pool and what is above it: real environments over the `fake` isolation."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invoker.environments.environment import Environment, RunResult
from invoker.environments.factory import EnvironmentFactory, FactorySettings
from invoker.environments.reach import Reach
from invoker.environments.snapshots import Snapshots
from invoker.environments.worker import EventHead
from invoker.isolation.fake import FakeIsolation, Function
from invoker.isolation.seats import Seats
from invoker.logs.output import LogFiles
from invoker.pool.crowd import Crowd
from invoker.pool.keepalive import KeepAlive
from invoker.pool.lease import Lease
from invoker.pool.outlook import PoolSettings
from invoker.pool.pool import Pool
from samovar.clock import SystemClock
from samovar.function import FunctionVersion, Limits

DEADLINE_S = 30.0
UNREACHABLE = Reach(None, b"key")
"""No platform is there for functions to reach."""


def version(**changes: Any) -> FunctionVersion:
    """A function record; `timeout_s` and `memory_mb` go to its limits."""
    limits = Limits(**{name: changes.pop(name) for name in ("timeout_s", "memory_mb") if name in changes})
    usual: dict[str, Any] = {
        "name": "f", "account": "123456789012", "region": "us-east-1", "serial": 1, "revision_id": "r",
        "runtime": "python3.11", "handler": "app.handler", "code_sha256": "code", "limits": limits,
    }  # fmt: skip
    return FunctionVersion(**usual | changes)


class Gate:
    """A handler that answers only when told, so that a test decides when an environment becomes free."""

    def __init__(self) -> None:
        self.running = 0
        self._open = asyncio.Event()

    async def handle(self, event: Any, head: Any) -> Any:
        """The handler."""
        self.running += 1
        try:
            await self._open.wait()
        finally:
            self.running -= 1
        return event

    def open(self) -> None:
        """Let every call through, also later ones."""
        self._open.set()


@contextlib.asynccontextmanager
async def pool_over(
    folder: Path, functions: dict[str, Function] | Callable[..., Any], **settings: Any
) -> AsyncIterator[tuple[Pool, FakeIsolation]]:
    """A pool on fake boxes that run `functions` (or one callable as `app.handler`)."""
    handlers = functions if isinstance(functions, dict) else {"app.handler": Function(functions)}
    isolation = FakeIsolation(handlers, has_mailboxes=settings.pop("has_mailboxes", False))
    environments = folder / "e"
    environments.mkdir()
    files = LogFiles(folder / "logs", 10**6, 3)
    start_timeout_s, init_timeout_s = settings.pop("start_timeout_s", 2.0), settings.pop("init_timeout_s", 2.0)
    factory_settings = FactorySettings(
        environments_dir=environments, code_dir=folder, default_isolation="fake", default_network="none",
        default_oci_runtime="runc", start_timeout_s=start_timeout_s, init_timeout_s=init_timeout_s,
    )  # fmt: skip
    usual: dict[str, Any] = {
        "cores": 4, "max_starts": 4, "memory_budget_mb": 4096, "max_environments": 50,
        "max_environments_per_function": 20,
        "keep_alive": KeepAlive(adaptive=True, ttl_s=600.0, min_s=60.0, max_s=3600.0), "queue_timeout_s": 5.0,
        "init_timeout_s": init_timeout_s, "queue_limit": 100,
    }  # fmt: skip
    clock = settings.pop("clock", SystemClock())
    snapshots = Snapshots(Seats("test", lambda _: None))
    factory = EnvironmentFactory(factory_settings, {"fake": isolation}, snapshots, files, clock, UNREACHABLE)
    core_times = settings.pop("core_times", lambda: (0.0, 0.0))
    pool_settings = PoolSettings(**usual | settings)
    pool = Pool(factory, pool_settings, Crowd(pool_settings.cores, clock, core_times), clock)
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield pool, isolation
    finally:
        await pool.close(0.0)
        files.close()
        assert not list(environments.iterdir()), "an environment left its folder behind"


async def take(pool: Pool, of: FunctionVersion) -> Lease:
    """An environment, to be released. Raises what refuses it."""
    future: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
    lease = Lease(of, future.set_result, future.set_exception)
    pool.request(lease)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        assert pool.withdraw(lease)
        raise


@dataclass
class Held:
    """A lease, and whether its worker is lost."""

    lease: Lease
    worker_lost: bool = False

    @property
    def environment(self) -> Environment:
        """The lease's."""
        return self.lease.environment


@contextlib.asynccontextmanager
async def leased(pool: Pool, of: FunctionVersion) -> AsyncIterator[Held]:
    """An environment for the length of a block. Raises what refuses it."""
    held = Held(await take(pool, of))
    try:
        yield held
    finally:
        pool.release(held.lease, worker_lost=held.worker_lost)


async def run(environment: Environment, head: EventHead, event: bytes, timeout_s: float) -> RunResult:
    """One event, to its end."""
    future: asyncio.Future[RunResult] = asyncio.get_running_loop().create_future()
    environment.run(head, event, timeout_s, future.set_result)
    return await future


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop turn until something is true."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - there is no event for "the pool looks like this"
            await asyncio.sleep(0)
