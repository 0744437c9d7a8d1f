"""What a mapping reads from: a queue, a stream or a list, behind one contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec

HOLD_S: Final = 20.0
"""How long a source keeps a record for the poller that took it; whoever dies with it loses it no later than this."""

_encode: Final = msgspec.json.Encoder().encode


class SourceProblem(Exception):
    """The source cannot be read as it is. The message says why, to whoever looks at the mapping."""


class Taken(NamedTuple):
    """A record a poller has, and has to settle: with `done`, `failed` or `give_back` of its source."""

    id: str
    """What a function calls it by in `batchItemFailures`."""
    group: str | None
    """What it must stay in order with."""
    encoded: bytes
    """The record as it is in the event."""
    handle: Any
    """What its source needs to settle it."""
    at: float
    """When it was taken: monotonic seconds."""
    trace: str | None = None
    """The trace it came with."""

    @property
    def size(self) -> int:
        """Bytes it takes in an event."""
        return len(self.encoded)


class Source(Protocol):
    """A place to take records from. Every method raises `SourceProblem`, and `SamovarError` for what may pass."""

    body: str
    """The member of its records that may hold JSON."""

    async def receive(self, most: int, wait_s: float) -> list[tuple[Taken, Mapping[str, Any]]]:
        """Up to so many records, with each as the function is to see it; none if none came while waiting.

        When it is cancelled, what it may have taken already comes back after `HOLD_S`.
        """
        ...

    async def done(self, records: Sequence[Taken]) -> None:
        """They were processed, or nobody wants them: they do not come back."""
        ...

    async def failed(self, records: Sequence[Taken]) -> None:
        """They are to be tried again, when the source's own time for that has come."""
        ...

    async def give_back(self, records: Sequence[Taken]) -> None:
        """They were not tried: anybody may have them."""
        ...

    async def keep(self, records: Sequence[Taken]) -> None:
        """They are still being worked on: nobody else may have them for another `HOLD_S`."""
        ...

    def deadline(self, record: Taken) -> float:
        """Until when a record may be held for a function that does not take it now: monotonic seconds."""
        ...

    async def forget(self) -> None:
        """The mapping is deleted: remove what the source knows of it."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


def encoded(record: Mapping[str, Any]) -> bytes:
    """A record as it is in an event."""
    return _encode(record)


def event_of(batch: Sequence[Taken]) -> bytes:
    """The event a function gets for a batch."""
    return b'{"Records":[' + b",".join([record.encoded for record in batch]) + b"]}"
