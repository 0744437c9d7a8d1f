"""One platform on one data directory: everything around the supervisor, opened and closed in order."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable

from msgspec.structs import replace

import samovar
from samovar import s3
from samovar.access import credentials
from samovar.process import demand
from samovar.settings import Settings
from samovar.supervisor import data_dir, fork, leftovers, readiness, state
from samovar.supervisor.listener import open_listener, open_to, port_of
from samovar.supervisor.on_demand import OnDemand
from samovar.supervisor.state import PlatformState
from samovar.supervisor.store import files_to_sync
from samovar.supervisor.supervisor import Supervisor
from samovar.supervisor.syncing import syncing
from samovar.supervisor.table import children, uploads, workers

log = logging.getLogger("samovar.up")

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - looked up, not bound
"""Where this machine reaches a gateway that listens on all of its addresses."""

OnReady = Callable[[PlatformState], None]


async def run(settings: Settings, on_ready: OnReady) -> None:
    """Run a platform until a signal ends it. Raises `StartRefused` when it cannot be started.

    `on_ready` is called once, when the store, the invoker and the gateways answer.
    """
    settings = replace(settings, data_dir=str(settings.data))
    data_dir.prepare(settings)
    with data_dir.owned(settings):
        credentials.ensure(settings)
        leftovers.remove(settings)
        if settings.redis_url:
            await readiness.external_store_answers(settings.redis_url)
        with open_listener(settings.host, settings.port) as listener:
            settings = replace(settings, port=port_of(listener))
            fork.preload()
            try:
                with credentials.noted(settings):
                    await Platform(settings, listener).run(on_ready)
            finally:
                leftovers.remove(settings)
                leftovers.remove_run_dir(settings)


class Platform:
    """A supervisor and the state file that tells others about it."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._settings = settings
        host = _EVERYWHERE.get(settings.host, settings.host)
        self._supervisor = Supervisor(
            children(settings, host, listener.fileno()),
            listener=listener,
            drain_timeout_s=settings.drain_timeout_s,
            on_change=self._write_state,
        )
        self._demand = demand.listener()
        self._uploads: asyncio.Task[str] | None = None
        """Starts what uploads take, where they were used before: others need not wait for it."""
        self._state = PlatformState(
            pid=os.getpid(),
            birth=state.birth_of(os.getpid()),
            started=time.time(),
            version=samovar.__version__,
            url=f"http://{f'[{host}]' if ':' in host else host}:{settings.port}",
            data_dir=settings.data_dir,
            credentials="" if settings.auth == "none" else str(credentials.path_of(settings)),
            store=readiness.without_password(settings.store_url),
            isolation="",
            ready=False,
            processes=[],
            demand=demand.name_of(self._demand),
            open_to=open_to(listener),
        )

    async def run(self, on_ready: OnReady) -> None:
        """See `run` above."""

        groups = {"uploads": uploads(self._settings), "workers": workers(self._settings)}
        on_demand = OnDemand(groups, self._supervisor.start_late)

        async def ready() -> None:
            invoker = await readiness.invoker_identity(self._settings.invoker_socket)
            self._state = replace(self._state, ready=True, isolation=invoker.isolation if invoker else "")
            self._write_state()
            on_ready(self._state)
            if s3.is_wanted(self._settings):
                self._uploads = asyncio.create_task(on_demand.want("uploads"), name="uploads")

        async with on_demand.listening(self._demand), syncing(files_to_sync(self._settings)):
            await self._supervisor.run(ready)

    def _write_state(self) -> None:
        self._state = replace(self._state, processes=self._supervisor.processes)
        try:
            state.write(state.path_of(self._settings), self._state)
        except OSError as error:  # a full disk is no reason to stop serving
            log.warning("`samovar status` may be out of date: %s", error)
