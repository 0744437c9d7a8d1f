"""The whole wiring of an invoker on one screen, and its life: start, run, drain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from invoker.environments.choice import Choice, choose
from invoker.environments.factory import EnvironmentFactory, FactorySettings
from invoker.environments.reach import Reach, gateway_address
from invoker.environments.snapshots import Snapshots
from invoker.invoke import Invocations
from invoker.isolation.seats import Seats
from invoker.journal import Journal
from invoker.logs.log_groups import LogGroups
from invoker.logs.output import LogFiles
from invoker.metering import Meter
from invoker.operations import Operations
from invoker.pool.crowd import Crowd
from invoker.pool.keepalive import KeepAlive
from invoker.pool.outlook import PoolSettings
from invoker.pool.pool import Pool
from invoker.pool.rollout import Rollouts
from invoker.pool.versions import Versions
from invoker.server import Server
from samovar.access import sessions
from samovar.clock import SystemClock
from samovar.errors import StartRefused
from samovar.invocation import AnswerLimits
from samovar.process import heap
from samovar.settings import Settings

log = logging.getLogger("samovar.invoker")

_REDIS_TIMEOUT_S = 5.0


async def serve(settings: Settings) -> None:
    """Run an invoker until SIGTERM or SIGINT, then drain it; a second signal cuts running calls off.

    Raises `StartRefused` when it cannot run here.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(settings) as pool:
        await stop.wait()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, pool.hurry)
        log.info("draining: running calls have %g s to finish", settings.drain_timeout_s)


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Pool]:
    """An invoker that listens, for the length of a block; leaving it drains."""
    clock = SystemClock()
    instance = instance_id(settings.data)
    seats = Seats(instance)
    reach = _reach(settings)
    choice = await choose(settings, instance, seats, reach)
    await _clean_up_after_predecessor(settings, choice, seats)

    redis: Redis = Redis.from_url(
        settings.store_url,
        socket_timeout=_REDIS_TIMEOUT_S,
        socket_connect_timeout=_REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    files = LogFiles(settings.logs_dir, settings.log_file_bytes, settings.log_files)
    meter = Meter(Journal(settings.journal_dir, instance), redis, settings.reading_retention_h * 3600)
    versions = Versions()
    snapshots = Snapshots(seats)
    factory = EnvironmentFactory(_factory_settings(settings, choice), choice.offered, snapshots, files, clock, reach)
    pool_settings = _pool_settings(settings)
    pool = Pool(factory, pool_settings, Crowd(pool_settings.cores, clock), clock)
    rollouts = Rollouts(versions, pool, clock, settings.start_timeout_s + settings.init_timeout_s)
    groups = LogGroups(files, settings.logs_dir, clock)
    invocations = Invocations(versions, pool, meter, clock)
    operations = Operations(rollouts, pool, meter, files, choice, clock)
    server = Server(
        invocations, operations.table() | groups.table() | invocations.refused.table(), _max_event_bytes(settings)
    )

    meter.start()
    groups.start()
    await server.listen(settings.invoker_socket)
    heap.settle()
    log.info("ready: isolation %s%s", choice.default, _others(choice))
    try:
        yield pool
    finally:
        server.stop_accepting()
        await rollouts.close()
        await pool.close(settings.drain_timeout_s)
        await server.close(_REDIS_TIMEOUT_S)
        await groups.close()
        files.close()
        await meter.close(_REDIS_TIMEOUT_S)
        await redis.aclose()
        await snapshots.close()
        for isolation in choice.offered.values():
            await isolation.close()
        settings.invoker_socket.unlink(missing_ok=True)


def _others(choice: Choice) -> str:
    names = [name for name in choice.offered if name != choice.default]
    return f"; functions may also ask for {', '.join(names)}" if names else ""


def instance_id(data: Path) -> str:
    """What tells this installation's containers and cgroups from another's on the same host."""
    path = data / "instance"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(secrets.token_hex(4))
    return path.read_text().strip()


async def _clean_up_after_predecessor(settings: Settings, choice: Choice, seats: Seats) -> None:
    """Remove what a killed invoker left behind, before any work is accepted."""
    await seats.sweep()
    for name, isolation in choice.offered.items():
        removed = await isolation.sweep()
        if removed:
            log.warning("removed %d environments a former invoker left in %s", removed, name)
    folder = _environments_dir(settings)
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o711, exist_ok=True)


def _max_event_bytes(settings: Settings) -> int:
    """The gateway keeps callers to their limit; the event around a body it let in can be several times its size.

    JSON writes a control character as six bytes; Base64 and the request's head stay far below that.
    """
    return 6 * settings.max_payload_bytes + 2**20


def _reach(settings: Settings) -> Reach:
    """Raises `StartRefused` when the key for functions' tokens cannot be had."""
    try:
        return Reach(gateway_address(settings), sessions.key_of(settings.secrets_key))
    except OSError as error:
        raise StartRefused(f"the key of all secrets, {settings.secrets_key}: {error.strerror}") from error


def _environments_dir(settings: Settings) -> Path:
    return settings.run_dir / "environments"


def _factory_settings(settings: Settings, choice: Choice) -> FactorySettings:
    return FactorySettings(
        environments_dir=_environments_dir(settings),
        code_dir=settings.code_dir,
        default_isolation=choice.default,
        default_network=settings.network,
        default_oci_runtime=settings.oci_runtime,
        start_timeout_s=settings.start_timeout_s,
        init_timeout_s=settings.init_timeout_s,
        answers=AnswerLimits(settings.max_response_bytes, settings.max_stream_bytes),
    )


def _pool_settings(settings: Settings) -> PoolSettings:
    cores = len(os.sched_getaffinity(0))
    return PoolSettings(
        cores=cores,
        memory_budget_mb=settings.memory_budget_mb or psutil.virtual_memory().total // 2**20,
        max_environments=settings.max_environments,
        max_environments_per_function=settings.max_environments_per_function,
        max_starts=settings.max_starts or cores,
        keep_alive=KeepAlive(
            adaptive=settings.keep_alive == "adaptive",
            ttl_s=settings.idle_ttl_s,
            min_s=settings.keep_alive_min_s,
            max_s=settings.keep_alive_max_s,
        ),
        queue_timeout_s=settings.queue_timeout_s,
        init_timeout_s=settings.init_timeout_s,
        queue_limit=settings.queue_limit,
    )
