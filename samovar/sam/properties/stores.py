"""Queues, buckets, logs, and who may use them.

AWS CloudFormation, "AWS::SQS::Queue", "AWS::S3::Bucket", "AWS::Logs::LogGroup", "AWS::IAM::Role" and the like.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from samovar.sam.properties.shared import Tag, UploadFilter
from samovar.sam.reading import Properties

BUCKET_IGNORED: Final = {
    "AccessControl": "decides nothing here: keys and roles do",
    "BucketEncryption": "encrypts nothing here: encrypt the disk that holds the data directory",
    "OwnershipControls": "decides nothing here: there is one owner",
    "PublicAccessBlockConfiguration": "decides nothing here: nothing is public",
}


class RedriveAllow(Properties, frozen=True, rename=None):
    """`RedriveAllowPolicy`, spelled as SQS does."""

    redrivePermission: str
    sourceQueueArns: list[str] | None = None


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
    kms_data_key_reuse_period_seconds: int | None = None
    kms_master_key_id: str | None = None
    sqs_managed_sse_enabled: bool | None = None
    redrive_policy: RedrivePolicy | None = None
    redrive_allow_policy: RedriveAllow | None = None
    tags: list[Tag] = msgspec.field(default_factory=list)


class QueuePolicyProperties(Properties, frozen=True):
    """`AWS::SQS::QueuePolicy`."""

    policy_document: Any
    queues: list[str]


class FunctionNotice(Properties, frozen=True):
    """One of the `LambdaConfigurations`."""

    event: str
    function: str
    filter: UploadFilter | None = None


class QueueNotice(Properties, frozen=True):
    """One of the `QueueConfigurations`."""

    event: str
    queue: str
    filter: UploadFilter | None = None


class Notices(Properties, frozen=True):
    """`NotificationConfiguration`."""

    lambda_configurations: list[FunctionNotice] = msgspec.field(default_factory=list)
    queue_configurations: list[QueueNotice] = msgspec.field(default_factory=list)


class Versioning(Properties, frozen=True):
    """`VersioningConfiguration`."""

    status: str


class BucketProperties(Properties, frozen=True):
    """`AWS::S3::Bucket`."""

    bucket_name: str | None = None
    notification_configuration: Notices | None = None
    versioning_configuration: Versioning | None = None
    access_control: Any = None
    bucket_encryption: Any = None
    ownership_controls: Any = None
    public_access_block_configuration: Any = None
    tags: Any = None


class LogGroupProperties(Properties, frozen=True):
    """`AWS::Logs::LogGroup`."""

    log_group_name: str | None = None
    retention_in_days: int | None = None
    log_group_class: str | None = None
    tags: list[Tag] = msgspec.field(default_factory=list)


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
