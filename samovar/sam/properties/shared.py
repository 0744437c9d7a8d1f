"""Members that several resources have.

AWS SAM developer guide; AWS CloudFormation, "AWS::Lambda::Function".
"""

from __future__ import annotations

from typing import Literal

import msgspec

from samovar.sam.reading import Properties


class Pattern(Properties, frozen=True):
    """One of the `Filters`."""

    pattern: str


class Filters(Properties, frozen=True):
    """`FilterCriteria`."""

    filters: list[Pattern] = msgspec.field(default_factory=list)


class Scaling(Properties, frozen=True):
    """`ScalingConfig`."""

    maximum_concurrency: int | None = None


class CodeLocation(Properties, frozen=True):
    """A package in a bucket."""

    bucket: str
    key: str
    version: str | None = None


class ImageConfig(Properties, frozen=True):
    """`ImageConfig`."""

    command: list[str] | None = None
    entry_point: list[str] | None = None
    working_directory: str | None = None


class Logging(Properties, frozen=True):
    """`LoggingConfig`."""

    log_format: str | None = None
    application_log_level: str | None = None
    system_log_level: str | None = None
    log_group: str | None = None


class Variables(Properties, frozen=True):
    """`Environment`."""

    variables: dict[str, str] = msgspec.field(default_factory=dict)


class SnapStart(Properties, frozen=True):
    """`SnapStart`."""

    apply_on: Literal["PublishedVersions", "None"]


class Storage(Properties, frozen=True):
    """`EphemeralStorage`."""

    size: int


class Cors(Properties, frozen=True):
    """`Cors` of a function URL."""

    allow_credentials: bool | None = None
    allow_headers: list[str] | None = None
    allow_methods: list[str] | None = None
    allow_origins: list[str] | None = None
    expose_headers: list[str] | None = None
    max_age: int | None = None


class Tag(Properties, frozen=True):
    """One tag of a resource that is CloudFormation's own."""

    key: str
    value: str


class RetryPolicy(Properties, frozen=True):
    """How often, and for how long, a call that failed to start is repeated."""

    maximum_event_age_in_seconds: int | None = None
    maximum_retry_attempts: int | None = None


class DeadLetters(Properties, frozen=True):
    """`DeadLetterConfig` of a schedule."""

    arn: str


class FlexibleWindow(Properties, frozen=True):
    """`FlexibleTimeWindow`."""

    mode: Literal["OFF", "FLEXIBLE"]
    maximum_window_in_minutes: int | None = None


class UploadRule(Properties, frozen=True):
    """Which keys count."""

    name: Literal["prefix", "suffix", "Prefix", "Suffix"]
    value: str


class UploadKeys(Properties, frozen=True):
    """`S3Key`."""

    rules: list[UploadRule]


class UploadFilter(Properties, frozen=True):
    """`Filter`."""

    s3_key: UploadKeys


class Destination(Properties, frozen=True):
    """Where the results of asynchronous calls go. SAM makes a queue where only the type is given."""

    destination: str | None = None
    type: Literal["SQS", "SNS", "Lambda", "EventBridge", "S3Bucket"] | None = None


class Destinations(Properties, frozen=True):
    """`DestinationConfig` of `EventInvokeConfig`."""

    on_success: Destination | None = None
    on_failure: Destination | None = None


class EventInvokeMembers(Properties, frozen=True, kw_only=True):
    """What becomes of asynchronous calls."""

    maximum_event_age_in_seconds: int | None = None
    maximum_retry_attempts: int | None = None
    destination_config: Destinations | None = None


class ProvisionedConcurrency(Properties, frozen=True):
    """`ProvisionedConcurrencyConfig`."""

    provisioned_concurrent_executions: int


class FunctionMembers(Properties, frozen=True):
    """What a function of SAM and one of CloudFormation say alike."""

    function_name: str | None = None
    description: str = ""
    package_type: Literal["Zip", "Image"] = "Zip"
    handler: str | None = None
    runtime: str | None = None
    image_config: ImageConfig | None = None
    architectures: list[str] | None = None
    memory_size: int = 128
    timeout: int = 3
    ephemeral_storage: Storage | None = None
    environment: Variables | None = None
    layers: list[str] = msgspec.field(default_factory=list)
    reserved_concurrent_executions: int | None = None
    recursive_loop: Literal["Allow", "Terminate"] | None = None
    snap_start: SnapStart | None = None
    logging_config: Logging | None = None
