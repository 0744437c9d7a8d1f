"""What gateways ask for besides invocations; the table is in `samovar/link/operations.py`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection

import msgspec

from invoker.environments.choice import Choice
from invoker.environments.environment import Environment
from invoker.environments.lifecycle import State
from invoker.environments.runtimes import Runtime, catalog, default_runtime, require_interpreter
from invoker.logs.output import LogFiles
from invoker.metering import Meter
from invoker.pool.pool import Pool
from invoker.pool.rollout import Rollouts
from invoker.pool.versions import Key
from invoker.server import Operation
from samovar.clock import Clock
from samovar.errors import EnvironmentFailure, InvalidParameterValue
from samovar.function import FunctionVersion
from samovar.link.operations import (
    EnvironmentView,
    Forget,
    ImageFound,
    ImageQuestion,
    InvokerIdentity,
    InvokerStatus,
    RuntimeStatus,
    Settle,
    Standing,
    Subject,
    Warm,
)
from samovar.names import FunctionReference

_FLUSH_DEADLINE_S = 2.0


class Operations:
    """One method an operation: JSON body in, JSON body out."""

    def __init__(
        self, rollouts: Rollouts, pool: Pool, meter: Meter, files: LogFiles, choice: Choice, clock: Clock
    ) -> None:
        self._rollouts = rollouts
        self._pool = pool
        self._meter = meter
        self._files = files
        self._choice = choice
        self._clock = clock
        self._started = clock.monotonic()

    def table(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "declare": self.declare,
            "settle": self.settle,
            "standing": self.standing,
            "warm": self.warm,
            "forget": self.forget,
            "environments": self.environments,
            "identity": self.identity,
            "status": self.status,
            "flush": self.flush,
            "image": self.image,
        }

    async def declare(self, body: bytes) -> bytes:
        """A version exists; if it is newer than what ran so far, that drains."""
        self._rollouts.declare(msgspec.json.decode(body, type=FunctionVersion))
        return b""

    async def settle(self, body: bytes) -> bytes:
        """A version exists, and somebody waits until calls get it."""
        order = msgspec.json.decode(body, type=Settle)
        self._rollouts.declare(order.version)
        await self._rollouts.settled(order.version, order.within_s)
        return self._standing(order.version.key)

    async def warm(self, body: bytes) -> bytes:
        """A version is about to take over calls of another one."""
        await self._rollouts.stand_by(msgspec.json.decode(body, type=Warm))
        return b""

    async def standing(self, body: bytes) -> bytes:
        """How far a version has come."""
        subject = msgspec.json.decode(body, type=Subject)
        return self._standing((subject.arn, subject.version))

    def _standing(self, key: Key) -> bytes:
        views = [view for view in self._pool.provisioned if (view.arn, view.version) == key]
        # While a version is rolled out there is a view of either record; the newer one is asked about.
        newest = max(views, key=lambda view: view.serial, default=None)
        return msgspec.json.encode(Standing(self._rollouts.is_settled(key), newest))

    async def forget(self, body: bytes) -> bytes:
        """A function or a version of it is gone."""
        order = msgspec.json.decode(body, type=Forget)
        self._rollouts.forget(order)
        if order.version is None:
            function = FunctionReference.parse(order.arn)
            self._files.finish(function.region or "", function.name)
        return b""

    async def environments(self, body: bytes) -> bytes:
        """Every environment there is."""
        return msgspec.json.encode([self._view(one) for one in self._pool.environments])

    def _view(self, environment: Environment) -> EnvironmentView:
        now = self._clock.monotonic()
        version = environment.version
        return EnvironmentView(
            id=environment.id,
            arn=version.arn,
            version=version.version,
            serial=version.serial,
            isolation=environment.isolation,
            state=environment.state,
            age_s=now - environment.created,
            idle_s=now - environment.idle_since if environment.state is State.IDLE else 0.0,
            invocations=environment.invocations,
            memory_mb=version.limits.memory_mb,
            peak_mb=-(-environment.peak_bytes // 2**20),
            pid=environment.pid,
            box=environment.box_id,
        )

    async def identity(self, body: bytes) -> bytes:
        """Who this is."""
        return msgspec.json.encode(InvokerIdentity(pid=os.getpid(), isolation=self._choice.default))

    async def status(self, body: bytes) -> bytes:
        """How this invoker is doing."""
        return msgspec.json.encode(
            InvokerStatus(
                pid=os.getpid(),
                uptime_s=self._clock.monotonic() - self._started,
                isolation=self._choice.default,
                isolations=await self._choice.present(),
                runtimes=await asyncio.to_thread(_runtime_statuses, self._choice.offered),
                default_runtime=default_runtime(),
                environments=len(self._pool.environments),
                idle=self._pool.count(State.IDLE),
                busy=self._pool.count(State.BUSY),
                waiting=self._pool.waiting,
                memory_budget_mb=self._pool.budget_mb,
                memory_reserved_mb=self._pool.reserved_mb,
                journal_pending=self._meter.pending,
                provisioned=[view for view in self._pool.provisioned if view.wanted],
            )
        )

    async def image(self, body: bytes) -> bytes:
        """Which image the engine has under a name. Raises `InvalidParameterValue` when it has none."""
        uri = msgspec.json.decode(body, type=ImageQuestion).uri
        if self._choice.images is None:
            raise InvalidParameterValue(
                "PackageType Image needs isolation docker, which this host does not offer (see `samovar status`)"
            )
        found = await self._choice.images.find_image(uri)
        if found is None:
            raise InvalidParameterValue(
                f"Source image {uri} does not exist. Provide a valid source image that this host's Docker engine has."
            )
        return msgspec.json.encode(ImageFound(found))

    async def flush(self, body: bytes) -> bytes:
        """Bring every reading taken so far to Redis."""
        await self._meter.flush(_FLUSH_DEADLINE_S)
        return b""


def _runtime_statuses(offered: Collection[str]) -> list[RuntimeStatus]:
    """Of every runtime; the first time, this starts interpreters."""
    return [_runtime_status(one, offered) for one in catalog().values()]


def _runtime_status(runtime: Runtime, offered: Collection[str]) -> RuntimeStatus:
    if not runtime.interpreters:
        return RuntimeStatus(name=runtime.name, available=True, detail="runs the function's own bootstrap")
    try:
        return RuntimeStatus(name=runtime.name, available=True, detail=require_interpreter(runtime.name).executable)
    except EnvironmentFailure as failure:
        if "docker" in offered:
            detail = f"image {runtime.image}, isolation docker only"
            return RuntimeStatus(name=runtime.name, available=True, detail=detail, missing=failure.message)
        return RuntimeStatus(name=runtime.name, available=False, detail=failure.message)
