"""What rules name: functions that are there, and queues."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from gateway.queues.errors import QueueDoesNotExist
from gateway.queues.message import Outgoing
from gateway.services import Services
from gateway.uploads.record import moment
from gateway.uploads.refusals import InvalidArgument
from gateway.uploads.rules import Rule
from samovar.errors import SamovarError, ServiceUnavailable
from samovar.names import LATEST, split_arn

_INVALID = "Unable to validate the following destination configurations"


class Destinations:
    """Looks at what a bucket's rules name before they are in force."""

    def __init__(self, services: Services) -> None:
        self._registry = services.registry
        self._queues = services.queues

    async def check(self, rule: Rule) -> None:
        """Raises `InvalidArgument`, in S3's words and with what is wrong, for what cannot be told of changes."""
        parts = rule.arn.split(":")
        if len(parts) < 6 or parts[0] != "arn":
            raise InvalidArgument(f"The ARN could not be parsed: {rule.arn}")
        if rule.is_for_function:
            await self._check_function(rule.arn)
        elif parts[2] == "sqs":
            await self._check_queue(rule.arn)
        else:
            raise InvalidArgument(f"The ARN is not well formed: {rule.arn}")

    async def _check_function(self, arn: str) -> None:
        unqualified, qualifier = split_arn(arn)
        try:
            await self._registry.fresh(unqualified, qualifier or LATEST)
        except ServiceUnavailable:
            raise
        except SamovarError as error:
            raise InvalidArgument(f"{_INVALID}: {error.message}") from error

    async def _check_queue(self, arn: str) -> None:
        try:
            queue = await self._queues.get(arn)
        except QueueDoesNotExist as error:
            raise InvalidArgument(f"{_INVALID}: there is no queue {arn}") from error
        if queue.is_fifo:
            raise InvalidArgument(f"{_INVALID}: {arn} is a FIFO queue, which S3 does not notify")

    async def test(self, rules: Sequence[Rule], bucket: str, request_id: str) -> None:
        """Send queues the message by which S3 shows that it can."""
        for rule in rules:
            await self._queues.send(rule.arn, Outgoing(body=_test_message(bucket, request_id).decode()))


def _test_message(bucket: str, request_id: str) -> bytes:
    """Amazon S3 user guide, "Event message structure": the test message."""
    return msgspec.json.encode(
        {
            "Service": "Amazon S3",
            "Event": "s3:TestEvent",
            "Time": moment(int(time.time() * 1000)),
            "Bucket": bucket,
            "RequestId": request_id,
            "HostId": request_id,
        }
    )
