"""What a kind of trigger is to a storm: something that is sent, that runs, and that leaves records to count."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3  # type: ignore[import-untyped]  # it ships no types
import redis
from botocore.config import Config  # type: ignore[import-untyped]  # it ships no types
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # it ships no types

from gateway.events import keys
from gateway.events.event import EventHead, decode_head
from samovar.logs.lines import LogLine, Position, folder_of, read_from
from samovar.names import function_arn
from samovar.settings import Settings
from samovar.usage import readings_key
from tests.end_to_end.lab import Function, Lab
from tests.signing import key_for

ACCOUNT = "123456789012"
REGION = "us-east-1"
AWAY = (BotoCoreError, ClientError)
"""What boto3 raises for a platform that is away; nothing was acknowledged."""
_PAUSE_S = 0.05


@dataclass
class Books:
    """What came of one kind of trigger."""

    kind: str
    acknowledged: int
    refused: int
    """What was not acknowledged: the platform was away."""
    ended: int
    """What is known to have come to its end."""
    lost: list[str]
    """Acknowledged, and did not run, or has no end."""
    doubled: list[str]
    """Ended more than once."""
    readings: int
    """Meter readings of its functions."""
    attempts: int
    """Runs that came to an end, by the records of the runs themselves."""
    counts: dict[str, int] = field(default_factory=dict)
    """What else there is to say in numbers."""
    faults: list[str] = field(default_factory=list)
    """What must not be, in words."""

    def line(self) -> str:
        """For people."""
        more = "".join(f", {name} {count}" for name, count in self.counts.items())
        return (
            f"{self.kind:<10} acknowledged {self.acknowledged}, not acknowledged {self.refused}, ended {self.ended}, "
            f"lost {len(self.lost)}, doubled {len(self.doubled)}, attempts {self.attempts}, "
            f"readings {self.readings}{more}"
        )

    def wrong(self) -> list[str]:
        """What is wrong, in words."""
        found = [f"{self.kind}: {fault}" for fault in self.faults]
        if not self.acknowledged:
            found.append(f"{self.kind}: nothing was acknowledged")
        if self.lost:
            found.append(f"{self.kind}: {len(self.lost)} are lost, such as {sorted(self.lost)[:5]}")
        if self.doubled:
            found.append(f"{self.kind}: {len(self.doubled)} ended twice, such as {sorted(self.doubled)[:5]}")
        return found


class Kind(ABC):
    """One kind of trigger. `prepare` comes first; then `send` runs in as many threads as `senders` says."""

    name: str
    senders = 1

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.refused = 0
        self.lock = threading.Lock()

    @abstractmethod
    def prepare(self) -> None:
        """Deploy what it takes, and have it run once."""

    @abstractmethod
    def send(self, index: int, over: threading.Event) -> None:
        """Send, and remember what was acknowledged, until it is over."""

    @abstractmethod
    def left(self, store: redis.Redis) -> int:
        """How much has not come to its end."""

    @abstractmethod
    def books(self, store: redis.Redis) -> Books:
        """Count."""

    def takes_s(self, left: int) -> float:
        """How long so much takes by what this kind's own function waits for, whatever the platform does."""
        return 0.0

    def pause(self, over: threading.Event) -> None:
        """It was not acknowledged: note that, and wait for a moment."""
        with self.lock:
            self.refused += 1
        over.wait(_PAUSE_S)

    def client(self, service: str, endpoint: str = "") -> Any:
        """boto3, which tries once and gives up soon."""
        key = key_for(self.lab.endpoint)
        return boto3.client(
            service,
            endpoint_url=endpoint or self.lab.endpoint,
            region_name=REGION,
            aws_access_key_id=key.key_id,
            aws_secret_access_key=key.secret,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=30, parameter_validation=False),
        )


def arn_of(function: Function) -> str:
    """Its ARN."""
    return function_arn(ACCOUNT, REGION, function.name)


@contextmanager
def store_of(lab: Lab) -> Iterator[redis.Redis]:
    """The platform's own store, read past the platform."""
    with redis.Redis.from_url(Settings(data_dir=str(lab.platform.data_dir)).store_url) as store:
        yield store


def log_of(function: Function) -> list[LogLine]:
    """What it has printed, from the files."""
    folder = folder_of(Settings(data_dir=str(function.lab.platform.data_dir)).logs_dir, REGION, function.name)
    return [line for _, line in read_from(folder, Position())]


def events_left(store: redis.Redis, line: str) -> int:
    """Events of a line that wait, run, or wait for a time."""
    return int(store.xlen(keys.line(line))) + int(store.zcard(keys.delayed(line)))


def ended_events(store: redis.Redis, line: str) -> dict[str, EventHead]:
    """The terminal records of a line's events by their ids."""
    return {head.id: head for head in map(decode_head, store.hvals(keys.past(line)))}


def ended_both_ways(store: redis.Redis, line: str) -> list[str]:
    """Ids of events among those that succeeded and among those that failed."""
    both: Any = store.zinter([keys.ended("ok", line), keys.ended("failed", line)])
    return [one.decode() for one in both]


def metered(function: Function, store: redis.Redis, faults: list[str]) -> set[str]:
    """Ids of a function's readings; a fault if the roll-ups count others, or one twice."""
    function.readings()  # brings what was metered to the store
    found = function.lab.metered(function)
    listed = int(store.zcard(readings_key(arn_of(function))))
    if not found.counted == len(found.ids) == listed:
        faults.append(f"{len(found.ids)} readings of {function.name}, {listed} listed, {found.counted} counted")
    return found.ids


def unmetered_runs(heads: dict[str, EventHead], readings: set[str]) -> list[str]:
    """Events whose runs and readings do not agree.

    Each run has its own reading. A run has none if it was under way when the invoker was killed: then another followed.
    """
    wrong = []
    of_event: dict[str, int] = {}
    for reading in readings:
        name = reading.partition(":")[0]
        of_event[name] = of_event.get(name, 0) + 1
    for name, head in heads.items():
        last = name if head.runs == 1 else f"{name}:{head.runs}"
        if head.attempts and (last not in readings or not head.attempts <= of_event[name] <= head.runs):
            wrong.append(name)
    return wrong
