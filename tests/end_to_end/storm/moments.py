"""Schedules: each is made for one moment, seconds ahead."""

from __future__ import annotations

import json
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import redis

from gateway.events import keys
from tests.end_to_end.lab import ROLE, Lab
from tests.end_to_end.storm.kinds import (
    AWAY,
    Books,
    Kind,
    arn_of,
    ended_both_ways,
    ended_events,
    events_left,
    metered,
    unmetered_runs,
)

AHEAD = timedelta(seconds=5)
HANDLER = """
    def handler(event, context):
        return event["n"]
"""


class Schedules(Kind):
    """See the module. A moment that had passed when its making was acknowledged is not waited for."""

    name = "schedules"

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)
        self._acknowledged: set[int] = set()

    def prepare(self) -> None:
        """See `Kind`."""
        self._function = self.lab.deploy(HANDLER)
        self._function.value({"n": -1})

    def send(self, index: int, over: threading.Event) -> None:
        """See `Kind`."""
        number = 0
        while not over.is_set():
            moment = datetime.now(UTC) + AHEAD
            if self._make(number, moment) and datetime.now(UTC) < moment.replace(microsecond=0):
                self._acknowledged.add(number)
            else:
                self.pause(over)
            number += 1
            over.wait(0.3)

    def _make(self, number: int, moment: datetime) -> bool:
        try:
            self.client("scheduler").create_schedule(
                Name=f"storm-{number}",
                ScheduleExpression=f"at({moment:%Y-%m-%dT%H:%M:%S})",
                FlexibleTimeWindow={"Mode": "OFF"},
                ActionAfterCompletion="DELETE",
                Target={"Arn": arn_of(self._function), "RoleArn": ROLE, "Input": json.dumps({"n": number})},
            )
        except AWAY:
            return False
        return True

    def left(self, store: redis.Redis) -> int:
        """See `Kind`."""
        line = arn_of(self._function)
        return events_left(store, line) + len(self._acknowledged - self._ran(store, line).keys())

    @staticmethod
    def _ran(store: redis.Redis, line: str) -> Counter[int]:
        return Counter(json.loads(raw)["n"] for raw in store.hvals(keys.past_payloads(line)))

    def books(self, store: redis.Redis) -> Books:
        """See `Kind`."""
        line, faults = arn_of(self._function), list[str]()
        ended, ran = ended_events(store, line), self._ran(store, line)
        readings = metered(self._function, store, faults)
        if wrong := unmetered_runs(ended, readings):
            faults.append(f"runs and readings of {len(wrong)} differ, such as {wrong[:5]}")
        return Books(
            kind=self.name,
            acknowledged=len(self._acknowledged),
            refused=self.refused,
            ended=len(ended),
            lost=[str(number) for number in self._acknowledged - ran.keys()],
            doubled=[*ended_both_ways(store, line), *(str(number) for number, times in ran.items() if times > 1)],
            readings=len(readings),
            attempts=sum(head.attempts for head in ended.values()),
            faults=faults,
        )
