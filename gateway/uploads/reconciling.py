"""Looking for changes that nobody heard of: what requests were about to do, and what was written lately.

The server writes its account of changes to disk once a minute. One that was killed has lost what was said after that,
and if nobody heard it, looking is all that is left. An S3 of somebody else's says nothing at all.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import quote
from xml.etree.ElementTree import Element

import httpcore
from defusedxml.ElementTree import fromstring

from gateway.uploads.intents import KEPT_S, Intent, Intents
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
_log = logging.getLogger(__name__)


class Reconciler:
    """Looks at objects and has what was not told told."""

    def __init__(self, upstream: Upstream, intents: Intents, rules: RuleBook, teller: Teller) -> None:
        self._upstream = upstream
        self._intents = intents
        self._rules = rules
        self._teller = teller

    async def look_into_intents(self, now: float) -> int:
        """Look at the objects that requests were about to change; how many changes had not been told."""
        known = await self._intents.answered_before(now - ANSWERED_S)
        others = [one for one in await self._intents.before(now - SETTLED_S) if one not in known]
        return sum([await self.look_into(intent, now) for intent in [*known, *others]])

    async def look_into(self, intent: Intent, now: float) -> bool:
        """Look at the object a request was about to change; whether there was something to tell."""
        state = await self._brought_about(intent)
        was_missed = state is not None and await self._teller.found(state)
        if state is not None or now - intent.at > KEPT_S:
            await self._intents.withdraw(intent)
        return was_missed

    async def look_into_buckets(self, since_s: int) -> int:
        """Look at every object in buckets with rules that was written since; how many had not been told."""
        missed = 0
        for bucket in await self._rules.all():
            async for change in self._listed(bucket):
                if change.modified_s >= since_s and await self._teller.found(change):
                    missed += 1
        if missed:
            _log.warning("%d changes of objects had been missed, and were found by looking", missed)
        return missed

    async def _brought_about(self, intent: Intent) -> Change | None:
        """What is to be told of an intent: what is to be seen of it, or what its client was told if that has gone."""
        state, outcome = await self._state(intent), await self._intents.outcome(intent)
        if outcome is None or (state is not None and outcome.etag in ("", state.etag)):
            return state
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

    async def _state(self, intent: Intent) -> Change | None:
        """The change an intent led to; `None` when the object is not, or not yet, as the request wanted it."""
        at_ns = int(intent.at * 1e9)
        async with self._upstream.asked("HEAD", target(intent.bucket, intent.key)) as answer:
            if intent.removes:
                gone = answer.status == 404
                return Change(bucket=intent.bucket, key=intent.key, event=intent.event, at_ns=at_ns) if gone else None
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

    async def _listed(self, bucket: str) -> AsyncIterator[Change]:
        """The objects of a bucket as they are now, page by page."""
        token = ""
        while True:
            query = (
                f"?list-type=2&max-keys=1000&continuation-token={quote(token, safe='')}" if token else "?list-type=2"
            )
            async with self._upstream.asked("GET", target(bucket) + query.encode()) as answer:
                if answer.status == 404:
                    return  # the bucket is gone
                page = await _read(answer)
            for element in page:
                if _local(element) == "Contents":
                    yield _change(bucket, element)
            token = _text(page, "NextContinuationToken")
            if not token:
                return


async def _read(answer: httpcore.Response) -> Element:
    body = b"".join([part async for part in answer.aiter_stream()])
    if answer.status >= 300:
        raise ServiceUnavailable(f"the S3 server's objects cannot be listed: status {answer.status}")
    page: Element = fromstring(body)
    return page


def _change(bucket: str, element: Element) -> Change:
    from datetime import datetime

    modified = datetime.fromisoformat(_text(element, "LastModified").replace("Z", "+00:00"))
    etag = _text(element, "ETag").strip('"')
    return Change(
        bucket=bucket,
        key=_text(element, "Key"),
        event=f"ObjectCreated:{'CompleteMultipartUpload' if '-' in etag else 'Put'}",
        at_ns=int(modified.timestamp() * 1e9),
        size=int(_text(element, "Size") or 0),
        etag=etag,
        modified_s=int(modified.timestamp()),
    )


def _local(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _text(element: Element, name: str) -> str:
    return next((each.text or "" for each in element if _local(each) == name), "")
