"""What the resources of a template may say, as far as Samovar has it. A member that is not here is refused by name.

AWS SAM developer guide, "AWS SAM resources and properties"; AWS CloudFormation, "AWS::SQS::Queue", "AWS::S3::Bucket".
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from samovar.sam.reading import Properties


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


class Pattern(Properties, frozen=True):
    """One of the `Filters`."""

    pattern: str


class Filters(Properties, frozen=True):
    """`FilterCriteria`."""

    filters: list[Pattern] = msgspec.field(default_factory=list)


class Scaling(Properties, frozen=True):
    """`ScalingConfig`."""

    maximum_concurrency: int | None = None


class RedriveAllow(Properties, frozen=True, rename=None):
    """`RedriveAllowPolicy`, spelled as SQS does."""

    redrivePermission: str
    sourceQueueArns: list[str] | None = None


class CodeLocation(Properties, frozen=True):
    """A package in a bucket."""

    bucket: str
    key: str
    version: str | None = None


class Variables(Properties, frozen=True):
    """`Environment`."""

    variables: dict[str, str] = msgspec.field(default_factory=dict)


class Storage(Properties, frozen=True):
    """`EphemeralStorage`."""

    size: int


class DeadLetterQueue(Properties, frozen=True):
    """`DeadLetterQueue` of a function."""

    type: Literal["SQS", "SNS"]
    target_arn: str


class Cors(Properties, frozen=True):
    """`Cors` of a function URL."""

    allow_credentials: bool | None = None
    allow_headers: list[str] | None = None
    allow_methods: list[str] | None = None
    allow_origins: list[str] | None = None
    expose_headers: list[str] | None = None
    max_age: int | None = None


class UrlConfig(Properties, frozen=True):
    """`FunctionUrlConfig`."""

    auth_type: Literal["NONE", "AWS_IAM"] = "NONE"
    cors: Cors | None = None
    invoke_mode: Literal["BUFFERED", "RESPONSE_STREAM"] = "BUFFERED"


class Destination(Properties, frozen=True):
    """Where the results of asynchronous calls go. SAM makes no queue of its own here: name one."""

    destination: str
    type: Literal["SQS", "SNS", "Lambda", "EventBridge", "S3Bucket"] | None = None


class Destinations(Properties, frozen=True):
    """`DestinationConfig` of `EventInvokeConfig`."""

    on_success: Destination | None = None
    on_failure: Destination | None = None


class EventInvoke(Properties, frozen=True):
    """`EventInvokeConfig`."""

    maximum_event_age_in_seconds: int | None = None
    maximum_retry_attempts: int | None = None
    destination_config: Destinations | None = None


class ProvisionedConcurrency(Properties, frozen=True):
    """`ProvisionedConcurrencyConfig`; it needs `AutoPublishAlias`."""

    provisioned_concurrent_executions: int


class FunctionProperties(Properties, frozen=True):
    """`AWS::Serverless::Function`."""

    function_name: str | None = None
    description: str = ""
    package_type: Literal["Zip", "Image"] = "Zip"
    code_uri: str | CodeLocation | None = None
    inline_code: str | None = None
    handler: str | None = None
    runtime: str | None = None
    image_uri: str | None = None
    image_config: ImageConfig | None = None
    architectures: list[str] | None = None
    memory_size: int = 128
    timeout: int = 3
    ephemeral_storage: Storage | None = None
    environment: Variables | None = None
    layers: list[str] = msgspec.field(default_factory=list)
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    role: str | None = None
    policies: Any = None
    """What a function may do is the platform's to say; see docs/templates.md."""
    tracing: Literal["Active", "PassThrough", "Disabled"] | None = None
    reserved_concurrent_executions: int | None = None
    provisioned_concurrency_config: ProvisionedConcurrency | None = None
    auto_publish_alias: str | None = None
    dead_letter_queue: DeadLetterQueue | None = None
    event_invoke_config: EventInvoke | None = None
    function_url_config: UrlConfig | None = None
    recursive_loop: Literal["Allow", "Terminate"] | None = None
    logging_config: Logging | None = None
    events: dict[str, Any] = msgspec.field(default_factory=dict)


class LayerProperties(Properties, frozen=True):
    """`AWS::Serverless::LayerVersion`."""

    content_uri: str | CodeLocation
    layer_name: str | None = None
    description: str = ""
    compatible_runtimes: list[str] = msgspec.field(default_factory=list)
    compatible_architectures: list[str] = msgspec.field(default_factory=list)
    license_info: str = ""
    retention_policy: str | None = None
    """Versions of layers stay here until they are removed by name."""


class Tag(Properties, frozen=True):
    """One tag of a resource that is CloudFormation's own."""

    key: str
    value: str


class RedrivePolicy(Properties, frozen=True, rename=None):
    """`RedrivePolicy`, spelled as SQS does."""

    deadLetterTargetArn: str
    maxReceiveCount: int


class QueueProperties(Properties, frozen=True):
    """`AWS::SQS::Queue`."""

    queue_name: str | None = None
    fifo_queue: bool | None = None
    content_based_deduplication: bool | None = None
    deduplication_scope: str | None = None
    fifo_throughput_limit: str | None = None
    delay_seconds: int | None = None
    maximum_message_size: int | None = None
    message_retention_period: int | None = None
    receive_message_wait_time_seconds: int | None = None
    visibility_timeout: int | None = None
    redrive_policy: RedrivePolicy | None = None
    redrive_allow_policy: RedriveAllow | None = None
    tags: list[Tag] = msgspec.field(default_factory=list)


class BucketProperties(Properties, frozen=True):
    """`AWS::S3::Bucket`. Its notices are said by the functions they start."""

    bucket_name: str | None = None


class HttpApiProperties(Properties, frozen=True):
    """`AWS::Serverless::HttpApi`: the routes are those of the functions."""

    name: str | None = None
    description: str = ""
    stage_name: str = "$default"


class ApiProperties(Properties, frozen=True):
    """`AWS::Serverless::Api`: the routes are those of the functions."""

    stage_name: str
    name: str | None = None
    description: str = ""


class MappingProperties(Properties, frozen=True):
    """`AWS::Lambda::EventSourceMapping` on a queue."""

    function_name: str
    event_source_arn: str
    enabled: bool = True
    batch_size: int | None = None
    maximum_batching_window_in_seconds: int | None = None
    filter_criteria: Filters | None = None
    function_response_types: list[str] = msgspec.field(default_factory=list)
    scaling_config: Scaling | None = None


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


class ApiEvent(Properties, frozen=True):
    """`Type: Api`."""

    path: str
    method: str
    rest_api_id: str | None = None


class QueueEvent(Properties, frozen=True):
    """`Type: SQS`."""

    queue: str
    batch_size: int | None = None
    enabled: bool = True
    maximum_batching_window_in_seconds: int | None = None
    filter_criteria: Filters | None = None
    function_response_types: list[str] = msgspec.field(default_factory=list)
    scaling_config: Scaling | None = None


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


class UploadEvent(Properties, frozen=True):
    """`Type: S3`."""

    bucket: str
    events: str | list[str]
    filter: UploadFilter | None = None


class RetryPolicy(Properties, frozen=True):
    """How often, and for how long, a call that failed to start is repeated."""

    maximum_event_age_in_seconds: int | None = None
    maximum_retry_attempts: int | None = None


class DeadLetters(Properties, frozen=True):
    """`DeadLetterConfig` of a schedule."""

    arn: str


class ScheduleEvent(Properties, frozen=True):
    """`Type: Schedule`."""

    schedule: str
    name: str | None = None
    description: str = ""
    enabled: bool = True
    state: Literal["ENABLED", "DISABLED"] | None = None
    input: str | None = None
    retry_policy: RetryPolicy | None = None
    dead_letter_config: DeadLetters | None = None


class FlexibleWindow(Properties, frozen=True):
    """`FlexibleTimeWindow`."""

    mode: Literal["OFF", "FLEXIBLE"]
    maximum_window_in_minutes: int | None = None


class ScheduleV2Event(Properties, frozen=True):
    """`Type: ScheduleV2`."""

    schedule_expression: str
    schedule_expression_timezone: str | None = None
    name: str | None = None
    description: str = ""
    state: Literal["ENABLED", "DISABLED"] = "ENABLED"
    input: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    flexible_time_window: FlexibleWindow | None = None
    retry_policy: RetryPolicy | None = None
    dead_letter_config: DeadLetters | None = None


class RoleProperties(Properties, frozen=True):
    """`AWS::IAM::Role`. Its name is kept and told; what functions may do is the platform's to say."""

    role_name: str | None = None
    assume_role_policy_document: Any = None
    description: str = ""
    managed_policy_arns: Any = None
    max_session_duration: Any = None
    path: str | None = None
    permissions_boundary: Any = None
    policies: Any = None
    tags: Any = None
