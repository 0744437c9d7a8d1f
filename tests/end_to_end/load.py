"""Callers that never stop: threads that call a function one call after the other, and what came of each."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.end_to_end.lab import Function
from tests.end_to_end.platform_box import until


@dataclass(frozen=True)
class Answer:
    """What came of one call."""

    began: float
    """Monotonic seconds, as `ended`."""
    ended: float
    status: int
    """0 when the connection broke."""
    error: str
    """The error's name, as the API tells it, or what the connection said."""
    request_id: str
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the function ran and its result arrived."""
        return self.status == 200

    @property
    def value(self) -> Any:
        """The result."""
        return json.loads(self.body)


class Load:
    """What the callers have seen so far."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.stop = threading.Event()

    @property
    def good(self) -> list[Answer]:
        """The calls that were acknowledged."""
        return [answer for answer in self.answers if answer.ok]

    @property
    def bad(self) -> list[Answer]:
        """The others."""
        return [answer for answer in self.answers if not answer.ok]

    def goes_on(self, calls: int = 10) -> None:
        """Return after so many more good calls, of those that begin from now on."""
        now = time.monotonic()
        until(lambda: sum(answer.began > now for answer in self.good) >= calls, f"{calls} more calls are answered")


def call(http: httpx.Client, function: Function, event: Any = None) -> Answer:
    """One Invoke."""
    began = time.monotonic()
    try:
        answer = http.post(f"{function.lab.endpoint}/2015-03-31/functions/{function.name}/invocations", json=event)
    except httpx.TransportError as error:
        return Answer(began, time.monotonic(), 0, type(error).__name__, "", b"")
    failed = answer.headers.get("x-amzn-errortype", "") + answer.headers.get("x-amz-function-error", "")
    identity = answer.headers.get("x-amzn-requestid", "")
    return Answer(began, time.monotonic(), answer.status_code, failed, identity, answer.content)


def at_once(function: Function, calls: int, event: Any = None) -> list[Answer]:
    """So many calls, all sent in the same moment."""
    answers: list[Answer] = []
    barrier = threading.Barrier(calls)

    def caller() -> None:
        with httpx.Client(
            timeout=60, verify=False, auth=function.lab.signing
        ) as http:  # http only: loading certificates takes 30 ms
            barrier.wait(60)
            answers.append(call(http, function, event))

    threads = [threading.Thread(target=caller) for _ in range(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    return answers


@contextmanager
def load(function: Function, callers: int = 4, event: Any = None) -> Iterator[Load]:
    """So many callers, for the length of a block; it ends when the last of them has its answer."""
    seen = Load()

    def caller() -> None:
        with httpx.Client(
            timeout=60, verify=False, auth=function.lab.signing
        ) as http:  # http only: loading certificates takes 30 ms
            while not seen.stop.is_set():
                seen.answers.append(call(http, function, event))
                if not seen.answers[-1].ok:
                    seen.stop.wait(0.05)

    threads = [threading.Thread(target=caller) for _ in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        seen.stop.set()
        for thread in threads:
            thread.join(90)
