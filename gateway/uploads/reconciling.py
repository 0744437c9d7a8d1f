"""Looking for changes that nobody heard of: what requests were about to do, and what was written lately.

The server writes its account of changes to disk once a minute. One that was killed has lost what was said after that,
and if nobody heard it, looking is all that is left: at the objects there are, and at those that were there
(`inventory.py`). An S3 of somebody else's says nothing at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Final

import httpcore
import msgspec

from gateway.uploads.intents import KEPT_S, Intent, Intents, Outcome
from gateway.uploads.inventory import Inventory
from gateway.uploads.listing import listed
from gateway.uploads.objects import target
from gateway.uploads.record import Change
from gateway.uploads.rule_book import RuleBook
from gateway.uploads.telling import Teller
from gateway.uploads.upstream import Upstream
from samovar.errors import ServiceUnavailable

ANSWERED_S: Final = 5.0
"""A change that its client knows of, and of which nothing was heard for so long, is looked into."""
SETTLED_S: Final = 30.0
"""So is one that may still be under way. A request that still runs is not forgotten by it."""
ANSWERS_WITHIN_S: Final = 10.0
"""A server that is being started, or has been stopped, is not waited for any longer than the next look would be."""
_log = logging.getLogger(__name__)


class Reconciler:
    """Looks at objects and has what was not told told."""

    def __init__(
        self,
        upstream: Upstream,
        intents: Intents,
        rules: RuleBook,
        teller: Teller,
        inventory: Inventory,
        *,
        is_silent: bool,
    ) -> None:
        """`is_silent`: the server tells nobody of changes."""
        self._upstream = upstream
        self._intents = intents
        self._rules = rules
        self._teller = teller
        self._inventory = inventory
        self._is_silent = is_silent
        self._taking_stock = asyncio.Lock()

    async def look_into_intents(self, now: float) -> int:
        """Look at the objects that requests were about to change; how many changes had not been told."""
        known = await self._intents.answered_before(now - ANSWERED_S)
        missed = sum([await self.look_into(intent, now) for intent in known])
        for intent in await self._intents.before(now - SETTLED_S):
            missed += await self.look_into(intent, now)
            await self._intents.put_off(intent, now)
        return missed

    async def look_into(self, intent: Intent, now: float) -> bool:
        """Look at the object a request was about to change; whether there was something to tell."""
        if intent.removes:
            return await self._look_into_removal(intent, now)
        state = await self._brought_about(intent)
        was_missed = state is not None and await self._teller.found(state)
        if state is not None or now - intent.at > KEPT_S:
            await self._intents.withdraw(intent)
        return was_missed

    async def _look_into_removal(self, intent: Intent, now: float) -> bool:
        """Of an object that was removed nothing is to be seen but that it is not there, or is there again."""
        before = self._inventory.find(intent.bucket, intent.key)
        is_gone = await self._gone(intent.bucket, intent.key) is not None
        outcome = await self._intents.outcome(intent)
        if not is_gone and outcome is None and now - intent.at <= KEPT_S:
            return False  # it may be under way
        if is_gone and before is None and self._inventory.is_complete(intent.bucket) and not self._is_silent:
            was_missed = False  # what was there has been told to be gone, or there was nothing
        elif is_gone or outcome is not None:
            was_missed = await self._teller.found(_removal(intent, before if is_gone else None))
        else:
            was_missed = False  # nobody was told that it happened, and it did not
        await self._intents.withdraw(intent)
        return was_missed

    async def look_into_buckets(self, since_s: int, now: float) -> int:
        """Look at every object in buckets with rules that was written since; how many changes had not been told.

        And for every object that was there, and is not. Raises the last `ServiceUnavailable` of a bucket that could not
        be looked at, when the others have been.
        """
        missed, failure = 0, None
        for bucket, rules in (await self._rules.all()).items():
            try:
                if any(rule.hears_of_removals for rule in rules):
                    missed += await self._take_stock(bucket, since_s, now)
                else:
                    missed += sum([await self._find(page, since_s) async for page in listed(self._asked, bucket)])
            except ServiceUnavailable as error:
                failure = error
        if missed:
            _log.warning("%d changes of objects had been missed, and were found by looking", missed)
        if failure is not None:
            raise failure
        return missed

    async def get_to_know(self, now: float) -> None:
        """Look at all objects of buckets of which somebody newly hears when they are removed; forget other buckets.

        Raises as `look_into_buckets` does.
        """
        wanted = [
            bucket
            for bucket, rules in (await self._rules.all()).items()
            if any(rule.hears_of_removals for rule in rules)
        ]
        for _ in self._inventory.keep_only(wanted):
            await asyncio.sleep(0)
        failure = None
        for bucket in wanted:
            if not self._inventory.is_complete(bucket):
                try:
                    await self._take_stock(bucket, None, now)
                except ServiceUnavailable as error:
                    failure = error
        if failure is not None:
            raise failure

    async def _take_stock(self, bucket: str, since_s: int | None, now: float) -> int:
        """Look at all objects of a bucket, and for those there were; how many changes had not been told.

        Only those written since are told, and none where that is `None`.
        """
        missed = 0
        async with self._taking_stock:
            self._inventory.begin(bucket)
            async for page in listed(self._asked, bucket):
                if since_s is not None:
                    missed += await self._find(page, since_s)
                self._inventory.seen(bucket, page)
            for before in self._inventory.missing(bucket):
                how = await self._gone(bucket, before.key)
                if how is None:
                    continue  # it was put while the others were looked at
                missed += await self._teller.found(msgspec.structs.replace(before, event=how, at_ns=int(now * 1e9)))
                self._inventory.drop(bucket, before.key)
            self._inventory.end(bucket)
        return missed

    async def _find(self, page: list[Change], since_s: int) -> int:
        """Most have been told, however much there is: one question finds those that have not."""
        untold = await self._teller.untold([change for change in page if change.modified_s >= since_s])
        return sum([await self._teller.found(change) for change in untold])

    async def _gone(self, bucket: str, key: str) -> str | None:
        """What happened to an object that is not there, in the words of notices; `None` for one that is."""
        async with self._asked("HEAD", target(bucket, key)) as answer:
            if answer.status != 404:
                return None
            is_marked = any(name.lower() == b"x-amz-delete-marker" for name, _ in answer.headers)
        return f"ObjectRemoved:{'DeleteMarkerCreated' if is_marked else 'Delete'}"

    async def _brought_about(self, intent: Intent) -> Change | None:
        """What is to be told of an upload: what is to be seen of it, or what its client was told if that has gone."""
        state, outcome = await self._state(intent), await self._intents.outcome(intent)
        if outcome is None or (state is not None and outcome.etag in ("", state.etag)):
            return state
        return _told_of(intent, outcome)

    async def _state(self, intent: Intent) -> Change | None:
        """The object an intent led to; `None` when there is none, or not yet one as the request wanted it."""
        at_ns = int(intent.at * 1e9)
        async with self._asked("HEAD", target(intent.bucket, intent.key)) as answer:
            if answer.status >= 300:
                return None
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
        modified_s = int(parsedate_to_datetime(headers["last-modified"]).timestamp())
        if modified_s < int(intent.at):
            return None
        return Change(
            bucket=intent.bucket,
            key=intent.key,
            event=intent.event,
            at_ns=at_ns,
            size=int(headers.get("content-length", "0")),
            etag=headers.get("etag", "").strip('"'),
            version=headers.get("x-amz-version-id", ""),
            modified_s=modified_s,
        )

    @asynccontextmanager
    async def _asked(self, method: str, target: bytes) -> AsyncIterator[httpcore.Response]:
        """The server's answer, read within `ANSWERS_WITHIN_S`: who looks in vain looks again."""
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S), self._upstream.asked(method, target) as answer:
                yield answer
        except TimeoutError as error:
            raise ServiceUnavailable(f"the S3 server does not answer within {ANSWERS_WITHIN_S:g} s") from error


def _told_of(intent: Intent, outcome: Outcome) -> Change:
    """What a request's client was told."""
    return Change(
        bucket=intent.bucket,
        key=intent.key,
        event=intent.event,
        at_ns=int(intent.at * 1e9),
        size=outcome.size,
        etag=outcome.etag,
        version=outcome.version,
        modified_s=int(intent.at),
    )


def _removal(intent: Intent, before: Change | None) -> Change:
    """What a request removed, as it was before where that is known."""
    if before is None:
        return _told_of(intent, Outcome())
    return msgspec.structs.replace(before, event=intent.event, at_ns=int(intent.at * 1e9))
