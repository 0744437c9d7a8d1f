"""A platform of its own, everything that can be sent to it, and SIGKILL for its processes meanwhile."""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import redis

from samovar.errors import SamovarError
from tests.end_to_end.lab import Lab, laboratory
from tests.end_to_end.remains import instance_of, remains
from tests.end_to_end.storm.calls import Calls
from tests.end_to_end.storm.events import Events
from tests.end_to_end.storm.kinds import AWAY, Books, Kind, store_of
from tests.end_to_end.storm.moments import Schedules
from tests.end_to_end.storm.queues import FifoQueue, StandardQueue
from tests.end_to_end.storm.streams import Stream
from tests.end_to_end.storm.uploads import Uploads

TARGETS = ("gateway", "invoker", "worker", "store", "environment", "s3", "uploads")
"""The worker has the beat in it."""
KINDS: tuple[type[Kind], ...] = (Calls, Events, StandardQueue, FifoQueue, Stream, Uploads, Schedules)
SETTLES_WITHIN_S = 120.0
SHORT_S = 30.0
NOTICED_WITHIN_S = 0.5
"""By when the supervisor knows of a death."""
RECOVERS_WITHIN_S = 30.0
"""From when the platform is whole again until all that was under way has come to its end: a long storm, in which it was
hardly ever whole, leaves a backlog besides, whose own time comes on top (`Kind.takes_s`)."""
HASTE = 1.5
"""A backlog is not spread evenly over groups and environments."""
STOPS_WITHIN_S = 10.0
"""It has nothing to do then but to end a few dozen processes, on a busy machine."""
SETTINGS: dict[str, Any] = {
    "kept_events": 1_000_000,
    "kept_failed_events": 1_000_000,
    "kept_event_mb": 1024,
    "log_files": 1000,
    "max_environments_per_function": 4,
}
"""All of the books are kept; many functions share two cores."""


class Storm:
    """Everything is sent, and processes go."""

    def __init__(self, lab: Lab, seed: int) -> None:
        self.kinds = [kind(lab) for kind in KINDS]
        self.kills: Counter[str] = Counter()
        self.whole_after_s = 0.0
        """From the last kill until the platform was whole."""
        self.settled_after_s: dict[str, float] = {}
        """From then until nothing of a kind was under way."""
        self._allowed_s: dict[str, float] = {}
        self._lab = lab
        self._random = random.Random(seed)

    def blow(self, seconds: float) -> list[Books]:
        """Send and kill for so long, wait until all is settled, and read the books."""
        for kind in self.kinds:
            kind.prepare()
        over = threading.Event()
        failures: list[BaseException] = []

        def sending(kind: Kind, index: int) -> None:
            try:
                kind.send(index, over)
            except BaseException as error:  # noqa: BLE001 - raised where somebody sees it
                failures.append(error)

        senders = [
            threading.Thread(target=sending, args=(kind, index)) for kind in self.kinds for index in range(kind.senders)
        ]
        for sender in senders:
            sender.start()
        try:
            self._kill_for(seconds)
        finally:
            over.set()
            for sender in senders:
                sender.join()
        if failures:
            raise failures[0]
        self._settle()
        with store_of(self._lab) as store:
            return [kind.books(store) for kind in self.kinds]

    def _kill_for(self, seconds: float) -> None:
        """Each target once before any comes twice, in an order that the seed says; quicker in a short storm."""
        pauses = (0.3, 1.0) if seconds < SHORT_S else (0.6, 1.6)
        end = time.monotonic() + seconds
        waiting: list[str] = []
        while time.monotonic() < end:
            time.sleep(self._random.uniform(*pauses))
            if not waiting:
                waiting = self._random.sample(TARGETS, len(TARGETS))
            self._kill(waiting.pop())

    def _kill(self, target: str) -> None:
        pid = self._victim(target)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.kills[target] += 1

    def _victim(self, target: str) -> int | None:
        pids = self._lab.pids()
        if target != "environment":
            return pids.get(target)
        with suppress(psutil.Error, KeyError):
            inside = psutil.Process(pids["invoker"]).children(recursive=True)
            return self._random.choice(inside).pid if inside else self._container()
        return None

    def _container(self) -> int | None:
        """A process of an environment that is not the invoker's child."""
        try:
            views = self._lab.client.environments()
        except SamovarError:
            return None
        pids = [view.pid for view in views if view.pid is not None]
        return self._random.choice(pids) if pids else None

    def _settle(self) -> None:
        killed = time.monotonic()
        time.sleep(NOTICED_WITHIN_S)
        while not (self._is_whole() or time.monotonic() > killed + SETTLES_WITHIN_S):
            time.sleep(0.1)
        whole = time.monotonic()
        self.whole_after_s = whole - killed
        waiting = list(self.kinds)
        self._allowed_s = {
            kind.name: RECOVERS_WITHIN_S + HASTE * kind.takes_s(self._left(kind) or 0) for kind in waiting
        }
        while waiting and time.monotonic() < whole + max(SETTLES_WITHIN_S, *self._allowed_s.values()):
            for kind in list(waiting):
                if self._left(kind) == 0:
                    waiting.remove(kind)
                    self.settled_after_s[kind.name] = time.monotonic() - whole
            time.sleep(0.1)

    def _is_whole(self) -> bool:
        return self._lab.pids().keys() >= {*TARGETS} - {"environment"} and self._lab.is_healthy()

    def _left(self, kind: Kind) -> int | None:
        try:
            with store_of(self._lab) as store:
                return kind.left(store)
        except (redis.RedisError, SamovarError, *AWAY):
            return None

    def wrong(self, books: Sequence[Books]) -> list[str]:
        """What must not be, in words."""
        found = [wrong for book in books for wrong in book.wrong()]
        for kind in self.kinds:
            after = self.settled_after_s.get(kind.name)
            allowed = self._allowed_s[kind.name]
            if after is None or after > allowed:
                found.append(f"{kind.name}: not settled {allowed:.0f} s after everything ran again ({after})")
        return found


def storm(
    seconds: float, seed: int, tell: Callable[[str], None], isolation: str = "sandbox", keep: Path | None = None
) -> list[Books]:
    """A storm over a platform, and its books, told and checked. Raises `AssertionError` for what must not be.

    Then the platform's data directory is copied to `keep`.
    """
    with laboratory(isolation, **SETTINGS) as lab:
        platform, instance = lab.platform, instance_of(lab.platform.data_dir)
        blowing = Storm(lab, seed)
        books = blowing.blow(seconds)
        wrong = blowing.wrong(books)
        stopping = time.monotonic()
        platform.stop()
        stopped_after_s = time.monotonic() - stopping
        if stopped_after_s > STOPS_WITHIN_S:
            wrong.append(f"the platform, which had nothing to do, took {stopped_after_s:.1f} s to stop")
        wrong += [f"there is left: {one}" for one in remains(platform.data_dir, instance)]
        if wrong and keep is not None:
            shutil.copytree(platform.data_dir, keep, ignore=shutil.ignore_patterns("*.sock"), dirs_exist_ok=True)
    tell(f"killed: {', '.join(f'{name} {count}' for name, count in sorted(blowing.kills.items()))}")
    for book in books:
        tell(book.line())
    settled = ", ".join(f"{name} {after:.1f} s" for name, after in blowing.settled_after_s.items())
    tell(f"all ran again {blowing.whole_after_s:.1f} s after the last kill; settled after that: {settled}")
    tell(f"stopped within {stopped_after_s:.1f} s")
    assert not wrong, "\n".join(wrong)
    return books
