"""How a process asks for a line of events to be drained: by a Celery task, which some worker takes."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from samovar.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

_log = logging.getLogger(__name__)


class Doorbell:
    """Publishes tasks from a thread of its own; Celery is loaded when the first one is published.

    A task that cannot be published is not lost: the sweep finds lines that nobody drains.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, "doorbell")
        self._app: Celery | None = None

    def ring(self, lines: Iterable[str]) -> None:
        """Ask for these lines to be drained. Returns at once, and never raises."""
        self._thread.submit(self._publish, list(lines)).add_done_callback(_told)

    def close(self) -> None:
        """Publish what is left, and end the thread. Blocks for as long as the broker may take."""
        self._thread.shutdown()

    def _publish(self, lines: list[str]) -> None:
        from gateway.celery_app import DRAIN, create_app  # 15 MiB, only where there are events

        if self._app is None:
            self._app = create_app(self._settings)
        for line in lines:
            self._app.send_task(DRAIN, args=[line], retry=False)


def _told(done: Future[None]) -> None:
    error = done.exception()
    if error is not None:
        _log.warning("nobody could be asked to run events, a sweep will be within seconds: %s", error)
