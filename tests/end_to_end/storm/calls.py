"""Synchronous calls by HTTP: a call that was answered has its reading."""

from __future__ import annotations

import threading

import httpx
import redis

from tests.end_to_end.lab import Lab
from tests.end_to_end.storm.kinds import Books, Kind, metered

HANDLER = """
    import time
    def handler(event, context):
        time.sleep(0.01)
        return context.aws_request_id
"""


class Calls(Kind):
    """See the module."""

    name = "http"

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)
        self._answered: list[str] = []

    def prepare(self) -> None:
        """See `Kind`."""
        self._function = self.lab.deploy(HANDLER)
        self._function.value()

    def send(self, index: int, over: threading.Event) -> None:
        """See `Kind`."""
        with httpx.Client(timeout=30, verify=False) as http:  # http only: loading certificates takes time
            while not over.is_set():
                try:
                    answer = http.get(self._function.url)
                except httpx.TransportError:
                    answer = None
                if answer is None or answer.status_code != 200:
                    self.pause(over)
                else:
                    self._answered.append(answer.text.strip('"'))
                over.wait(0.02)

    def left(self, store: redis.Redis) -> int:
        """See `Kind`."""
        return 0

    def books(self, store: redis.Redis) -> Books:
        """See `Kind`."""
        faults: list[str] = []
        readings = metered(self._function, store, faults)
        answered = set(self._answered)
        return Books(
            kind=self.name,
            acknowledged=len(self._answered),
            refused=self.refused,
            ended=len(answered & readings),
            lost=[*(answered - readings)],
            doubled=[] if len(answered) == len(self._answered) else ["request ids"],
            readings=len(readings),
            attempts=len(answered),
            faults=faults,
        )
