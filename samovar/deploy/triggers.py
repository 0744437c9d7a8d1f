"""What starts a function beside calls, as its manifest says it: queues, streams and lists it works on, and uploads.

Each source becomes an event source mapping, whose parameters have AWS's names in the API and shorter ones here.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from samovar.upload_triggers import MAX_TRIGGERS, UploadTrigger

MAPPING_TAG: Final = "samovar:manifest"
"""The tag of mappings that a manifest has made; others are not a deploy's to change."""


class SourceTrigger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a source is read. What is left out is AWS's default."""

    batch_size: Annotated[int, Meta(ge=1, le=10_000)] = 10
    window: Annotated[int, Meta(ge=0, le=300)] = 0
    """Seconds a batch may wait to become full."""
    report_failures: bool = False
    """Whether the function answers with the records it could not process (`ReportBatchItemFailures`)."""
    filters: tuple[Annotated[str, Meta(max_length=4096)], ...] = ()
    """Event patterns as JSON."""
    maximum_concurrency: Annotated[int, Meta(ge=2, le=1000)] | None = None
    """Batches at once."""
    enabled: bool = True

    def parameters(self, function_arn: str) -> dict[str, Any]:
        """The parameters of CreateEventSourceMapping and UpdateEventSourceMapping."""
        most = self.maximum_concurrency
        return {
            "EventSourceArn": self.source(function_arn),
            "BatchSize": self.batch_size,
            "MaximumBatchingWindowInSeconds": self.window,
            "FunctionResponseTypes": ["ReportBatchItemFailures"] if self.report_failures else [],
            "FilterCriteria": {"Filters": [{"Pattern": pattern} for pattern in self.filters]},
            "ScalingConfig": {} if most is None else {"MaximumConcurrency": most},
            "Enabled": self.enabled,
        }

    def source(self, function_arn: str) -> str:
        """The ARN of the source, in the region and account of the function."""
        raise NotImplementedError


class QueueTrigger(SourceTrigger, frozen=True, kw_only=True):
    """Messages of a queue."""

    queue: Annotated[str, Meta(pattern=r"^(arn:aws[a-z-]*:sqs:[a-z0-9-]+:\d{12}:)?[A-Za-z0-9_-]{1,80}(\.fifo)?$")]
    """Its name, or its ARN."""

    def source(self, function_arn: str) -> str:
        """See `SourceTrigger`."""
        region, account = function_arn.split(":")[3:5]
        return self.queue if self.queue.startswith("arn:") else f"arn:aws:sqs:{region}:{account}:{self.queue}"


class RedisTrigger(SourceTrigger, frozen=True, kw_only=True):
    """Entries of a stream, or elements of a list, in the platform's Redis."""

    key: Annotated[str, Meta(min_length=1, max_length=512)]
    kind: Literal["stream", "list"] = "stream"

    def source(self, function_arn: str) -> str:
        """See `SourceTrigger`."""
        region, account = function_arn.split(":")[3:5]
        return f"arn:aws:redis:{region}:{account}:{self.kind}/{self.key}"


class Triggers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `triggers` of a manifest."""

    queue: tuple[QueueTrigger, ...] = ()
    redis: tuple[RedisTrigger, ...] = ()
    upload: Annotated[tuple[UploadTrigger, ...], Meta(max_length=MAX_TRIGGERS)] = ()
    """These become notifications of their buckets."""

    def sources(self) -> tuple[SourceTrigger, ...]:
        """Those that become event source mappings."""
        return (*self.queue, *self.redis)
