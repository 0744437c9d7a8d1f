"""An event runs the same way with a task and without one, and what cannot run at once is left to a task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gateway import lineage
from gateway.events import keys
from gateway.events.event import EventHead
from gateway.events.lifecycle import Happening
from gateway.events.lines import Claimed, Settlement
from gateway.events.rules import End, Ended
from gateway.events.work import Work
from gateway.functions.record import FunctionRecord
from gateway.link.exchanges import nothing
from gateway.link.invoker_link import Answer, Call, Errand
from samovar.clock import SystemClock
from samovar.errors import ResourceNotFound, SamovarError, TooManyRequests
from samovar.function import FunctionVersion
from samovar.invocation import AnswerHead, Outcome
from tests.gateway.builders import record

ARN = "arn:aws:lambda:us-east-1:123456789012:function:orders"
OK = Answer(AnswerHead(version="7"), b'"done"')
FAILED = Answer(AnswerHead(Outcome.ERROR), b'{"errorType":"ValueError","errorMessage":"no"}')


class Platform:
    """One function, or none, whose every call ends the same way; answers of `begin` come when `end` is called."""

    def __init__(self, outcome: Answer | SamovarError = OK, found: FunctionRecord | None = None) -> None:
        self.outcome = outcome
        self.found = found
        self.is_reachable = True
        self.calls: list[Call] = []
        self._waiting: list[Callable[[Answer | SamovarError], None]] = []

    def cached(self, arn: str, qualifier: str = "$LATEST") -> FunctionRecord | None:
        return self.found

    async def get(self, arn: str, qualifier: str | None = None) -> FunctionRecord:
        if self.found is None:
            raise ResourceNotFound(f"Function not found: {arn}")
        return self.found

    async def invoke(
        self, version: FunctionVersion, call: Call, payload: bytes, sent: Callable[[], None] = nothing
    ) -> Answer:
        self.calls.append(call)
        if isinstance(self.outcome, SamovarError):
            raise self.outcome
        return self.outcome

    def begin(self, errand: Errand, deliver: Callable[[Answer | SamovarError], None]) -> bool:
        if self.is_reachable:
            self.calls.append(errand.call)
            self._waiting.append(deliver)
        return self.is_reachable

    async def deliver(self, head: EventHead, body: bytes) -> None:
        """Brings a message to its destination."""

    def end(self) -> None:
        while self._waiting:
            self._waiting.pop()(self.outcome)


def claimed(**changed: Any) -> Claimed:
    head = EventHead("r-1", ARN, None, "aws:s3", int(SystemClock().epoch() * 1000), runs=1)
    return Claimed(b"1-0", msgspec.structs.replace(head, **changed), b"{}")


def trace_after(calls: int) -> str:
    """The trace of a chain that the function has been in so often."""
    trace = lineage.begun("Root=1-a-b", ARN)
    for _ in range(calls - 1):
        trace = lineage.followed(trace, ARN)
    return trace


def work_of(platform: Platform) -> Work:
    functions: Any = platform
    return Work(functions, platform, platform, SystemClock())


@pytest.mark.parametrize(
    ("outcome", "happening", "end"),
    [
        (OK, Happening.SUCCEED, End.SUCCESS),
        (FAILED, Happening.PAUSE, End.FUNCTION_ERROR),
        (TooManyRequests("Rate Exceeded."), Happening.PAUSE, End.NOT_NOW),
        (ResourceNotFound("gone"), Happening.FAIL, End.NEVER),
    ],
)
async def test_an_event_ends_the_same_with_a_task_and_without(
    outcome: Answer | SamovarError, happening: Happening, end: End
) -> None:
    platform = Platform(outcome, record())
    work, told = work_of(platform), []

    def done(settlement: Settlement, ended: Ended | None) -> None:
        told.append((settlement, ended))

    assert work.begin(ARN, claimed(), done)
    assert not told
    platform.end()
    told.append(await work.do(ARN, claimed()))
    for settlement, ended in told:
        assert (settlement.happening, ended and ended.end) == (happening, end)
    (begun, _), (waited_for, _) = told
    assert (begun.head.error, begun.head.attempts, begun.head.condition, begun.head.version) == (
        waited_for.head.error,
        waited_for.head.attempts,
        waited_for.head.condition,
        waited_for.head.version,
    )
    first, second = platform.calls
    assert (first.request_id, first.trigger, first.attempt) == (second.request_id, second.trigger, second.attempt)
    assert lineage.times(first.trace_id, ARN) == lineage.times(second.trace_id, ARN) == 1


@pytest.mark.parametrize(
    ("line", "known", "reachable", "concurrency", "changed"),
    [
        (keys.DELIVERIES, True, True, None, {}),
        (ARN, False, True, None, {}),
        (ARN, True, False, None, {}),
        (ARN, True, True, 0, {}),
        (ARN, True, True, None, {"accepted_ms": 1}),
        (ARN, True, True, None, {"trace_id": trace_after(lineage.MOST)}),
    ],
    ids=["message", "unknown", "no-invoker", "switched-off", "too-old", "in-circles"],
)
def test_what_cannot_run_at_once_is_left_to_a_task(
    line: str, known: bool, reachable: bool, concurrency: int | None, changed: dict[str, Any]
) -> None:
    found = record()
    version = msgspec.structs.replace(found.version, max_environments=concurrency)
    platform = Platform(OK, msgspec.structs.replace(found, version=version) if known else None)
    platform.is_reachable = reachable

    def done(settlement: Settlement, ended: Ended | None) -> None:
        raise AssertionError("nothing was begun")

    assert not work_of(platform).begin(line, claimed(**changed), done)
    assert not platform.calls
