"""Resources of Lambda itself, and SAM's layers.

AWS CloudFormation, "AWS Lambda resource type reference".
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from samovar.sam.properties.shared import (
    CodeLocation,
    Cors,
    EventInvokeMembers,
    Filters,
    FunctionMembers,
    ProvisionedConcurrency,
    Scaling,
    Tag,
)
from samovar.sam.reading import Properties


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


class InBucket(Properties, frozen=True):
    """A package in a bucket, in the words of Lambda's API."""

    s3_bucket: str
    s3_key: str
    s3_object_version: str | None = None


class FunctionCode(Properties, frozen=True):
    """`Code`: one of its ways."""

    zip_file: str | None = None
    """The source itself."""
    image_uri: str | None = None
    s3_bucket: str | None = None
    s3_key: str | None = None
    s3_object_version: str | None = None


class DeadLetterConfig(Properties, frozen=True):
    """`DeadLetterConfig`."""

    target_arn: str = ""


class TracingConfig(Properties, frozen=True):
    """`TracingConfig`."""

    mode: Literal["Active", "PassThrough"]


class LambdaFunctionProperties(FunctionMembers, frozen=True, kw_only=True):
    """`AWS::Lambda::Function`."""

    code: str | FunctionCode
    """Also a folder or a package, which `aws cloudformation package` would upload."""
    role: str
    tags: list[Tag] = msgspec.field(default_factory=list)
    tracing_config: TracingConfig | None = None
    dead_letter_config: DeadLetterConfig | None = None


class LambdaLayerProperties(Properties, frozen=True):
    """`AWS::Lambda::LayerVersion`."""

    content: str | InBucket
    layer_name: str | None = None
    description: str = ""
    compatible_runtimes: list[str] = msgspec.field(default_factory=list)
    compatible_architectures: list[str] = msgspec.field(default_factory=list)
    license_info: str = ""


class VersionProperties(Properties, frozen=True):
    """`AWS::Lambda::Version`."""

    function_name: str
    description: str = ""
    code_sha256: str | None = msgspec.field(name="CodeSha256", default=None)
    provisioned_concurrency_config: ProvisionedConcurrency | None = None


class VersionWeight(Properties, frozen=True):
    """One of the `AdditionalVersionWeights`."""

    function_version: str
    function_weight: float


class Routing(Properties, frozen=True):
    """`RoutingConfig`."""

    additional_version_weights: list[VersionWeight] = msgspec.field(default_factory=list)


class AliasProperties(Properties, frozen=True):
    """`AWS::Lambda::Alias`."""

    function_name: str
    function_version: str
    name: str
    description: str = ""
    routing_config: Routing | None = None
    provisioned_concurrency_config: ProvisionedConcurrency | None = None


class LambdaUrlProperties(Properties, frozen=True):
    """`AWS::Lambda::Url`."""

    target_function_arn: str
    auth_type: Literal["NONE", "AWS_IAM"]
    qualifier: str | None = None
    cors: Cors | None = None
    invoke_mode: Literal["BUFFERED", "RESPONSE_STREAM"] = "BUFFERED"


class EventInvokeProperties(EventInvokeMembers, frozen=True, kw_only=True):
    """`AWS::Lambda::EventInvokeConfig`."""

    function_name: str
    qualifier: str = "$LATEST"


class PermissionProperties(Properties, frozen=True):
    """`AWS::Lambda::Permission`."""

    action: str
    function_name: str
    principal: str
    event_source_token: str | None = None
    function_url_auth_type: str | None = None
    invoked_via_function_url: bool | None = None
    principal_org_id: str | None = msgspec.field(name="PrincipalOrgID", default=None)
    source_account: str | None = None
    source_arn: str | None = None


class MappingProperties(Properties, frozen=True):
    """`AWS::Lambda::EventSourceMapping` on a queue, or on a stream or a list in Redis."""

    function_name: str
    event_source_arn: str
    enabled: bool = True
    batch_size: int | None = None
    bisect_batch_on_function_error: bool | None = None
    maximum_batching_window_in_seconds: int | None = None
    maximum_record_age_in_seconds: int | None = None
    maximum_retry_attempts: int | None = None
    filter_criteria: Filters | None = None
    function_response_types: list[str] = msgspec.field(default_factory=list)
    scaling_config: Scaling | None = None
    starting_position: Literal["AT_TIMESTAMP", "LATEST", "TRIM_HORIZON"] | None = None
    starting_position_timestamp: float | None = None
    tags: list[Tag] = msgspec.field(default_factory=list)


class LayerPermissionProperties(Properties, frozen=True):
    """`AWS::Lambda::LayerVersionPermission`: read, and decides nothing within one account."""

    action: Any = None
    layer_version_arn: Any = None
    organization_id: Any = None
    principal: Any = None
