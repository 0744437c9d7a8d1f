"""`AWS::Serverless::Function`, without its events.

AWS SAM developer guide, "AWS::Serverless::Function".
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from samovar.sam.properties.shared import (
    CodeLocation,
    Cors,
    EventInvokeMembers,
    FunctionMembers,
    ProvisionedConcurrency,
)
from samovar.sam.reading import Properties

_ROLES: Final = "decides nothing here: what functions may do is said by their role on the platform"
FUNCTION_IGNORED: Final = {
    "AssumeRolePolicyDocument": _ROLES,
    "PermissionsBoundary": _ROLES,
    "Policies": _ROLES,
    "RuntimeManagementConfig": "decides nothing here: PutRuntimeManagementConfig does",
}
"""Members of a function that are read and told; beside these, what changes nothing for anybody is not even told."""


class DeadLetterQueue(Properties, frozen=True):
    """`DeadLetterQueue` of a function."""

    type: Literal["SQS", "SNS"]
    target_arn: str


class UrlConfig(Properties, frozen=True):
    """`FunctionUrlConfig`."""

    auth_type: Literal["NONE", "AWS_IAM"] = "NONE"
    cors: Cors | None = None
    invoke_mode: Literal["BUFFERED", "RESPONSE_STREAM"] = "BUFFERED"


class DeploymentPreference(Properties, frozen=True):
    """`DeploymentPreference`: an alias moves all at once. There are no hooks and alarms, which could refuse it."""

    type: str | None = None
    enabled: bool = True
    role: Any = None


class FunctionProperties(FunctionMembers, frozen=True):
    """`AWS::Serverless::Function`."""

    code_uri: str | CodeLocation | None = None
    inline_code: str | None = None
    image_uri: str | None = None
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    role: str | None = None
    policies: Any = None
    assume_role_policy_document: Any = None
    permissions_boundary: Any = None
    propagate_tags: Any = None
    role_path: Any = None
    runtime_management_config: Any = None
    version_deletion_policy: Any = None
    tracing: Literal["Active", "PassThrough", "Disabled"] | None = None
    provisioned_concurrency_config: ProvisionedConcurrency | None = None
    auto_publish_alias: str | None = None
    dead_letter_queue: DeadLetterQueue | None = None
    auto_publish_alias_all_properties: Any = None
    auto_publish_code_sha256: Any = msgspec.field(name="AutoPublishCodeSha256", default=None)
    deployment_preference: DeploymentPreference | None = None
    version_description: str = ""
    event_invoke_config: EventInvokeMembers | None = None
    function_url_config: UrlConfig | None = None
    events: dict[str, Any] = msgspec.field(default_factory=dict)
