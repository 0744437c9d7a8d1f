"""The `Events` of a function.

AWS SAM developer guide, "EventSource".
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from samovar.sam.properties.shared import Filters, FlexibleWindow, RetryPolicy, Scaling, UploadFilter
from samovar.sam.reading import Properties


class Event(Properties, frozen=True):
    """One of a function's `Events`."""

    type: str
    properties: Any = None


class HttpApiEvent(Properties, frozen=True):
    """`Type: HttpApi`. Without method and path, whatever no other route takes."""

    path: str | None = None
    method: str | None = None
    api_id: str | None = None
    payload_format_version: Literal["1.0", "2.0"] = "2.0"
    timeout_in_millis: Any = None
    """An HTTP API's own bound; here a call has the time its function has."""


class ApiEvent(Properties, frozen=True):
    """`Type: Api`."""

    path: str
    method: str
    rest_api_id: str | None = None
    request_parameters: Any = None
    timeout_in_millis: Any = None


class QueueEvent(Properties, frozen=True):
    """`Type: SQS`."""

    queue: str
    batch_size: int | None = None
    enabled: bool = True
    maximum_batching_window_in_seconds: int | None = None
    filter_criteria: Filters | None = None
    function_response_types: list[str] = msgspec.field(default_factory=list)
    scaling_config: Scaling | None = None


class UploadEvent(Properties, frozen=True):
    """`Type: S3`."""

    bucket: str
    events: str | list[str]
    filter: UploadFilter | None = None


class OwnDeadLetters(Properties, frozen=True):
    """`DeadLetterConfig` of a schedule: a queue that is there, or one that SAM makes."""

    arn: str | None = None
    type: Literal["SQS"] | None = None
    queue_logical_id: str | None = None


class ScheduleEvent(Properties, frozen=True):
    """`Type: Schedule`."""

    schedule: str
    name: str | None = None
    description: str = ""
    enabled: bool = True
    state: Literal["ENABLED", "DISABLED"] | None = None
    input: str | None = None
    retry_policy: RetryPolicy | None = None
    dead_letter_config: OwnDeadLetters | None = None


class ScheduleV2Event(Properties, frozen=True):
    """`Type: ScheduleV2`."""

    schedule_expression: str
    schedule_expression_timezone: str | None = None
    name: str | None = None
    group_name: str | None = None
    description: str = ""
    state: Literal["ENABLED", "DISABLED"] = "ENABLED"
    omit_name: bool = False
    role_arn: Any = None
    permissions_boundary: Any = None
    input: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    flexible_time_window: FlexibleWindow | None = None
    retry_policy: RetryPolicy | None = None
    dead_letter_config: OwnDeadLetters | None = None
