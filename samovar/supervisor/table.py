"""The table of children: which processes make up the platform, and in which order they come and go."""

from __future__ import annotations

import os
import signal
from functools import partial

from samovar.settings import Settings
from samovar.supervisor import readiness
from samovar.supervisor.child import ChildSpec
from samovar.supervisor.launch import fixed_environment
from samovar.supervisor.process import Command, Module
from samovar.supervisor.s3 import S3Command
from samovar.supervisor.store import store_command, store_socket

STORE_LOADS_S = 120.0
"""A store of gigabytes reads its file for a minute before it answers."""

INVOKER_PREPARES_S = 300.0
"""The first start of all may have to pull a base image and build the default runtime's image from it."""

_WHEN_CALLS_ARE_SERVED = 2
"""The worker is started late: nobody waits for what it does, and everybody for those it would take the cores from."""

WORKER = "worker"
_LAST, _LATE, _BETWEEN, _FIRST = 3, 2, 1, 0
"""Order of stopping: first what takes work in, then what does it, then what hears of it, then what remembers it."""


def children(settings: Settings, host: str, listener_fd: int) -> list[ChildSpec]:
    """Every child for these settings. `settings.port` is the bound port, `host` an address it answers on."""
    invoker = ChildSpec(
        name="invoker",
        command=_module(settings, "invoker"),
        ready=partial(readiness.invoker_answers, settings.invoker_socket),
        ready_timeout_s=INVOKER_PREPARES_S,
        stops=_BETWEEN,
    )
    gateways = [
        ChildSpec(
            name=name,
            command=_module(settings, "gateway", "--fd", str(listener_fd), pass_fds=(listener_fd,)),
            ready=partial(readiness.gateway_answers, host, settings.port),
            stops=_FIRST,
        )
        for name in gateway_names(settings.gateway_workers)
    ]
    return [*([] if settings.redis_url else [_store(settings)]), invoker, *gateways, *workers(settings)]


def workers(settings: Settings) -> list[ChildSpec]:
    """The workers. They rest while there is nothing for them, unless they are to run always."""
    rests = settings.worker_rest_s > 0
    flags = ["--rests"] if rests else []
    return [
        ChildSpec(
            name=name,
            command=_module(settings, "gateway.tasks.worker", *flags, *(["--beat"] if name == WORKER else [])),
            ready=None,
            starts=_WHEN_CALLS_ARE_SERVED,
            stops=_FIRST,
            rests=rests,
        )
        for name in worker_names(settings.workers)
    ]


def uploads(settings: Settings) -> list[ChildSpec]:
    """What uploads take: the S3 server, unless it is somebody else's, and the process that follows its changes."""
    server = ChildSpec(
        name="s3",
        command=S3Command(settings=settings),
        ready=partial(readiness.s3_answers, settings),
        stops=_BETWEEN,
        stop_signal=signal.SIGKILL,  # it would wait 15 s for its own parts; what it acknowledged is with the kernel
    )
    watcher = ChildSpec(name="uploads", command=_module(settings, "gateway.uploads"), ready=None, stops=_LATE)
    return [*([] if settings.s3_url else [server]), watcher]


def _module(settings: Settings, name: str, *arguments: str, pass_fds: tuple[int, ...] = ()) -> Module:
    """A part of the platform, known by its name alone."""
    return Module(
        name=name,
        arguments=arguments,
        environment=fixed_environment(settings, os.environ),
        folder=settings.data,
        pass_fds=pass_fds,
    )


def _store(settings: Settings) -> ChildSpec:
    return ChildSpec(
        name="store",
        command=Command(argv=store_command(settings), environment=os.environ, folder=settings.data),
        ready=partial(readiness.store_answers, store_socket(settings)),
        ready_timeout_s=STORE_LOADS_S,
        starts=0,
        stops=_LAST,
        hurries=False,  # it has nothing to wait for, and would leave without the last fsync
    )


def gateway_names(workers: int) -> list[str]:
    """`gateway` alone, or `gateway-1`, `gateway-2` and so on."""
    return ["gateway"] if workers == 1 else [f"gateway-{number}" for number in range(1, workers + 1)]


def worker_names(workers: int) -> list[str]:
    """`worker`, `worker-2` and so on."""
    return [WORKER if number == 1 else f"{WORKER}-{number}" for number in range(1, workers + 1)]
