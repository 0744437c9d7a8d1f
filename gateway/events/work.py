"""What is done with an event that a worker has claimed: it is run, judged, and told to its destinations."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Protocol

import msgspec

from gateway import lineage
from gateway.events import keys
from gateway.events.event import EventHead
from gateway.events.lifecycle import Happening
from gateway.events.lines import Claimed, Settlement
from gateway.events.records import messages
from gateway.events.rules import End, Ended, Rules, Verdict, expired, is_expired, rules_of, verdict
from gateway.functions.record import FunctionRecord
from gateway.http.contract import Functions
from gateway.link.exchanges import nothing
from gateway.link.invoker_link import Answer, Call, Errand
from samovar.clock import Clock
from samovar.errors import PlatformError, ResourceNotFound, SamovarError, TooManyRequests
from samovar.function import FunctionVersion
from samovar.invocation import Outcome
from samovar.names import LATEST

_log = logging.getLogger(__name__)
_MAX_ERROR = 1024


class Runs(Protocol):
    """Runs a version to its end, in this host's invoker or through a gateway."""

    async def invoke(
        self, version: FunctionVersion, call: Call, payload: bytes, sent: Callable[[], None] = ...
    ) -> Answer:
        """See `InvokerLink.invoke`."""
        ...

    def begin(self, errand: Errand, deliver: Callable[[Answer | SamovarError], None]) -> bool:
        """See `InvokerLink.begin`."""
        ...


Done = Callable[[Settlement, Ended | None], None]
"""Told what becomes of an event, and how it ended if it was run. Must not raise."""


class Delivers(Protocol):
    """Brings messages to destinations; `gateway.events.deliver.Deliver` is one."""

    async def deliver(self, head: EventHead, body: bytes) -> None:
        """Bring one there. Raises a `PlatformError` or `TooManyRequests` for what may pass, else a `SamovarError`."""
        ...


class Work:
    """Takes claimed events to their ends. Holds no state."""

    def __init__(self, functions: Functions, runs: Runs, delivers: Delivers, clock: Clock) -> None:
        self._functions = functions
        self._runs = runs
        self._delivers = delivers
        self._clock = clock

    def begin(self, line: str, claimed: Claimed, done: Done) -> bool:
        """Run an event without a task for it, and have `done` told what `do` would return.

        False, with nothing done, for messages, and for what `do` has to look up, to wait for or to refuse.
        """
        head = claimed.head
        known = None if line == keys.DELIVERIES else self._known(head)
        if known is None:
            return False
        latest, record = known
        rules = _rules(head, latest, record)
        if is_expired(head, rules, self._now()) or latest.version.max_environments == 0:
            return False
        try:
            errand = Errand(record.version, self._call(head, latest), claimed.payload, nothing)
            return self._runs.begin(errand, partial(self._told, claimed, rules, done))
        except SamovarError:  # it is one too many, or calls itself
            return False

    def _told(self, claimed: Claimed, rules: Rules, done: Done, outcome: Answer | SamovarError) -> None:
        try:
            settlement, ended = self._judged(claimed, rules, _ended(outcome))
        except Exception as error:  # noqa: BLE001 - becomes a retry of this event, and a traceback; others' answers wait
            settlement, ended = self._judged(claimed, rules, _unexpected(claimed.head, error))
        done(settlement, ended)

    async def do(self, line: str, claimed: Claimed) -> tuple[Settlement, Ended | None]:
        """Run an event, or deliver a message; what becomes of it, and how it ended if it was run. Does not raise."""
        if line == keys.DELIVERIES:
            return await self._message(claimed)
        try:
            latest, record = self._known(claimed.head) or await self._resolved(claimed.head)
        except SamovarError as error:
            return self._judged(claimed, Rules(), _not_run(error))
        rules = _rules(claimed.head, latest, record)
        if is_expired(claimed.head, rules, self._now()):
            return self._settled(claimed, expired(claimed.head, self._now()), None, rules), None
        return self._judged(claimed, rules, await self._run(claimed, latest, record))

    def _known(self, head: EventHead) -> tuple[FunctionRecord, FunctionRecord] | None:
        """The function, and what takes the event now, if both are known without I/O."""
        latest = self._functions.cached(head.arn)
        if latest is None or head.qualifier is None or head.qualifier == LATEST:
            return None if latest is None else (latest, latest)
        found = self._functions.cached(head.arn, head.qualifier)
        return None if found is None else (latest, found)

    async def _resolved(self, head: EventHead) -> tuple[FunctionRecord, FunctionRecord]:
        """The same, looked up. Raises `ResourceNotFound` and `ServiceUnavailable`."""
        latest = await self._functions.get(head.arn)
        if head.qualifier is None or head.qualifier == LATEST:
            return latest, latest
        return latest, await self._functions.get(head.arn, head.qualifier)

    async def _run(self, claimed: Claimed, latest: FunctionRecord, record: FunctionRecord) -> Ended:
        head = claimed.head
        if latest.version.max_environments == 0:
            return Ended(End.SWITCHED_OFF, "The function reserves no concurrency.")
        try:
            return _ended(await self._runs.invoke(record.version, self._call(head, latest), claimed.payload))
        except SamovarError as error:
            return _not_run(error)
        except Exception as error:  # noqa: BLE001 - becomes a retry of this event, and a traceback
            return _unexpected(head, error)

    def _call(self, head: EventHead, latest: FunctionRecord) -> Call:
        """Raises `RecursiveInvocation` for an event that goes in circles."""
        trace = head.trace_id
        if trace is None:
            followed = lineage.begun(lineage.new_root(self._clock.epoch()), head.arn)
        else:
            followed = lineage.followed(trace, head.arn)
            lineage.check(followed, head.arn, latest.recursive_loop)
        return Call(head.id, head.trigger, trace_id=followed, qualifier=head.qualifier, attempt=head.runs)

    async def _message(self, claimed: Claimed) -> tuple[Settlement, Ended | None]:
        try:
            await self._delivers.deliver(claimed.head, claimed.payload)
            ended = Ended(End.SUCCESS)
        except SamovarError as error:
            ended = _not_run(error)
        except Exception as error:  # noqa: BLE001 - becomes a retry of this message, and a traceback
            _log.exception("a message to %s failed unexpectedly", claimed.head.target)
            ended = Ended(End.NOT_NOW, str(error))
        found = verdict(claimed.head, ended, Rules(), self._now())
        head, kept_for = found.head, ""
        if found.happening is Happening.FAIL:
            _log.warning("event %s of %s could not be told to %s: %s", head.id, head.arn, head.target, head.error)
            # Its own id is its event's, which has ended before.
            head, kept_for = msgspec.structs.replace(head, id=f"{head.id}.{head.source.partition(':')[2]}"), head.arn
        return Settlement(claimed, found.happening, head, found.due_ms, kept_for), ended

    def _judged(self, claimed: Claimed, rules: Rules, ended: Ended) -> tuple[Settlement, Ended | None]:
        return self._settled(claimed, verdict(claimed.head, ended, rules, self._now()), ended, rules), ended

    def _settled(self, claimed: Claimed, found: Verdict, ended: Ended | None, rules: Rules) -> Settlement:
        if found.happening is Happening.PAUSE:
            return Settlement(claimed, found.happening, found.head, found.due_ms)
        told = messages(found, ended, rules, claimed.payload)
        return Settlement(claimed, found.happening, found.head, kept_for=found.head.arn, messages=told)

    def _now(self) -> int:
        return int(self._clock.epoch() * 1000)


def _rules(head: EventHead, latest: FunctionRecord, record: FunctionRecord) -> Rules:
    rules = rules_of(latest, head.qualifier)
    return rules if record is latest else rules._replace(dead_letter=record.dead_letter)


def _ended(outcome: Answer | SamovarError) -> Ended:
    if isinstance(outcome, SamovarError):
        return _not_run(outcome)
    if outcome.head.outcome is Outcome.OK:
        return Ended(End.SUCCESS, "", outcome.payload, outcome.head.version)
    return Ended(End.FUNCTION_ERROR, _message_of(outcome.payload), outcome.payload, outcome.head.version)


def _unexpected(head: EventHead, error: Exception) -> Ended:
    _log.error("event %s of %s failed unexpectedly", head.id, head.arn, exc_info=error)
    return Ended(End.NOT_NOW, str(error))


def _not_run(error: SamovarError) -> Ended:
    """What a platform error means for an event: try again later, or never."""
    passes = isinstance(error, PlatformError | TooManyRequests) and not isinstance(error, ResourceNotFound)
    return Ended(
        End.NOT_NOW if passes else End.NEVER,
        f"{type(error).aws_name}: {error.message}",
        retry_after_s=error.retry_after or 0.0,
    )


class _Failure(msgspec.Struct, rename="camel"):
    error_type: str = ""
    error_message: str = ""


def _message_of(payload: bytes) -> str:
    """What a function failed with, in one line."""
    try:
        failure = msgspec.json.decode(payload, type=_Failure)
    except msgspec.DecodeError:
        return payload[:_MAX_ERROR].decode(errors="replace")
    return f"{failure.error_type}: {failure.error_message}" if failure.error_type else failure.error_message
