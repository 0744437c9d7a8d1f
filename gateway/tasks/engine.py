"""The event loop of a worker process: what tasks share that talk to the store and run functions.

Celery's tasks are threads. Those that wait for many things at once hand their work to this loop, which has one
connection to the invoker and one cache of functions for all of them. It is started, and what it needs is loaded, when
the first task needs it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final, TypeVar

from gateway.events.doorbell import Doorbell
from samovar.settings import Settings

if TYPE_CHECKING:
    from gateway.tasks.tools import Tools

T = TypeVar("T")
_STARTS_WITHIN_S: Final = 30.0
_log = logging.getLogger(__name__)


class Engine:
    """Owner of the loop and of its thread. Its methods are called from other threads."""

    def __init__(self, settings: Settings, doorbell: Doorbell) -> None:
        self._settings = settings
        self._doorbell = doorbell
        self._lock = threading.Lock()
        self._started: Future[tuple[asyncio.AbstractEventLoop, Tools]] | None = None

    def run(self, work: Callable[[Tools], Awaitable[T]]) -> T:
        """Have some work done on the loop, and wait for it. Raises what it raises."""
        loop, tools = self._start().result(_STARTS_WITHIN_S)

        async def working() -> T:
            return await work(tools)

        return asyncio.run_coroutine_threadsafe(working(), loop).result()

    def stop(self) -> None:
        """Tell those who work that the process is to end. Returns at once."""
        if self._started is not None and self._started.done():
            loop, tools = self._started.result()
            loop.call_soon_threadsafe(tools.stopping.set)

    def _start(self) -> Future[tuple[asyncio.AbstractEventLoop, Tools]]:
        with self._lock:
            if self._started is None:
                self._started = Future()
                # A daemon: the process ends when its tasks have ended, which have waited for their work here.
                threading.Thread(target=self._serve, args=(self._started,), name="engine", daemon=True).start()
            return self._started

    def _serve(self, started: Future[tuple[asyncio.AbstractEventLoop, Tools]]) -> None:
        import uvloop

        from gateway.tasks.tools import open_tools

        async def serve() -> None:
            async with open_tools(self._settings, self._doorbell) as tools:
                started.set_result((asyncio.get_running_loop(), tools))
                await asyncio.get_running_loop().create_future()  # for ever

        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(serve())
        except Exception as error:  # noqa: BLE001 - told to whoever waits for it; the next task starts another one
            _log.exception("the worker's event loop ended")
            if not started.done():
                started.set_exception(error)
            self._started = None
