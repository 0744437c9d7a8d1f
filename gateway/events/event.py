"""An asynchronous event: as it is handed in, and as the store keeps it."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from samovar.invocation import Trigger

MAX_NAME_BYTES: Final = 256
_TRIGGERS: Final[dict[str, Trigger]] = {
    "aws:s3": "upload",
    "aws:sqs": "queue",
    "aws:events": "schedule",
    "aws:scheduler": "schedule",
    "aws:lambda": "function",
}


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that somebody wants a function to run, whenever it can."""

    arn: str
    """The function's unqualified ARN, as in the registry."""
    qualifier: str | None = None
    """The version or alias as it was named; resolved when the event runs."""
    payload: bytes
    """JSON."""
    request_id: str
    """The same in all attempts."""
    source: str = ""
    """What it comes from, as AWS writes it (`aws:s3`, `aws:events`, …); empty for a caller of the API."""
    trace_id: str | None = None
    """The caller's trace; the function is added to its lineage (`gateway/lineage.py`) when the event runs."""
    once: str = ""
    """A name under which one event is taken: another of that name is dropped, as it was taken already."""


class EventHead(msgspec.Struct, frozen=True, array_like=True):
    """What the store keeps of an event beside its payload. Moments are epoch milliseconds."""

    id: str
    """The request id."""
    arn: str
    qualifier: str | None
    source: str
    accepted_ms: int
    trace_id: str | None = None
    runs: int = 0
    """How often it was handed to the invoker before; each reading of it has a number of its own."""
    attempts: int = 0
    """How many of its runs came to an end in the function, well or not: AWS's `approximateInvokeCount`."""
    pauses: int = 0
    """How often in a row it could not be run: throttled, or the platform was at fault."""
    target: str = ""
    """Of a message to a destination: its ARN or URL."""
    attributes: dict[str, dict[str, str]] = {}
    """Of a message to a dead-letter queue: its message attributes, as SQS has them."""
    ended_ms: int = 0
    condition: str = ""
    """Why it ended, in the words of destinations' records; empty when it has not."""
    error: str = ""
    """What it failed with last, cut to a kilobyte."""
    version: str = ""
    """What ran it last."""

    @property
    def trigger(self) -> Trigger:
        """What its readings say started it."""
        return _TRIGGERS.get(self.source, "invoke")


encode_head: Final = msgspec.json.Encoder().encode
decode_head: Final = msgspec.json.Decoder(EventHead).decode


def head_of(event: NewEvent) -> EventHead:
    """The head of an event that is taken now."""
    return EventHead(
        event.request_id,
        event.arn,
        event.qualifier,
        event.source,
        int(time.time() * 1000),
        event.trace_id,
    )
