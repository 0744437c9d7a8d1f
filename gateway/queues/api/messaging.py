"""Operations on messages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from gateway.queues import message as messages
from gateway.queues.api import requests
from gateway.queues.api.call import Answer, Call, batch_answer, check_entries, check_range, failure
from gateway.queues.errors import (
    BatchTooLong,
    InvalidAttributeName,
    InvalidParameter,
    MessageTooLong,
    MissingParameter,
    SqsError,
)
from gateway.queues.message import Attribute, Outgoing, Received, Sent
from gateway.queues.queues import Wanted
from gateway.queues.translate import MAX_VISIBILITY_S

MOST_BYTES: Final = 1024 * 1024
"""Of the messages of a batch together."""
_MOST_RECEIVED: Final = 10
_LONGEST_POLL_S: Final = 20
_ATTEMPT_ID: Final = re.compile(r"[!-~]{1,128}")
_SYSTEM_ATTRIBUTES: Final = frozenset(
    {
        "All",
        "SenderId",
        "SentTimestamp",
        "ApproximateReceiveCount",
        "ApproximateFirstReceiveTimestamp",
        "SequenceNumber",
        "MessageDeduplicationId",
        "MessageGroupId",
        "AWSTraceHeader",
        "DeadLetterQueueSourceArn",
    }
)
_EVERY_NAME: Final = frozenset({"All", ".*", "*"})


async def send(call: Call, given: requests.SendMessage) -> Answer:
    """SendMessage."""
    return _told(await call.queues.send(call.arn(given.queue_url), _outgoing(call, given), call.sender), given)


async def send_batch(call: Call, given: requests.SendMessageBatch) -> Answer:
    """SendMessageBatch. What a FIFO queue needs of every message fails the whole batch, as it does on AWS."""
    check_entries(given.entries, "SendMessageBatchRequestEntry")
    arn = call.arn(given.queue_url)
    failed: list[Answer] = []
    batch: dict[str, Outgoing] = {}
    for entry in given.entries:
        try:
            batch[entry.id] = _outgoing(call, entry)
        except SqsError as error:
            failed.append(failure(entry.id, error))
    size = sum(map(messages.size_of, batch.values()))
    if size > MOST_BYTES:
        raise BatchTooLong(f"Batch requests cannot be longer than {MOST_BYTES} bytes. You have sent {size} bytes.")
    if arn.endswith(".fifo"):
        await _check_fifo_batch(call, arn, batch.values())
    succeeded = []
    entries = {entry.id: entry for entry in given.entries}
    for entry_id, sent in zip(batch, await call.queues.send_batch(arn, [*batch.values()], call.sender), strict=True):
        if isinstance(sent, MessageTooLong):
            failed.append(failure(entry_id, sent.of_batch()))
        elif isinstance(sent, SqsError):
            failed.append(failure(entry_id, sent))
        else:
            succeeded.append({"Id": entry_id} | _told(sent, entries[entry_id]))
    return batch_answer(succeeded, failed)


async def receive(call: Call, given: requests.ReceiveMessage) -> Answer:
    """ReceiveMessage."""
    most = given.max_number_of_messages
    if most is not None and not 1 <= most <= _MOST_RECEIVED:
        reason = f"Must be between 1 and {_MOST_RECEIVED}, if provided."
        raise InvalidParameter(f"Value {most} for parameter MaxNumberOfMessages is invalid. Reason: {reason}")
    check_range("WaitTimeSeconds", given.wait_time_seconds, 0, _LONGEST_POLL_S)
    check_range("VisibilityTimeout", given.visibility_timeout, 0, MAX_VISIBILITY_S)
    attempt_id = given.receive_request_attempt_id or ""
    if attempt_id and _ATTEMPT_ID.fullmatch(attempt_id) is None:
        reason = "ReceiveRequestAttemptId can only include alphanumeric and punctuation characters. 1 to 128 in length."
        raise InvalidParameter(f"Value {attempt_id} for parameter ReceiveRequestAttemptId is invalid. Reason: {reason}")
    system = frozenset(given.attribute_names or ()) | frozenset(given.message_system_attribute_names or ())
    for name in system - _SYSTEM_ATTRIBUTES:
        raise InvalidAttributeName(f"Unknown Attribute {name}.")
    arn = call.arn(given.queue_url)
    wanted = Wanted(
        most or 1,
        given.visibility_timeout,
        given.wait_time_seconds,
        attempt_id if arn.endswith(".fifo") else "",
    )
    found = await call.queues.receive(arn, wanted)
    names = given.message_attribute_names or ()
    return {"Messages": [_shown(received, system, names) for received in found]} if found else {}


async def delete(call: Call, given: requests.DeleteMessage) -> None:
    """DeleteMessage."""
    await call.queues.delete(call.arn(given.queue_url), given.receipt_handle)


async def delete_batch(call: Call, given: requests.DeleteMessageBatch) -> Answer:
    """DeleteMessageBatch."""
    check_entries(given.entries, "DeleteMessageBatchRequestEntry")
    arn = call.arn(given.queue_url)
    refused = await call.queues.delete_batch(arn, [entry.receipt_handle for entry in given.entries])
    return _batch_answer(given.entries, refused)


async def change_visibility(call: Call, given: requests.ChangeMessageVisibility) -> None:
    """ChangeMessageVisibility."""
    assert given.visibility_timeout is not None, "required"
    await call.queues.change_visibility(call.arn(given.queue_url), given.receipt_handle, given.visibility_timeout)


async def change_visibility_batch(call: Call, given: requests.ChangeMessageVisibilityBatch) -> Answer:
    """ChangeMessageVisibilityBatch."""
    check_entries(given.entries, "ChangeMessageVisibilityBatchRequestEntry")
    if any(entry.visibility_timeout is None for entry in given.entries):
        raise MissingParameter("The request must contain the parameter VisibilityTimeout.")
    changes = [(entry.receipt_handle, entry.visibility_timeout or 0) for entry in given.entries]
    refused = await call.queues.change_visibility_batch(call.arn(given.queue_url), changes)
    return _batch_answer(given.entries, refused)


def _batch_answer(entries: Iterable[requests.DeleteEntry], refused: Iterable[SqsError | None]) -> Answer:
    each = list(zip(entries, refused, strict=True))
    succeeded: list[Answer] = [{"Id": entry.id} for entry, error in each if error is None]
    return batch_answer(succeeded, [failure(entry.id, error) for entry, error in each if error is not None])


async def _check_fifo_batch(call: Call, arn: str, batch: Iterable[Outgoing]) -> None:
    by_content = (await call.queues.known(arn)).rules.by_content
    for one in batch:
        if one.group is None:
            raise InvalidParameter("The request must contain the parameter MessageGroupId.")
        if not by_content and one.deduplication_id is None:
            messages.check_fifo(one, by_content=by_content)


def _outgoing(call: Call, given: requests.MessageToSend) -> Outgoing:
    """Raises `InvalidParameter` and `UnsupportedOperation` for attributes that are none."""
    attributes = {name: _attribute(name, value) for name, value in (given.message_attributes or {}).items()}
    return Outgoing(
        body=given.message_body,
        attributes=attributes,
        trace=_trace(given.message_system_attributes or {}) or call.trace,
        delay_s=given.delay_seconds,
        group=given.message_group_id,
        deduplication_id=given.message_deduplication_id,
    )


def _attribute(name: str, value: requests.AttributeValue) -> Attribute:
    if value.string_list_values or value.binary_list_values:
        raise messages.lists_refused(name)
    if value.binary_value is not None and value.data_type.startswith("Binary"):
        return Attribute(value.data_type, binary=value.binary_value)
    return Attribute(value.data_type, text=value.string_value)


def _trace(given: Mapping[str, requests.AttributeValue]) -> str | None:
    for name, value in given.items():
        if name != messages.TRACE_HEADER:
            raise InvalidParameter(f"Message system attribute name '{name}' is invalid.")
        if value.data_type != "String" or not value.string_value:
            raise InvalidParameter(
                f"Message system attribute '{name}' must contain a non-empty value of type 'String'."
            )
        return value.string_value
    return None


def _told(sent: Sent, given: requests.MessageToSend) -> Answer:
    found = {
        "MessageId": sent.message_id,
        "MD5OfMessageBody": sent.body_md5,
        "MD5OfMessageAttributes": sent.attributes_md5,
        "MD5OfMessageSystemAttributes": sent.trace_md5 if given.message_system_attributes else None,
        "SequenceNumber": sent.sequence,
    }
    return {name: value for name, value in found.items() if value is not None}


def _shown(received: Received, system: frozenset[str], names: Iterable[str]) -> Answer:
    shown: Answer = {
        "MessageId": received.message_id,
        "ReceiptHandle": received.handle,
        "MD5OfBody": received.body_md5,
        "Body": received.message.body,
    }
    if system:
        every = received.system_attributes()
        shown["Attributes"] = every if "All" in system else {name: every[name] for name in system & every.keys()}
    attributes = {name: one for name, one in received.message.attributes.items() if _is_asked(name, names)}
    if attributes:
        shown["MD5OfMessageAttributes"] = messages.attributes_digest(attributes)
        shown["MessageAttributes"] = {name: _value(one) for name, one in attributes.items()}
    return shown


def _is_asked(name: str, asked: Iterable[str]) -> bool:
    """`prefix.*` asks for all names that begin with the prefix."""
    return any(
        one == name or one in _EVERY_NAME or (one.endswith(".*") and name.startswith(one.removesuffix(".*")))
        for one in asked
    )


def _value(attribute: Attribute) -> Answer:
    kind = "BinaryValue" if attribute.binary is not None else "StringValue"
    return {kind: attribute.value, "DataType": attribute.data_type}
