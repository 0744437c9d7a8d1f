"""Real boxes with real seats, for tests of snapshot processes: a pool over one isolation and one function."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from invoker.environments.environment import Environment, RunResult
from invoker.environments.factory import EnvironmentFactory, FactorySettings
from invoker.environments.snapshots import REST_S, Snapshot, Snapshots
from invoker.environments.worker import EventHead
from invoker.isolation.cgroup import places_of
from invoker.isolation.contract import Isolation
from invoker.isolation.docker import DockerIsolation
from invoker.isolation.sandbox import SandboxIsolation
from invoker.isolation.seats import Seats
from invoker.logs.output import LogFiles
from invoker.pool.crowd import Crowd
from invoker.pool.keepalive import KeepAlive
from invoker.pool.lease import Lease
from invoker.pool.outlook import PoolSettings
from invoker.pool.pool import Pool
from samovar.clock import SystemClock
from samovar.function import FunctionVersion
from tests.contracts.conftest import BASE_IMAGE
from tests.contracts.harness import SUBJECT
from tests.invoker.building import UNREACHABLE, run, take, version

PATIENCE_S = 60.0


def docker(instance: str, seats: Seats) -> Isolation:
    """Containers."""
    return DockerIsolation(instance, base_image=BASE_IMAGE, seats=seats)


def sandbox(instance: str, seats: Seats) -> Isolation:
    """Bubblewrap."""
    return SandboxIsolation(instance, seats=seats)


ISOLATIONS = {"docker": docker, "sandbox": sandbox}


def groups_of(instance: str) -> list[Path]:
    """The control groups of seats that exist."""
    return sorted(places_of().folders["memory"].glob(f"samovar-{instance}-seats/*/"))


@dataclass
class House:
    """A pool whose environments are real, and calls to the one function it has."""

    pool: Pool
    snapshots: Snapshots
    seats: Seats
    folder: Path
    isolation: str
    logs: LogFiles
    numbers: list[int] = field(default_factory=list)

    def version(self, **changes: Any) -> FunctionVersion:
        """The function that runs what it is sent."""
        usual = {"handler": "subject.handler", "code_sha256": "code", "memory_mb": 256, "timeout_s": 10}
        return version(**usual | changes)

    async def first(self, of: FunctionVersion) -> Lease:
        """The first environment of a version, leased, with its snapshot process ready to fork."""
        lease = await take(self.pool, of)
        await until(lambda: self.snapshots.of(of) is not None)
        return lease

    def snapshot(self, of: FunctionVersion) -> Snapshot:
        """The snapshot process of a version that has one."""
        found = self.snapshots.of(of)
        assert found is not None
        return found

    async def attempt(self, environment: Environment, source: str, timeout_s: float = 10.0) -> RunResult:
        """What comes of running `source` there."""
        self.numbers.append(1)
        head = EventHead(f"request-{len(self.numbers)}", 4_000_000_000_000, "arn:aws:lambda")
        return await run(environment, head, msgspec.json.encode({"source": source}), timeout_s)

    async def run(self, environment: Environment, source: str) -> Any:
        """What `source` leaves in `result` there."""
        answer = await self.attempt(environment, source)
        assert answer.outcome == "ok", answer
        return msgspec.json.decode(answer.payload)


@contextlib.asynccontextmanager
async def house(make: Callable[[str, Seats], Isolation], **settings: Any) -> AsyncIterator[House]:
    """A pool over an isolation that `make` makes. Checks at the end that nothing is left."""
    folder = _folder(settings.pop("source", SUBJECT))
    instance = settings.pop("instance", None) or f"test-{secrets.token_hex(3)}"
    seats = Seats(instance)
    isolation, snapshots = make(instance, seats), Snapshots(seats, settings.pop("rest_s", REST_S))
    files = LogFiles(folder / "logs", 10**6, 3)
    factory_settings = FactorySettings(
        environments_dir=folder / "e", code_dir=folder / "code", default_isolation=isolation.name,
        default_network="none", default_oci_runtime="runc", start_timeout_s=20.0, init_timeout_s=10.0,
    )  # fmt: skip
    usual: dict[str, Any] = {
        "cores": 2, "max_starts": 2, "memory_budget_mb": 65536, "max_environments": 100,
        "max_environments_per_function": 100, "queue_timeout_s": 30.0, "init_timeout_s": 10.0, "queue_limit": 200,
        "keep_alive": KeepAlive(adaptive=False, ttl_s=600.0, min_s=60.0, max_s=3600.0),
    }  # fmt: skip
    factory = EnvironmentFactory(
        factory_settings, {isolation.name: isolation}, snapshots, files, SystemClock(), UNREACHABLE
    )
    pool_settings = PoolSettings(**usual | settings)
    pool = Pool(factory, pool_settings, Crowd(pool_settings.cores, SystemClock()), SystemClock())
    made = House(pool, snapshots, seats, folder, isolation.name, files)
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield made
    finally:
        await pool.close(0.0)
        await snapshots.close()
        await isolation.close()
        files.close()
        assert not list((folder / "e").iterdir()), "an environment left its folder behind"
        assert not groups_of(instance), "a seat left its control group behind"
        shutil.rmtree(folder)


def _folder(source: str) -> Path:
    """With a short path, because those of sockets are limited."""
    folder = Path(tempfile.mkdtemp(prefix="smv-"))
    folder.chmod(0o755)
    for name in ("e", "code/code"):
        (folder / name).mkdir(parents=True, mode=0o755)
    (folder / "code/code/subject.py").write_text(source)
    return folder


async def until(holds: Callable[[], bool]) -> None:
    """Return when it does."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.to_thread(lambda: None)


async def main(isolation: str) -> None:
    """An invoker to be killed: `python -m tests.invoker.seated ISOLATION` tells what is to be gone then, and waits."""
    instance = f"test-{secrets.token_hex(3)}"
    async with house(ISOLATIONS[isolation], instance=instance) as made:
        version = made.version()
        leases = [await made.first(version)]
        leases += [await take(made.pool, version) for _ in range(2)]
        pids = [str(lease.environment.pid) for lease in leases]
        sys.stdout.write(f"{instance} {made.folder} {' '.join(pids)}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
