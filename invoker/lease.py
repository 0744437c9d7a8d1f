"""The holding of an environment by one invocation, as a context manager."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from invoker.environment import Environment
from invoker.shelf import Cold
from samovar.function import FunctionVersion


class Lender(Protocol):
    """Who environments are leased from: the pool."""

    async def acquire(self, lease: Lease) -> None:
        """Fill a lease."""
        ...

    def release(self, lease: Lease, *, worker_lost: bool) -> None:
        """Take the environment back."""
        ...


class Lease:
    """An environment, for one invocation: `async with pool.lease(version) as lease`."""

    def __init__(self, pool: Lender, version: FunctionVersion) -> None:
        self._pool = pool
        self.version = version
        self.environment: Environment
        self.cold: Cold | None = None
        """Why and how it was started, when the call had to wait for just that."""
        self.queue_ms = 0.0
        self.worker_lost = False
        """Set by the holder when the environment needs a new worker before it can be used again."""
        self.duration_s = 0.0
        """Set by the holder: how long the invocation took."""

    async def __aenter__(self) -> Lease:
        await self._pool.acquire(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A holder that was interrupted leaves a worker in an unknown state.
        self._pool.release(self, worker_lost=self.worker_lost or error is not None)
