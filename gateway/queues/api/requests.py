"""What operations take. AWS's model of SQS says the same; a test holds every record against it.

A required member that is not given has a value that is empty; `operations.py` looks for those.
"""

from __future__ import annotations

import msgspec


class Request(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The members of a request by AWS's names."""


class OfQueue(Request, frozen=True, kw_only=True):
    """DeleteQueue, PurgeQueue, ListQueueTags, and what all requests to a queue have."""

    queue_url: str = ""


class CreateQueue(Request, frozen=True, kw_only=True):
    """CreateQueue."""

    queue_name: str = ""
    attributes: dict[str, str] | None = None
    tags: dict[str, str] | None = msgspec.field(default=None, name="tags")


class ListQueues(Request, frozen=True, kw_only=True):
    """ListQueues."""

    queue_name_prefix: str | None = None
    next_token: str | None = None
    max_results: int | None = None


class GetQueueUrl(Request, frozen=True, kw_only=True):
    """GetQueueUrl."""

    queue_name: str = ""
    owner: str | None = msgspec.field(default=None, name="QueueOwnerAWSAccountId")


class GetQueueAttributes(OfQueue, frozen=True, kw_only=True):
    """GetQueueAttributes."""

    attribute_names: list[str] | None = None


class SetQueueAttributes(OfQueue, frozen=True, kw_only=True):
    """SetQueueAttributes."""

    attributes: dict[str, str] = {}


class TagQueue(OfQueue, frozen=True, kw_only=True):
    """TagQueue."""

    tags: dict[str, str] = {}


class UntagQueue(OfQueue, frozen=True, kw_only=True):
    """UntagQueue."""

    tag_keys: list[str] = []


class AddPermission(OfQueue, frozen=True, kw_only=True):
    """AddPermission."""

    label: str = ""
    accounts: list[str] = msgspec.field(default_factory=list, name="AWSAccountIds")
    actions: list[str] = []


class RemovePermission(OfQueue, frozen=True, kw_only=True):
    """RemovePermission."""

    label: str = ""


class ListDeadLetterSourceQueues(OfQueue, frozen=True, kw_only=True):
    """ListDeadLetterSourceQueues."""

    next_token: str | None = None
    max_results: int | None = None


class AttributeValue(Request, frozen=True, kw_only=True):
    """A message attribute, or a system attribute of a message."""

    data_type: str = ""
    string_value: str | None = None
    binary_value: bytes | None = None
    string_list_values: list[str] | None = None
    binary_list_values: list[bytes] | None = None


class MessageToSend(Request, frozen=True, kw_only=True):
    """What SendMessage and the entries of its batches have in common."""

    message_body: str = ""
    delay_seconds: int | None = None
    message_attributes: dict[str, AttributeValue] | None = None
    message_system_attributes: dict[str, AttributeValue] | None = None
    message_deduplication_id: str | None = None
    message_group_id: str | None = None


class SendMessage(MessageToSend, frozen=True, kw_only=True):
    """SendMessage."""

    queue_url: str = ""


class SendEntry(MessageToSend, frozen=True, kw_only=True):
    """One message of a batch."""

    id: str = ""


class SendMessageBatch(OfQueue, frozen=True, kw_only=True):
    """SendMessageBatch."""

    entries: list[SendEntry] = []


class ReceiveMessage(OfQueue, frozen=True, kw_only=True):
    """ReceiveMessage."""

    attribute_names: list[str] | None = None
    message_system_attribute_names: list[str] | None = None
    message_attribute_names: list[str] | None = None
    max_number_of_messages: int | None = None
    visibility_timeout: int | None = None
    wait_time_seconds: int | None = None
    receive_request_attempt_id: str | None = None


class DeleteMessage(OfQueue, frozen=True, kw_only=True):
    """DeleteMessage."""

    receipt_handle: str = ""


class DeleteEntry(Request, frozen=True, kw_only=True):
    """One handle of a batch."""

    id: str = ""
    receipt_handle: str = ""


class DeleteMessageBatch(OfQueue, frozen=True, kw_only=True):
    """DeleteMessageBatch."""

    entries: list[DeleteEntry] = []


class ChangeMessageVisibility(OfQueue, frozen=True, kw_only=True):
    """ChangeMessageVisibility."""

    receipt_handle: str = ""
    visibility_timeout: int | None = None


class ChangeEntry(DeleteEntry, frozen=True, kw_only=True):
    """One handle of a batch, with its time."""

    visibility_timeout: int | None = None


class ChangeMessageVisibilityBatch(OfQueue, frozen=True, kw_only=True):
    """ChangeMessageVisibilityBatch."""

    entries: list[ChangeEntry] = []


class StartMessageMoveTask(Request, frozen=True, kw_only=True):
    """StartMessageMoveTask."""

    source_arn: str = ""
    destination_arn: str | None = None
    max_number_of_messages_per_second: int | None = None


class CancelMessageMoveTask(Request, frozen=True, kw_only=True):
    """CancelMessageMoveTask."""

    task_handle: str = ""


class ListMessageMoveTasks(Request, frozen=True, kw_only=True):
    """ListMessageMoveTasks."""

    source_arn: str = ""
    max_results: int | None = None
