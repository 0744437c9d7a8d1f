"""A queue as a source, read in this process as SQS's API reads it.

A message is received for `HOLD_S` and kept for as long as it is worked on, whatever the queue's visibility timeout: so
one whose worker dies is back after seconds. That timeout is what a message waits that failed, counted from when it was
received, as with AWS.

Sources: AWS Lambda developer guide, "Using Lambda with Amazon SQS" and "Configuring scaling behavior for SQS event
source mappings"; the shape of a record is what AWS's own functions are sent.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from gateway.pollers.source import HOLD_S, Taken, encoded
from gateway.queues.errors import SqsError
from gateway.queues.message import Attribute, Received, attributes_digest
from gateway.queues.names import QueueArn
from gateway.queues.queues import Queues, Wanted

_MARGIN_S: Final = 30.0
"""What a message's visibility timeout is at least beyond window and function timeout, where there is a window."""
_LOOKS_S: Final = 5.0
"""How long it may go unnoticed that a queue has another visibility timeout."""
_AT_ONCE: Final = 100
"""Messages settled by one command."""
_TOGETHER: Final = 32
_log = logging.getLogger("samovar.pollers")


class QueueSource:
    """See `gateway.pollers.source.Source`."""

    body = "body"

    def __init__(self, queues: Queues, arn: str, visibility_s: float = 0.0) -> None:
        """`visibility_s`: the least visibility timeout, whatever the queue says."""
        parsed = QueueArn.parse(arn)
        self._region = parsed.region if parsed is not None else ""
        self._arn = arn
        self._queues = queues
        self._least_s = visibility_s
        self._visibility_s = visibility_s
        self._looked: float | None = None
        self._deleted: list[tuple[Sequence[Taken], asyncio.Future[None]]] = []
        """Who waits for what to be deleted; the first of them are being served."""
        self._deleting: asyncio.Task[None] | None = None

    async def receive(self, most: int, wait_s: float) -> list[tuple[Taken, Mapping[str, Any]]]:
        """See `Source`. Raises `QueueDoesNotExist`."""
        now = time.monotonic()
        if self._looked is None or now - self._looked > _LOOKS_S:
            queue = await self._queues.get(self._arn)
            self._visibility_s, self._looked = max(self._least_s, queue.rules.visibility_ms / 1000), now
        # The last thing to wait for: a caller that is cancelled leaves nothing in flight.
        received = await self._queues.receive(self._arn, Wanted(most, int(HOLD_S), wait_s))
        at = time.monotonic()
        return [self._taken(one, at) for one in received]

    def _taken(self, one: Received, at: float) -> tuple[Taken, Mapping[str, Any]]:
        record = record_of(one, self._arn, self._region)
        message = one.message
        return Taken(one.message_id, message.group, encoded(record), one.handle, at, message.trace), record

    async def done(self, records: Sequence[Taken]) -> None:
        """See `Source`. What comes while others are being deleted goes together in the next command."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._deleted.append((records, future))
        if len(self._deleted) == 1:
            self._deleting = asyncio.create_task(self._delete(), name="deleting")
        await future

    async def _delete(self) -> None:
        while self._deleted:
            waiting = self._deleted[:_TOGETHER]
            failure: Exception | None = None
            try:
                await self._delete_all([record for records, _ in waiting for record in records])
            except Exception as error:  # noqa: BLE001 - those who wait are told, whatever it was
                failure = error
            del self._deleted[: len(waiting)]
            for _, future in waiting:
                if future.done():
                    continue  # whoever waited has gone
                if failure is None:
                    future.set_result(None)
                else:
                    future.set_exception(failure)

    async def _delete_all(self, records: Sequence[Taken]) -> None:
        for some in _parts(records):
            self._tell(some, await self._queues.delete_batch(self._arn, [record.handle for record in some]))

    async def failed(self, records: Sequence[Taken]) -> None:
        """See `Source`: when the visibility timeout is over."""
        now = time.monotonic()
        await self._change([(record, self._visibility_s - (now - record.at)) for record in records])

    async def give_back(self, records: Sequence[Taken]) -> None:
        """See `Source`."""
        await self._change([(record, 0.0) for record in records])

    async def keep(self, records: Sequence[Taken]) -> None:
        """See `Source`."""
        await self._change([(record, HOLD_S) for record in records])

    async def _change(self, changes: Sequence[tuple[Taken, float]]) -> None:
        for some in _parts(changes):
            told = [(record.handle, max(0, math.ceil(seconds))) for record, seconds in some]
            refused = await self._queues.change_visibility_batch(self._arn, told)
            self._tell([record for record, _ in some], refused)

    def _tell(self, records: Sequence[Taken], refused: Sequence[SqsError | None]) -> None:
        for record, error in zip(records, refused, strict=True):
            if error is not None:
                _log.info("message %s of %s: %s", record.id, self._arn, error.message)

    def deadline(self, record: Taken) -> float:
        """See `Source`: when its visibility timeout is over."""
        return record.at + max(self._visibility_s, HOLD_S)

    async def forget(self) -> None:
        """See `Source`: a queue knows nothing of mappings."""

    async def close(self) -> None:
        """See `Source`."""


def least_visibility(window_s: float, timeout_s: float) -> float:
    """What the visibility timeout of a message is at least, for a mapping that collects batches."""
    return window_s + timeout_s + _MARGIN_S if window_s else 0.0


def record_of(one: Received, arn: str, region: str) -> dict[str, Any]:
    """A message as functions are sent it."""
    attributes = one.message.attributes
    return {
        "messageId": one.message_id,
        "receiptHandle": one.handle,
        "body": one.message.body,
        "attributes": one.system_attributes(),
        "messageAttributes": {name: _attribute(value) for name, value in attributes.items()},
        "md5OfMessageAttributes": attributes_digest(attributes),
        "md5OfBody": one.body_md5,
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": region,
    }


def _attribute(attribute: Attribute) -> dict[str, Any]:
    value = attribute.value
    given = {"stringValue": value} if isinstance(value, str) else {"binaryValue": base64.b64encode(value).decode()}
    return {**given, "stringListValues": [], "binaryListValues": [], "dataType": attribute.data_type}


def _parts(many: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (many[start : start + _AT_ONCE] for start in range(0, len(many), _AT_ONCE))
