"""What becomes of an event after a run: Lambda's rules, without I/O.

AWS Lambda developer guide, "How Lambda handles errors and retries with asynchronous invocation". Moments are epoch
milliseconds.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple

import msgspec

from gateway.events.event import EventHead
from gateway.events.lifecycle import Happening
from gateway.functions.record import RETRIES_TAG, EventInvoke, FunctionRecord, attached_to

DEFAULT_RETRIES: Final = 2
DEFAULT_MAX_AGE_S: Final = 21_600
RETRY_PAUSE_S: Final = 60
"""Before the first retry after a function error; the n-th waits n times as long, up to `LONGEST_PAUSE_S`."""
FIRST_PAUSE_S: Final = 1
"""After the first time an event could not be run; doubled each time."""
LONGEST_PAUSE_S: Final = 300
_ERROR_CHARACTERS: Final = 1024


class Rules(NamedTuple):
    """How the events of one function, version or alias are treated."""

    retries: int = DEFAULT_RETRIES
    max_age_s: int = DEFAULT_MAX_AGE_S
    on_success: str | None = None
    """ARN or URL of a destination."""
    on_failure: str | None = None
    dead_letter: str | None = None
    """ARN of the function's dead-letter queue."""


class End(Enum):
    """How a run ended, as far as what comes next depends on it."""

    SUCCESS = auto()
    FUNCTION_ERROR = auto()
    NOT_NOW = auto()
    """Throttled, or the platform was at fault: whether it ran is not known, but it did not come to an end."""
    NEVER = auto()
    """It will not run, however often it is tried: the function is gone, or calls itself."""
    SWITCHED_OFF = auto()
    """The function reserves no concurrency."""


class Ended(NamedTuple):
    """What came of one run."""

    end: End
    error: str = ""
    payload: bytes = b""
    """What the function returned, or its error."""
    version: str = ""
    retry_after_s: float = 0.0


class Verdict(NamedTuple):
    """What is to become of an event."""

    happening: Happening
    head: EventHead
    due_ms: int = 0
    """When it is to be tried again."""


def rules_of(record: FunctionRecord, qualifier: str | None) -> Rules:
    """The rules for calls of a function that named this qualifier. `record` is the function's own."""
    found = attached_to(record, qualifier).event_invoke or EventInvoke(modified=0.0)
    tagged = record.tags.get(RETRIES_TAG)
    default = DEFAULT_RETRIES if tagged is None else int(tagged)  # which was checked when it was set
    return Rules(
        default if found.retries is None else found.retries,
        DEFAULT_MAX_AGE_S if found.max_age_s is None else found.max_age_s,
        found.on_success,
        found.on_failure,
        record.dead_letter,
    )


def is_expired(head: EventHead, rules: Rules, now_ms: int) -> bool:
    """Whether an event is too old to be begun."""
    return now_ms > head.accepted_ms + rules.max_age_s * 1000


def expired(head: EventHead, now_ms: int) -> Verdict:
    """What becomes of one that is."""
    return _ended(head, Happening.FAIL, "EventAgeExceeded", now_ms)


def verdict(head: EventHead, ended: Ended, rules: Rules, now_ms: int) -> Verdict:
    """What becomes of an event that was run. An event whose next attempt would come too late ends now."""
    head = msgspec.structs.replace(head, error=ended.error[:_ERROR_CHARACTERS], version=ended.version or head.version)
    match ended.end:
        case End.SUCCESS:
            done = msgspec.structs.replace(head, attempts=head.attempts + 1, pauses=0, error="")
            return _ended(done, Happening.SUCCEED, "Success", now_ms)
        case End.FUNCTION_ERROR:
            head = msgspec.structs.replace(head, attempts=head.attempts + 1, pauses=0)
            if head.attempts > rules.retries:
                return _ended(head, Happening.FAIL, "RetriesExhausted", now_ms)
            pause_s: float = min(RETRY_PAUSE_S * head.attempts, LONGEST_PAUSE_S)
        case End.NOT_NOW:
            head = msgspec.structs.replace(head, pauses=head.pauses + 1)
            doubled = FIRST_PAUSE_S * 2 ** min(head.pauses - 1, 10)
            pause_s = min(max(doubled, ended.retry_after_s), LONGEST_PAUSE_S)
        case End.SWITCHED_OFF:
            return _ended(head, Happening.FAIL, "ZeroReservedConcurrency", now_ms)
        case End.NEVER:
            return _ended(head, Happening.FAIL, "RetriesExhausted", now_ms)
    due_ms = now_ms + int(pause_s * 1000)
    if is_expired(head, rules, due_ms):
        return expired(head, now_ms)
    return Verdict(Happening.PAUSE, head, due_ms)


def _ended(head: EventHead, happening: Happening, condition: str, now_ms: int) -> Verdict:
    return Verdict(happening, msgspec.structs.replace(head, condition=condition, ended_ms=now_ms))
