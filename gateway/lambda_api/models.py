"""Requests and answers of the Lambda API that Samovar offers, member by member as AWS names them.

Requests name the members Samovar acts on; what it must refuse rather than ignore is in `Unoffered`.
Source: AWS Lambda API reference, data types of each action.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from samovar.logs.config import ApplicationLogLevel, LogFormat, SystemLogLevel


class Unoffered(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Members that would change what a function does and that Samovar does not offer; see `validation.offered`."""

    publish_to: Any = None
    vpc_config: Any = None
    file_system_configs: Any = None
    code_signing_config_arn: Any = None
    tenancy_config: Any = None
    capacity_provider_config: Any = None
    durable_config: Any = None
    runtime_config: Any = None
    accelerator_config: Any = None
    kms_key_arn: Any = msgspec.field(default=None, name="KMSKeyArn")


class Variables(msgspec.Struct, frozen=True, rename="pascal"):
    """`Environment`."""

    variables: dict[str, str] | None = None


class Storage(msgspec.Struct, frozen=True, rename="pascal"):
    """`EphemeralStorage`; megabytes."""

    size: int


class Tracing(msgspec.Struct, frozen=True, rename="pascal"):
    """`TracingConfig`."""

    mode: str = "PassThrough"


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """`ImageConfig`: what a function says otherwise than its image."""

    entry_point: list[str] | None = None
    command: list[str] | None = None
    working_directory: str | None = None


class ImageConfigResponse(msgspec.Struct, frozen=True, rename="pascal"):
    """`ImageConfigResponse`."""

    image_config: ImageConfig


class SnapStart(msgspec.Struct, frozen=True, rename="pascal"):
    """`SnapStart`."""

    apply_on: str = "None"


class DeadLetter(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """`DeadLetterConfig`; an empty ARN takes it away."""

    target_arn: str | None = None


class CodeSource(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`FunctionCode`: where the deployment package comes from."""

    zip_file: bytes | None = None
    s3_bucket: str | None = None
    s3_key: str | None = None
    s3_object_version: str | None = None
    s3_object_storage_mode: str | None = None
    image_uri: str | None = None
    source_kms_key_arn: str | None = msgspec.field(default=None, name="SourceKMSKeyArn")


class ConfigurationRequest(Unoffered, frozen=True, kw_only=True, rename="pascal"):
    """`UpdateFunctionConfiguration`, and the part of `CreateFunction` that is the same. `None` was not given."""

    runtime: str | None = None
    role: str | None = None
    handler: str | None = None
    description: str | None = None
    timeout: int | None = None
    memory_size: int | None = None
    environment: Variables | None = None
    ephemeral_storage: Storage | None = None
    tracing_config: Tracing | None = None
    dead_letter_config: DeadLetter | None = None
    layers: list[str] | None = None
    logging_config: Logging | None = None
    image_config: ImageConfig | None = None
    snap_start: SnapStart | None = None
    revision_id: str | None = None


class CreateFunctionRequest(ConfigurationRequest, frozen=True, kw_only=True, rename="pascal"):
    """`CreateFunction`."""

    function_name: str
    code: CodeSource
    package_type: str | None = None
    architectures: list[str] | None = None
    tags: dict[str, str] | None = None
    publish: bool | None = None


class UpdateFunctionCodeRequest(CodeSource, frozen=True, kw_only=True, rename="pascal"):
    """`UpdateFunctionCode`."""

    architectures: list[str] | None = None
    publish: bool | None = None
    publish_to: Any = None
    dry_run: bool | None = None
    revision_id: str | None = None


class SnapStartResponse(msgspec.Struct, frozen=True, rename="pascal"):
    """`SnapStartResponse`."""

    apply_on: str
    optimization_status: Literal["On", "Off"]


class Logging(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """`LoggingConfig`, request and answer. `None` was not given, or is not told."""

    log_format: LogFormat | None = None
    application_log_level: ApplicationLogLevel | None = None
    system_log_level: SystemLogLevel | None = None
    log_group: str | None = None


class RuntimeVersion(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`RuntimeVersionConfig`."""

    runtime_version_arn: str


class Layer(msgspec.Struct, frozen=True, rename="pascal"):
    """`Layer`: a layer version that a function has; its size is that of the package."""

    arn: str
    code_size: int


class FunctionConfiguration(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """`FunctionConfiguration`, what most actions answer with."""

    function_name: str
    function_arn: str
    runtime: str | None = None
    role: str
    handler: str | None = None
    code_size: int
    description: str
    timeout: int
    memory_size: int
    last_modified: str
    code_sha256: str
    version: str
    environment: Variables | None = None
    dead_letter_config: DeadLetter | None = None
    tracing_config: Tracing
    layers: list[Layer] | None = None
    revision_id: str
    state: str | None = None
    state_reason: str | None = None
    state_reason_code: str | None = None
    last_update_status: str | None = None
    last_update_status_reason: str | None = None
    package_type: str
    image_config_response: ImageConfigResponse | None = None
    architectures: list[str]
    ephemeral_storage: Storage
    snap_start: SnapStartResponse
    runtime_version_config: RuntimeVersion | None = None
    logging_config: Logging


class CodeLocation(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """`FunctionCodeLocation`. `RepositoryType` is AWS's word for "download it from `Location`"."""

    repository_type: str
    location: str | None = None
    image_uri: str | None = None
    resolved_image_uri: str | None = None


class Concurrency(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """`Concurrency`, request and answer; `None` reserves nothing."""

    reserved_concurrent_executions: int | None = None


class GetFunctionResponse(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """`GetFunction`."""

    configuration: FunctionConfiguration
    code: CodeLocation
    tags: dict[str, str] | None = None
    concurrency: Concurrency | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Which part of a list is wanted."""

    marker: str | None = None
    max_items: int = 50


class PublishVersionRequest(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`PublishVersion`."""

    code_sha256: str | None = None
    description: str | None = None
    revision_id: str | None = None
    publish_to: Any = None


class ListVersionsResponse(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """`ListVersionsByFunction`."""

    versions: list[FunctionConfiguration]
    next_marker: str | None = None


class RoutingConfig(msgspec.Struct, frozen=True, rename="pascal"):
    """`AliasRoutingConfiguration`."""

    additional_version_weights: dict[str, float] | None = None


class AliasRequest(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`CreateAlias` and `UpdateAlias`."""

    name: str
    function_version: str | None = None
    description: str | None = None
    routing_config: RoutingConfig | None = None
    revision_id: str | None = None


class AliasConfiguration(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """`AliasConfiguration`."""

    alias_arn: str
    name: str
    function_version: str
    description: str
    routing_config: RoutingConfig | None = None
    revision_id: str


class ListFunctionsRequest(Page, frozen=True, kw_only=True, rename="pascal"):
    """`ListFunctions`."""

    function_version: str | None = None


class ListAliasesRequest(Page, frozen=True, kw_only=True, rename="pascal"):
    """`ListAliases`."""

    function_version: str | None = None


class ListAliasesResponse(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """`ListAliases`."""

    aliases: list[AliasConfiguration]
    next_marker: str | None = None


class AccountLimit(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`AccountLimit`; sizes are bytes."""

    total_code_size: int
    code_size_unzipped: int
    code_size_zipped: int
    concurrent_executions: int
    unreserved_concurrent_executions: int


class AccountUsage(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`AccountUsage`; the size is bytes."""

    total_code_size: int
    function_count: int


class AccountSettings(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`GetAccountSettings`."""

    account_limit: AccountLimit
    account_usage: AccountUsage


class ListFunctionsResponse(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """`ListFunctions`."""

    functions: list[FunctionConfiguration]
    next_marker: str | None = None


class CorsConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """`Cors` of a function URL. `None` was not given."""

    allow_credentials: bool | None = None
    allow_headers: list[str] | None = None
    allow_methods: list[str] | None = None
    allow_origins: list[str] | None = None
    expose_headers: list[str] | None = None
    max_age: int | None = None


class UrlRequest(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`CreateFunctionUrlConfig` and `UpdateFunctionUrlConfig`."""

    auth_type: str | None = None
    cors: CorsConfig | None = None
    invoke_mode: str | None = None


class UrlConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """`FunctionUrlConfig`."""

    function_url: str
    function_arn: str
    auth_type: str
    creation_time: str
    last_modified_time: str
    invoke_mode: str | None = None
    cors: CorsConfig | None = None


class UrlConfigs(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """`ListFunctionUrlConfigs`."""

    function_url_configs: list[UrlConfig]
    next_marker: str | None = None


class TagKeys(msgspec.Struct, frozen=True, rename="pascal"):
    """`UntagResource`."""

    tag_keys: list[str]


class Tags(msgspec.Struct, frozen=True, rename="pascal"):
    """`TagResource` and `ListTags`."""

    tags: dict[str, str]


class PolicyAnswer(msgspec.Struct, frozen=True, rename="pascal"):
    """`GetLayerVersionPolicy`, `GetPolicy`."""

    policy: str
    revision_id: str


class StatementAnswer(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """`AddLayerVersionPermission`, `AddPermission`; a function's has no revision in it."""

    statement: str
    revision_id: str | None = None


class AddPermissionRequest(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`AddPermission`."""

    statement_id: str
    action: str
    principal: str
    source_arn: str | None = None
    source_account: str | None = None
    event_source_token: str | None = None
    revision_id: str | None = None
    principal_org_id: str | None = msgspec.field(default=None, name="PrincipalOrgID")
    function_url_auth_type: str | None = None
    invoked_via_function_url: bool | None = None


class RemovePermissionRequest(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`RemovePermission`."""

    statement_id: str
    revision_id: str | None = None


class Recursion(msgspec.Struct, frozen=True, rename="pascal"):
    """`PutFunctionRecursionConfig` and its answers."""

    recursive_loop: Literal["Allow", "Terminate"]


class RuntimeManagementRequest(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`PutRuntimeManagementConfig`."""

    update_runtime_on: Literal["Auto", "FunctionUpdate", "Manual"]
    runtime_version_arn: str | None = None


class RuntimeManagementAnswer(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """`PutRuntimeManagementConfig` and `GetRuntimeManagementConfig`."""

    update_runtime_on: str
    function_arn: str
    runtime_version_arn: str | None = None


class ResourcePolicyName(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`GetResourcePolicy` and `DeleteResourcePolicy`."""

    resource_arn: str
    revision_id: str | None = None


class ResourcePolicyRequest(ResourcePolicyName, frozen=True, kw_only=True, rename="pascal"):
    """`PutResourcePolicy`."""

    policy: str
