"""How a process asks for work: a line of events to be drained, a mapping to be polled. Some worker takes the task."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from samovar.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

DRAIN: Final = "samovar.drain_events"
"""The task that drains a line."""
_log = logging.getLogger(__name__)


class Doorbell:
    """Publishes tasks from a thread of its own; Celery is loaded when the first one is published.

    A task that cannot be published is not lost: sweeps find lines that nobody drains, and mappings nobody polls.
    """

    def __init__(self, app: Callable[[], Celery], wake: Callable[[], None] | None = None) -> None:
        """`app` makes the Celery app that publishes, when it is first needed; `wake` has workers start that rest."""
        self._make = app
        self._wake = wake
        self._thread = ThreadPoolExecutor(1, "doorbell")
        self._app: Celery | None = None

    def ring(self, lines: Iterable[str]) -> None:
        """Ask for these lines to be drained. Returns at once, and never raises."""
        self.ask(DRAIN, *((line,) for line in lines))

    def ring_later(self, line: str, seconds: float) -> None:
        """Ask for a line to be drained so much later. As `ring`."""
        self._submit(DRAIN, [(line,)], seconds)

    def ask(self, task: str, *calls: Sequence[str | int]) -> None:
        """Ask for a task to be done, once for each of these arguments. As `ring`."""
        self._submit(task, calls, None)

    def wake(self) -> None:
        """Have workers start that rest, for what no task is published. As `ring`."""
        if self._wake is not None:
            self._wake()

    def close(self) -> None:
        """Publish what is left, and end the thread. Blocks for as long as the broker may take."""
        self._thread.shutdown()

    def _submit(self, task: str, calls: Sequence[Sequence[str | int]], countdown: float | None) -> None:
        self.wake()  # before Celery is loaded here: a worker takes as long to load it
        with contextlib.suppress(RuntimeError):  # closed: the sweep will find them
            self._thread.submit(self._publish, task, calls, countdown).add_done_callback(_told)

    def _publish(self, task: str, calls: Sequence[Sequence[str | int]], countdown: float | None) -> None:
        if self._app is None:
            self._app = self._make()
        for arguments in calls:
            self._app.send_task(task, args=list(arguments), countdown=countdown, retry=False)


def publisher(settings: Settings) -> Celery:
    """An app that only publishes."""
    from gateway.tasks.celery_app import create_app  # 15 MiB, only where there are events

    return create_app(settings)


def _told(done: Future[None]) -> None:
    error = done.exception()
    if error is not None:
        _log.warning("nobody could be asked to work, a sweep will be within seconds: %s", error)
