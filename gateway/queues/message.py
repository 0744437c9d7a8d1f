"""Messages: as they are sent, kept and received; their checks, sizes and digests. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import md5, sha256
from typing import Final

import msgspec

from gateway.queues.errors import (
    InvalidMessageContents,
    InvalidParameter,
    MessageTooLong,
    MissingParameter,
    UnsupportedOperation,
)

MAX_DELAY_S: Final = 900
MAX_ATTRIBUTES: Final = 10
TRACE_HEADER: Final = "AWSTraceHeader"
_NOT_CARRIED: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""AWS SQS API reference, SendMessage: the characters a message may not have."""
_CARRIED: Final = "#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"
_ID: Final = re.compile(r"[!-~]{1,128}")
"""Letters, digits and punctuation of ASCII."""
_ATTRIBUTE_NAME: Final = re.compile(r"(?!(?:aws|amazon)\.|\.)[\w.-]{1,256}(?<!\.)", re.IGNORECASE)
_ATTRIBUTE_TYPE: Final = re.compile(r"(?:String|Number|Binary)(?:\..+)?", re.DOTALL)
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_MOST_TYPE_CHARACTERS: Final = 256
_TEXT: Final = b"\x01"
_BINARY: Final = b"\x02"


class Attribute(msgspec.Struct, frozen=True, array_like=True):
    """A message attribute: text (also of numbers), or bytes."""

    data_type: str
    text: str | None = None
    binary: bytes | None = None

    @property
    def value(self) -> str | bytes:
        """Whichever of both there is."""
        return (self.text or "") if self.binary is None else self.binary


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A message somebody sends."""

    body: str
    attributes: dict[str, Attribute] = {}
    trace: str | None = None
    """The system attribute `AWSTraceHeader`."""
    delay_s: int | None = None
    """`None` takes the queue's."""
    group: str | None = None
    deduplication_id: str | None = None


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of a message and does not change."""

    body: str
    sender: str
    attributes: dict[str, Attribute] = {}
    trace: str | None = None
    group: str | None = None
    deduplication_id: str | None = None


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What its sender is told of a message."""

    message_id: str
    body_md5: str
    attributes_md5: str | None
    trace_md5: str | None
    sequence: str | None


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A message somebody has received, and must delete with its handle."""

    message_id: str
    message: Stored
    handle: str
    sent_ms: int
    receives: int
    first_received_ms: int
    sequence: str | None
    """Of FIFO queues."""
    dead_letter_source: str | None
    """ARN of the queue it came from by its redrive policy."""

    @property
    def body_md5(self) -> str:
        """In hex digits."""
        return digest(self.message.body)

    def system_attributes(self) -> dict[str, str]:
        """All of them by AWS's names, as text."""
        message = self.message
        found = {
            "SenderId": message.sender,
            "ApproximateReceiveCount": str(self.receives),
            "SentTimestamp": str(self.sent_ms),
            "ApproximateFirstReceiveTimestamp": str(self.first_received_ms),
            "MessageGroupId": message.group,
            "MessageDeduplicationId": message.deduplication_id,
            "SequenceNumber": self.sequence,
            TRACE_HEADER: message.trace,
            "DeadLetterQueueSourceArn": self.dead_letter_source,
        }
        return {name: value for name, value in found.items() if value is not None}


def size_of(message: Outgoing) -> int:
    """Bytes that count towards the limit: the body, and names, types and values of attributes."""
    size = len(message.body.encode("utf-8", "surrogatepass"))
    for name, attribute in message.attributes.items():
        size += len(name.encode()) + len(attribute.data_type.encode()) + len(_bytes(attribute.value))
    return size


def digest(text: str) -> str:
    """MD5 of a text, in hex digits; a checksum, which protects against nothing but accidents."""
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def attributes_digest(attributes: Mapping[str, Attribute]) -> str | None:
    """MD5 of attributes, `None` of none (Amazon SQS developer guide, "Calculating the MD5 message digest")."""
    if not attributes:
        return None
    hashed = md5(usedforsecurity=False)
    for name, attribute in sorted(attributes.items()):
        kind = _BINARY if isinstance(attribute.value, bytes) else _TEXT
        hashed.update(_measured(name.encode()) + _measured(attribute.data_type.encode()) + kind)
        hashed.update(_measured(_bytes(attribute.value)))
    return hashed.hexdigest()


def trace_digest(trace: str | None) -> str | None:
    """MD5 of the system attributes, which is of a trace header."""
    return None if trace is None else attributes_digest({TRACE_HEADER: Attribute("String", trace)})


def content_id(body: str) -> str:
    """What stands for a body where messages are told apart by their content."""
    return sha256(body.encode()).hexdigest()


def check(message: Outgoing, max_bytes: int, *, fifo: bool, by_content: bool) -> None:
    """Whether a queue takes a message. Raises the errors SQS has for it."""
    if not message.body:
        raise MissingParameter("The request must contain the parameter MessageBody.")
    if size_of(message) > max_bytes:
        raise MessageTooLong(max_bytes)
    _check_characters(message.body)
    _check_attributes(message.attributes)
    _check_id("MessageGroupId", message.group)
    _check_id("MessageDeduplicationId", message.deduplication_id)
    delay = message.delay_s
    if fifo:
        check_fifo(message, by_content=by_content)
    elif message.deduplication_id is not None:
        raise _invalid("MessageDeduplicationId", message.deduplication_id, _OTHER_TYPE)
    elif delay is not None and not 0 <= delay <= MAX_DELAY_S:
        raise _invalid("DelaySeconds", delay, f"DelaySeconds must be >= 0 and <= {MAX_DELAY_S}.")


_OTHER_TYPE: Final = "The request include parameter that is not valid for this queue type."


def check_fifo(message: Outgoing, *, by_content: bool) -> None:
    """What FIFO queues want of a message beside."""
    if message.delay_s:
        raise _invalid("DelaySeconds", message.delay_s, _OTHER_TYPE)
    if message.group is None:
        raise MissingParameter("The request must contain the parameter MessageGroupId.")
    if message.deduplication_id is None and not by_content:
        raise InvalidParameter(
            "The queue should either have ContentBasedDeduplication enabled or "
            "MessageDeduplicationId provided explicitly"
        )


def _check_characters(text: str) -> None:
    found = _NOT_CARRIED.search(text)
    if found is not None:
        raise InvalidMessageContents(
            f"Invalid binary character '#x{ord(found[0]):X}' was found in the message body, the set of allowed "
            f"characters is {_CARRIED}"
        )


def _check_id(parameter: str, value: str | None) -> None:
    if value is not None and _ID.fullmatch(value) is None:
        reason = f"{parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length."
        raise _invalid(parameter, value, reason)


def _check_attributes(attributes: Mapping[str, Attribute]) -> None:
    if len(attributes) > MAX_ATTRIBUTES:
        raise InvalidParameter(
            f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [{MAX_ATTRIBUTES}]."
        )
    for name, attribute in attributes.items():
        if _ATTRIBUTE_NAME.fullmatch(name) is None or ".." in name:
            raise InvalidParameter(
                f"Message (user) attribute name '{name}' is invalid: it has 1 to 256 letters, digits, periods, hyphens "
                "and underscores, no period at its ends nor two in a row, and does not begin with 'AWS.' or 'Amazon.'."
            )
        _check_attribute(name, attribute)


def _check_attribute(name: str, attribute: Attribute) -> None:
    kind = attribute.data_type
    if _ATTRIBUTE_TYPE.fullmatch(kind) is None or len(kind) >= _MOST_TYPE_CHARACTERS:
        raise InvalidParameter(
            f"The message attribute '{name}' has an invalid message attribute type, the set of supported type prefixes "
            "is Binary, Number, and String."
        )
    base, value = kind.partition(".")[0], attribute.value
    if not value or isinstance(value, bytes) != (base == "Binary"):
        raise InvalidParameter(f"Message (user) attribute '{name}' must contain a non-empty value of type '{base}'.")
    if isinstance(value, str):
        if _NOT_CARRIED.search(value) is not None:
            raise InvalidParameter(
                f"Invalid binary character was found in the value of message (user) attribute '{name}', the set of "
                f"allowed characters is {_CARRIED}"
            )
        if base == "Number" and _NUMBER.fullmatch(value) is None:
            raise InvalidParameter(f"Can't cast the value of message (user) attribute '{name}' to a number.")


def lists_refused(name: str) -> UnsupportedOperation:
    """The error for attributes that are lists, for which SQS has members and no use."""
    return UnsupportedOperation(
        f"Message attribute list values in SendMessage operation are not supported: message attribute '{name}'."
    )


def _invalid(parameter: str, value: object, reason: str) -> InvalidParameter:
    return InvalidParameter(f"Value {value} for parameter {parameter} is invalid. Reason: {reason}")


def _measured(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
