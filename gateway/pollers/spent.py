"""Records of streams and lists that are given up: what their mapping's destination for failures is told of them.

A queue has a dead-letter queue of its own; a stream and a list have nothing that would remember. The message is
stored in the line of deliveries before the record is settled, so it is told to a destination that is away later.

Shape: AWS Lambda developer guide, "Retain discarded records for a Kinesis event source", with the records themselves
in it, as a destination in Amazon S3 has them: nobody could look them up later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple, Protocol

import msgspec

from gateway.events import keys
from gateway.events.event import EventHead
from gateway.events.intake import Intake
from gateway.events.records import DESTINATION
from gateway.mappings.mapping import Mapping as SourceMapping
from gateway.mappings.mapping import on_failure
from samovar.clock import Clock
from samovar.names import LATEST, new_request_id, split_arn

Condition = Literal["RetryAttemptsExhausted", "RecordAgeExceeded"]
_log: Final = logging.getLogger("samovar.pollers")


class GivenUp(NamedTuple):
    """A record that is tried no more."""

    id: str
    """Names it in its source."""
    record: Mapping[str, Any]
    """As the function was sent it."""
    tries: int
    """How often it was."""
    condition: Condition


class Tells(Protocol):
    """Whoever is to know of records that are given up."""

    async def tell(self, records: Sequence[GivenUp]) -> None:
        """Return when it is sure that somebody will be told. Raises `ServiceUnavailable`."""
        ...


class Spent:
    """Tells the destination of one mapping, or the log where it has none."""

    def __init__(self, intake: Intake, mapping: SourceMapping, clock: Clock) -> None:
        self._intake = intake
        self._mapping = mapping
        self._clock = clock

    async def tell(self, records: Sequence[GivenUp]) -> None:
        """See `Tells`. Of several pollers that give up the same record, the first one is heard."""
        target = on_failure(self._mapping.config)
        source = self._mapping.config.event_source_arn
        if target is None:
            names = ", ".join(one.id for one in records)
            _log.warning("given up, with nobody to tell, from %s: %s (%s)", source, names, records[0].condition)
            return
        await asyncio.gather(*[self._stored(one, target) for one in records])

    async def _stored(self, one: GivenUp, target: str) -> None:
        arn, qualifier = split_arn(self._mapping.function_arn)
        now = self._clock.epoch()
        head = EventHead(new_request_id(), arn, qualifier, DESTINATION, int(now * 1000), target=target)
        told = {
            "requestContext": {
                "requestId": head.id,
                "functionArn": f"{arn}:{qualifier or LATEST}",
                "condition": one.condition,
                "approximateInvokeCount": one.tries,
            },
            "responseContext": {
                "statusCode": 200,
                "executedVersion": qualifier or LATEST,
                "functionError": "Unhandled",
            },
            "version": "1.0",
            "timestamp": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "payload": {"Records": [one.record]},
        }
        name = f"spent:{self._mapping.uuid}:{one.id}"
        await self._intake.put(keys.DELIVERIES, head, msgspec.json.encode(told), name)
