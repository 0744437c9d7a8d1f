"""When a batch is full: by its records, by its bytes, or because its first record has waited long enough. Pure.

Source: AWS Lambda developer guide, "Batching behavior" and "Using Lambda with Amazon SQS".
"""

from __future__ import annotations

from collections import deque
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from samovar.invocation import MAX_PAYLOAD_BYTES

LONG_POLL_S: Final = 20.0
"""How long an empty source is listened to at a time: SQS's longest wait."""
RECEIVED_AT_ONCE: Final = 10
"""SQS API reference, ReceiveMessage."""
_FRAME: Final = len(b'{"Records":[]}')
_COMMA: Final = 1


class Sized(Protocol):
    """What batches are made of."""

    @property
    def size(self) -> int:
        """Bytes it takes in an event."""
        ...


class BatchLimits(NamedTuple):
    """What a mapping says of its batches. The window is in seconds."""

    records: int = 10
    window_s: float = 0.0
    payload: int = MAX_PAYLOAD_BYTES


Record = TypeVar("Record", bound=Sized)


class Batcher(Generic[Record]):
    """Records that were received and have not been handed over, in their order. Time is an argument, in seconds."""

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._waiting: deque[Record] = deque()
        self._bytes = 0
        self._since = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def waiting(self) -> list[Record]:
        """What has not been handed over."""
        return list(self._waiting)

    def add(self, record: Record, now: float) -> None:
        """Take one more."""
        if not self._waiting:
            self._since = now
        self._waiting.append(record)
        self._bytes += record.size + _COMMA

    def room(self) -> int:
        """How many more records there is a use for; 0 when a batch is full."""
        if _FRAME + self._bytes >= self._limits.payload:
            return 0
        return max(0, self._limits.records - len(self._waiting))

    def patience(self, now: float) -> float:
        """How long to wait for more records: a long poll while there are none, then what is left of the window."""
        if not self._waiting:
            return LONG_POLL_S
        if self.room() == 0:
            return 0.0
        return min(LONG_POLL_S, max(0.0, self._since + self._limits.window_s - now))

    def is_due(self, now: float) -> bool:
        """Whether a batch is to be handed over now."""
        return bool(self._waiting) and self.patience(now) <= 0

    def take(self, now: float) -> list[Record]:
        """As many as make one batch, which at least one always does; what is left begins to wait anew."""
        batch: list[Record] = []
        size = _FRAME
        while self._waiting and len(batch) < self._limits.records:
            size += self._waiting[0].size + _COMMA
            if batch and size > self._limits.payload:
                break
            batch.append(self._waiting.popleft())
        self._bytes -= sum(one.size + _COMMA for one in batch)
        self._since = now
        return batch

    def clear(self) -> list[Record]:
        """All that waited, which will not be handed over."""
        left = list(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        return left
