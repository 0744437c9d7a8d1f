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

    async def check(self, rules: Sequence[Rule], *, exist: bool = True) -> None:
        """Raises `InvalidArgument`, in S3's words, for what cannot be told of changes.

        Without `exist` it is not asked whether it is there (`x-amz-skip-destination-validation`).
        """
        for rule in rules:
            _check_arn(rule)
        if not exist:
            return
        missing = [(arn, why) for arn, why in [await self._missing(rule) for rule in rules] if why]
        if missing:
            raise InvalidArgument(_INVALID, *missing, counted=True)

    async def _missing(self, rule: Rule) -> tuple[str, str]:
        """How S3 names what a rule names, and why it cannot be told of changes; empty if it can."""
        if rule.is_for_function:
            return f"{rule.arn}, null", await self._no_function(rule.arn)
        return rule.arn, await self._no_queue(rule.arn)

    async def _no_function(self, arn: str) -> str:
        unqualified, qualifier = split_arn(arn)
        try:
            await self._registry.fresh(unqualified, qualifier or LATEST)
        except ServiceUnavailable:
            raise
        except SamovarError:
            return f"Not authorized to invoke function [{arn}]"
        return ""

    async def _no_queue(self, arn: str) -> str:
        try:
            queue = await self._queues.get(arn)
        except QueueDoesNotExist:
            return "The destination queue does not exist"
        return "FIFO queues are not supported" if queue.is_fifo else ""

    async def test(self, rules: Sequence[Rule], bucket: str, request_id: str) -> None:
        """Send queues the message by which S3 shows that it can."""
        for rule in rules:
            await self._queues.send(rule.arn, Outgoing(body=_test_message(bucket, request_id).decode()))


def _check_arn(rule: Rule) -> None:
    parts = rule.arn.split(":")
    argument = ("CloudFunction" if rule.is_for_function else "Queue", rule.arn)
    if len(parts) < 6 or parts[0] != "arn":
        raise InvalidArgument("The ARN could not be parsed", argument)
    if not rule.is_for_function and parts[2] != "sqs":
        raise InvalidArgument("The ARN is not well formed", argument)


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
