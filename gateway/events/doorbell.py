"""How a process asks for a line of events to be drained: by a Celery task, which some worker takes."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable
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

    A task that cannot be published is not lost: the sweep finds lines that nobody drains.
    """

    def __init__(self, app: Callable[[], Celery]) -> None:
        """`app` makes the Celery app that publishes, when it is first needed."""
        self._make = app
        self._thread = ThreadPoolExecutor(1, "doorbell")
        self._app: Celery | None = None

    def ring(self, lines: Iterable[str]) -> None:
        """Ask for these lines to be drained. Returns at once, and never raises."""
        self._submit(list(lines), None)

    def ring_later(self, line: str, seconds: float) -> None:
        """Ask for a line to be drained so much later. As `ring`."""
        self._submit([line], seconds)

    def close(self) -> None:
        """Publish what is left, and end the thread. Blocks for as long as the broker may take."""
        self._thread.shutdown()

    def _submit(self, lines: list[str], countdown: float | None) -> None:
        with contextlib.suppress(RuntimeError):  # closed: the sweep will find them
            self._thread.submit(self._publish, lines, countdown).add_done_callback(_told)

    def _publish(self, lines: list[str], countdown: float | None) -> None:
        if self._app is None:
            self._app = self._make()
        for line in lines:
            self._app.send_task(DRAIN, args=[line], countdown=countdown, retry=False)


def publisher(settings: Settings) -> Celery:
    """An app that only publishes."""
    from gateway.celery_app import create_app  # 15 MiB, only where there are events

    return create_app(settings)


def _told(done: Future[None]) -> None:
    error = done.exception()
    if error is not None:
        _log.warning("nobody could be asked to run events, a sweep will be within seconds: %s", error)
