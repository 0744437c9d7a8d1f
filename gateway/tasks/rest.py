"""The end of a worker that has had nothing to do for a while. The supervisor starts another when there is something."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import redis
from celery.signals import worker_ready

from gateway.tasks import need
from samovar.settings import Settings

_STORE_ANSWERS_S: Final = 5.0
_log = logging.getLogger(__name__)


class Quiet:
    """Counts how long nothing has been needed. `now` is in seconds, of a clock that is never set."""

    def __init__(self, enough_s: float, now: float) -> None:
        self._enough_s = enough_s
        self._since = now

    def look(self, *, needed: bool, now: float) -> bool:
        """Whether it has been quiet for long enough, now that this was seen."""
        if needed:
            self._since = now
        return now - self._since >= self._enough_s


class Rest:
    """Whether this worker has decided to end."""

    def __init__(self) -> None:
        self.has_come = False


@contextmanager
def resting(settings: Settings) -> Iterator[Rest]:
    """Inside it, this process is told to end (SIGTERM, from a thread) after `worker_rest_s` with nothing to do.

    That counts from when Celery's worker is ready: before, it has no handler for the signal.
    """
    rest, left = Rest(), threading.Event()

    def come() -> None:
        rest.has_come = True
        # As from outside: what runs ends, what was taken and not begun goes back to the broker.
        os.kill(os.getpid(), signal.SIGTERM)

    client: Any = redis.Redis.from_url(
        settings.store_url, socket_timeout=_STORE_ANSWERS_S, socket_connect_timeout=_STORE_ANSWERS_S
    )
    watch = partial(_watch, client, settings.worker_rest_s, left, come)

    def begin(**_: Any) -> None:
        threading.Thread(target=watch, name="rest", daemon=True).start()

    worker_ready.connect(begin, weak=False)
    try:
        yield rest
    finally:
        left.set()


def _watch(client: Any, enough_s: float, left: threading.Event, come: Callable[[], None]) -> None:
    quiet = Quiet(enough_s, time.monotonic())
    while not left.wait(min(need.LOOK_EVERY_S, enough_s)):
        if quiet.look(needed=_is_needed(client, time.time()), now=time.monotonic()):
            come()
            return


def _is_needed(client: Any, now: float) -> bool:
    pipeline = client.pipeline(transaction=False)
    need.ask(pipeline, now, of_worker=True)
    try:
        return need.answer(pipeline.execute(), now)
    except (redis.RedisError, OSError) as error:
        _log.debug("the worker stays while the store is away: %s", error)
        return True
