"""From a change of an object to events: which rules it meets, and the functions and queues they name."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.events.event import NewEvent
from gateway.events.intake import Intake
from gateway.functions.registry import Registry
from gateway.queues.errors import QueueDoesNotExist
from gateway.queues.message import Outgoing
from gateway.queues.queues import Queues
from gateway.uploads.intents import Intent
from gateway.uploads.inventory import Inventory
from gateway.uploads.ledger import Cursor, Known, Ledger, digest
from gateway.uploads.record import Change, event_of
from gateway.uploads.rules import Rule
from samovar.errors import ResourceNotFound
from samovar.names import LATEST, new_request_id, split_arn

SOURCE: Final = "aws:s3"
_NAMED_BY_REQUESTS: Final = ("ObjectCreated:Copy", "ObjectCreated:Post")
"""What only the request tells: afterwards such an object looks like any other that was put."""
_log = logging.getLogger(__name__)


class Teller:
    """Tells changes one by one, in their order."""

    def __init__(
        self,
        ledger: Ledger,
        inventory: Inventory,
        registry: Registry,
        intake: Intake,
        queues: Queues,
    ) -> None:
        self._queues = queues
        self._inventory = inventory
        self._ledger = ledger
        self._registry = registry
        self._intake = intake
        self._telling = asyncio.Lock()
        """What is heard and what is found come side by side, and are often the same."""
        self._gone: set[str] = set()
        """What rules name and is not there."""

    async def heard(self, change: Change, cursor: Cursor) -> bool:
        """The server said that something happened; whether anybody wanted to know, so that `cursor` is written.

        Raises `ServiceUnavailable`; then it may be told again.
        """
        async with self._telling:
            known = await self._ledger.look(change)
            if not known.rules:
                return False
            self._remember(change, known)
            if not known.was_found:
                # While there is looking to do, a former life of this process may have found it and not noted that yet.
                await self._tell(change, known, f"{change.at_ns}", unless=digest(change) if cursor.look_since_s else "")
            await self._ledger.settle(change, known.intent, cursor)
            self._forget(change)
            return True

    async def found(self, change: Change) -> bool:
        """Somebody looked and saw this state of an object; whether it had not been told yet."""
        async with self._telling:
            known = await self._ledger.look(change)
            self._remember(change, known)
            is_new = not (known.was_found or known.was_heard)
            if is_new:
                await self._tell(change, known, digest(change))
                await self._ledger.settle(change, known.intent, None)
            self._forget(change)
            return is_new

    async def untold(self, changes: Sequence[Change]) -> list[Change]:
        """Those of these states that may not have been told; `found` says of each whether it was."""
        were_told = await self._ledger.were_told(changes)
        return [change for change, was_told in zip(changes, were_told, strict=True) if not was_told]

    def _remember(self, change: Change, known: Known) -> None:
        """Before it is told: an object that is not known to be there is not missed when it has gone.

        Not when it is told already: it may have gone since, and that have been told.
        """
        if known.was_found or known.was_heard:
            return
        if not (change.removes or change.is_noted) and any(rule.hears_of_removals for rule in known.rules):
            self._inventory.put(change)

    def _forget(self, change: Change) -> None:
        """After it was told."""
        if change.leaves_none:
            self._inventory.drop(change.bucket, change.key)

    async def _tell(self, change: Change, known: Known, name: str, unless: str = "") -> None:
        """Tell everybody whose rule is met, under a name; but nobody who was told under the name `unless`."""
        intent = known.intent
        if intent is not None and intent.event in _NAMED_BY_REQUESTS and change.event == "ObjectCreated:Put":
            change = _renamed(change, intent)
        for rule in known.rules:
            if rule.is_met(change.event, change.key):
                tell = self._tell_function if rule.is_for_function else self._tell_queue
                about = f"s3:{change.bucket}:{rule.id}:"
                if unless and await self._ledger.was_handed_in(about + unless):
                    continue
                try:
                    await tell(rule, change, intent, about + name)
                except (ResourceNotFound, QueueDoesNotExist):
                    self._say_gone(rule, change.bucket)
                else:
                    self._gone.discard(rule.arn)

    async def _tell_function(self, rule: Rule, change: Change, intent: Intent | None, once: str) -> None:
        arn, qualifier = split_arn(rule.arn)
        await self._registry.get(arn, qualifier or LATEST)
        event = NewEvent(
            arn=arn,
            qualifier=qualifier,
            payload=event_of(change, rule.id, rule.region, intent),
            request_id=new_request_id(),
            source=SOURCE,
            trace_id=_trace(intent),
            once=once,
        )
        await self._intake.accept(event)

    async def _tell_queue(self, rule: Rule, change: Change, intent: Intent | None, once: str) -> None:
        """A queue may get a message twice: when this process dies between sending it and noting that it was sent."""
        body = event_of(change, rule.id, rule.region, intent).decode()
        await self._queues.send(rule.arn, Outgoing(body=body, trace=_trace(intent)))

    def _say_gone(self, rule: Rule, bucket: str) -> None:
        """Once, until it is back: every object would say it again."""
        if rule.arn not in self._gone:
            self._gone.add(rule.arn)
            _log.warning("the notification %s of bucket %s names %s, which is gone", rule.id, bucket, rule.arn)


def _trace(intent: Intent | None) -> str | None:
    """The trace that a request came with, so that a loop through a bucket is one chain of calls."""
    return (intent.trace or None) if intent is not None else None


def _renamed(change: Change, intent: Intent) -> Change:
    return msgspec.structs.replace(change, event=intent.event)
