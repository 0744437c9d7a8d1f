"""Asynchronous events under a storm of kills, and the books afterwards. `python -m tests.end_to_end.storm --minutes 3`.

Everything is killed with SIGKILL: the gateway, the invoker, the worker with its beat, the store, environments.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import psutil
import redis

from gateway.events import keys
from gateway.events.event import EventHead, decode_head
from samovar import event_client
from samovar.client import Client
from samovar.errors import SamovarError
from samovar.names import function_arn
from samovar.settings import Settings
from samovar.usage import readings_key
from tests.end_to_end.lab import Function, Lab, laboratory, lambda_client

TARGETS = ("gateway", "invoker", "worker", "store", "environment")
SENDERS = 3
SETTLES_WITHIN_S = 120.0
HANDLER = """
    import time
    def handler(event, context):
        time.sleep(event.get("s", 0))
        if event.get("fail"):
            raise ValueError("on purpose")
        return event["n"]
"""


@dataclass
class Books:
    """What came of a storm."""

    acknowledged: set[str] = field(default_factory=set)
    refused: int = 0
    """Calls that were not acknowledged: the platform was away."""
    kills: Counter[str] = field(default_factory=Counter)
    ended: dict[str, EventHead] = field(default_factory=dict)
    """Terminal records by request id."""
    twice: list[str] = field(default_factory=list)
    """Events among those that succeeded and among those that failed."""
    under_way: int = 0
    readings: set[str] = field(default_factory=set)
    counted: int = 0
    """Invocations in the roll-ups."""
    settled_s: float = 0.0
    """From the last kill until nothing was under way."""

    def lines(self) -> list[str]:
        """For people."""
        runs = Counter(head.runs for head in self.ended.values())
        return [
            f"killed: {', '.join(f'{name} {count}' for name, count in sorted(self.kills.items()))}",
            f"acknowledged {len(self.acknowledged)}, not acknowledged {self.refused}",
            f"ended {len(self.ended)}: {dict(Counter(head.condition for head in self.ended.values()))}",
            f"begun once {runs[1]}, more often {sum(count for times, count in runs.items() if times > 1)}",
            f"lost {len(self.acknowledged - self.ended.keys())}, ended twice {len(self.twice)}, left {self.under_way}",
            f"meter readings {len(self.readings)}, counted {self.counted}",
            f"settled {self.settled_s:.1f} s after the last kill",
        ]

    def check(self) -> None:
        """Nothing lost, nothing doubled. Raises `AssertionError`."""
        assert self.acknowledged, "nothing was acknowledged"
        assert self.acknowledged - self.ended.keys() == set(), "acknowledged events are lost"
        assert self.twice == []
        assert self.under_way == 0
        assert self.counted == len(self.readings), "a reading is counted twice, or not at all"
        ran = {name for name, head in self.ended.items() if head.attempts}
        assert ran - {one.partition(":")[0] for one in self.readings} == set(), "a run has no reading"
        for name, head in self.ended.items():
            last = name if head.runs == 1 else f"{name}:{head.runs}"
            assert not head.attempts or last in self.readings, f"the last run of {name} has no reading"


class Storm:
    """Events come, and processes go."""

    def __init__(self, lab: Lab, function: Function, seed: int) -> None:
        self.books = Books()
        self._lab = lab
        self._function = function
        self._random = random.Random(seed)
        self._over = threading.Event()
        self._numbers = iter(range(10**9))
        self._lock = threading.Lock()

    def blow(self, seconds: float) -> Books:
        """Send and kill for so long, wait until all is settled, and read the books."""
        senders = [threading.Thread(target=self._send, args=(index,)) for index in range(SENDERS)]
        for sender in senders:
            sender.start()
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                time.sleep(self._random.uniform(0.8, 2.0))
                self._kill(self._random.choice(TARGETS))
        finally:
            last = time.monotonic()
            self._over.set()
            for sender in senders:
                sender.join()
        self._settle(last)
        self._read()
        return self.books

    def _send(self, index: int) -> None:
        choose = random.Random(index)
        while not self._over.is_set():
            event = {"n": next(self._numbers), "s": choose.choice((0, 0, 0.02, 0.3)), "fail": choose.random() < 0.1}
            try:
                with Client(self._lab.endpoint) as client:
                    accepted = client.invoke_later(self._function.name, json.dumps(event).encode())
            except SamovarError:
                with self._lock:
                    self.books.refused += 1
                time.sleep(0.05)
            else:
                with self._lock:
                    self.books.acknowledged.add(accepted)
            time.sleep(0.005)

    def _kill(self, target: str) -> None:
        pid = self._victim(target)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.books.kills[target] += 1

    def _victim(self, target: str) -> int | None:
        if target != "environment":
            return self._lab.pids().get(target)
        try:
            views = self._lab.client.environments()
        except SamovarError:
            return None
        pids = [view.pid for view in views if view.pid is not None]
        return self._random.choice(pids) if pids else None

    @property
    def _line(self) -> str:
        return function_arn("123456789012", "us-east-1", self._function.name)

    def _settle(self, last_kill: float) -> None:
        deadline = time.monotonic() + SETTLES_WITHIN_S
        while time.monotonic() < deadline:
            left = self._left()
            if left == 0:
                break
            time.sleep(0.1)
        self.books.under_way = max(0, self._left() or 0)
        self.books.settled_s = time.monotonic() - last_kill

    def _left(self) -> int | None:
        try:
            counts = event_client.events(self._lab.client, self._function.name, limit=1).counts
        except SamovarError:
            return None
        return counts.waiting + counts.running + counts.delayed

    def _read(self) -> None:
        self._function.readings()  # brings what was metered to the store
        metered = self._lab.metered(self._function)
        self.books.readings, self.books.counted = metered.ids, metered.counted
        settings = Settings(data_dir=str(self._lab.platform.data_dir))
        with redis.Redis.from_url(settings.store_url) as store:
            for raw in store.hvals(keys.past(self._line)):
                head = decode_head(raw)
                self.books.ended[head.id] = head
            both = store.zinter([keys.ended("ok", self._line), keys.ended("failed", self._line)])
            self.books.twice = [one.decode() for one in both]
            assert store.zcard(readings_key(self._line)) == len(metered.ids)


def storm(seconds: float, seed: int, tell: Callable[[str], None], isolation: str = "sandbox") -> Books:
    """A platform of its own, a storm over it, and its books, told and checked."""
    with laboratory(isolation, kept_events=1_000_000, kept_failed_events=1_000_000, kept_event_mb=1024) as lab:
        function = lab.deploy(HANDLER)
        lambda_client(lab.endpoint).put_function_event_invoke_config(FunctionName=function.name, MaximumRetryAttempts=0)
        function.value({"n": 0})
        books = Storm(lab, function, seed).blow(seconds)
        data_dir = str(lab.platform.data_dir)
    for line in books.lines():
        tell(line)
    books.check()
    left = [process.pid for process in psutil.process_iter() if _names(process, data_dir)]
    assert left == [], "processes of the platform are left"
    return books


def _names(process: psutil.Process, folder: str) -> bool:
    try:
        return process.pid != os.getpid() and any(folder in word for word in process.cmdline())
    except psutil.Error:
        return False


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """The command behind `make chaos`."""
    parser = argparse.ArgumentParser(prog="python -m tests.end_to_end.storm")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--isolation", default="sandbox")
    options = parser.parse_args()
    _say(f"seed {options.seed}")
    storm(options.minutes * 60, options.seed, _say, options.isolation)
    _say("nothing lost, nothing doubled")


if __name__ == "__main__":
    main()
