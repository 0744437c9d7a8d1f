"""The attributes of queues: which there are, what they may be, what follows from them. Pure.

Names, limits and defaults: AWS's API model of SQS, `CreateQueue` and `SetQueueAttributes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from gateway.queues import permissions
from gateway.queues.errors import InvalidAttributeName, InvalidAttributeValue, InvalidParameter
from gateway.queues.names import QueueArn

_NUMBERS: Final[dict[str, tuple[int, int, int]]] = {
    "DelaySeconds": (0, 900, 0),
    "MaximumMessageSize": (1024, 1024 * 1024, 1024 * 1024),
    "MessageRetentionPeriod": (60, 14 * 86_400, 4 * 86_400),
    "ReceiveMessageWaitTimeSeconds": (0, 20, 0),
    "VisibilityTimeout": (0, 12 * 3600, 30),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400, 300),
}
"""Least, greatest, default."""
_CHOICES: Final = {
    "FifoQueue": ("true", "false"),
    "ContentBasedDeduplication": ("true", "false"),
    "SqsManagedSseEnabled": ("true", "false"),
    "DeduplicationScope": ("queue", "messageGroup"),
    "FifoThroughputLimit": ("perQueue", "perMessageGroupId"),
}
_DOCUMENTS: Final = ("Policy", "RedrivePolicy", "RedriveAllowPolicy")
_HIGH_THROUGHPUT: Final = ("DeduplicationScope", "FifoThroughputLimit")
_FIFO_ONLY: Final = ("FifoQueue", "ContentBasedDeduplication", *_HIGH_THROUGHPUT)
COUNTS: Final = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
"""What is counted when it is asked for."""
_COMPUTED: Final = (*COUNTS, "QueueArn", "CreatedTimestamp", "LastModifiedTimestamp")
NAMES: Final = frozenset({*_NUMBERS, *_CHOICES, *_DOCUMENTS, *_COMPUTED, "KmsMasterKeyId"})
"""Every attribute there is."""
_LEFT_OUT: Final = {"KmsMasterKeyId": "", "KmsDataKeyReusePeriodSeconds": "300"} | dict.fromkeys(_DOCUMENTS, "")
"""Values with which an attribute is as if it had never been set."""
_MOST_SOURCES: Final = 10


class Redrive(NamedTuple):
    """Where messages go that nobody manages to work on."""

    target: QueueArn
    max_receives: int


class Rules(NamedTuple):
    """What follows from attributes for messages, in the units of the code."""

    delay_ms: int
    max_bytes: int
    retention_ms: int
    wait_s: int
    visibility_ms: int
    by_content: bool
    """Whether messages without an id for deduplication are told apart by their bodies."""
    by_group: bool
    """Whether messages of different groups are never duplicates."""
    redrive: Redrive | None


def defaults(*, fifo: bool) -> dict[str, str]:
    """The attributes of a queue nothing was said about."""
    found = {name: str(default) for name, (_, _, default) in _NUMBERS.items() if name not in _LEFT_OUT}
    found["SqsManagedSseEnabled"] = "true"
    if fifo:
        found |= {
            "FifoQueue": "true",
            "ContentBasedDeduplication": "false",
            "DeduplicationScope": "queue",
            "FifoThroughputLimit": "perQueue",
        }
    return found


def rules_of(attributes: Mapping[str, str]) -> Rules:
    """What the attributes of a queue mean for its messages."""
    return Rules(
        delay_ms=int(attributes["DelaySeconds"]) * 1000,
        max_bytes=int(attributes["MaximumMessageSize"]),
        retention_ms=int(attributes["MessageRetentionPeriod"]) * 1000,
        wait_s=int(attributes["ReceiveMessageWaitTimeSeconds"]),
        visibility_ms=int(attributes["VisibilityTimeout"]) * 1000,
        by_content=attributes.get("ContentBasedDeduplication") == "true",
        by_group=attributes.get("DeduplicationScope") == "messageGroup",
        redrive=redrive_of(attributes.get("RedrivePolicy", "")),
    )


def checked(given: Mapping[str, str], *, fifo: bool) -> dict[str, str]:
    """Attributes somebody sets, as they are kept.

    Raises `InvalidAttributeName`, `InvalidAttributeValue`, and `InvalidParameter` for redrive policies.
    """
    return {name: _checked(name, value.strip(), fifo=fifo) for name, value in given.items()}


def merged(current: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Attributes after `given`, which is checked, has been set on a queue that has `current`.

    Raises `InvalidAttributeName` for two ways of encryption, `InvalidAttributeValue` for what does not go together.
    """
    found = {**current, **given}
    if given.get("KmsMasterKeyId"):
        found["SqsManagedSseEnabled"] = given.get("SqsManagedSseEnabled", "false")
    if found.get("KmsMasterKeyId") and found["SqsManagedSseEnabled"] == "true":
        raise InvalidAttributeName(
            "You can use one type of server-side encryption (SSE) at one time. "
            "You can either enable KMS SSE or SQS SSE."
        )
    if found.get("FifoThroughputLimit") == "perMessageGroupId" and found["DeduplicationScope"] != "messageGroup":
        raise InvalidAttributeValue(
            "FifoThroughputLimit may be perMessageGroupId only when DeduplicationScope is messageGroup."
        )
    return {name: value for name, value in found.items() if _LEFT_OUT.get(name) != value}


def differing(current: Mapping[str, str], given: Mapping[str, str]) -> str | None:
    """The name of an attribute that somebody who creates a queue again wants to be another, if there is one."""
    for name, value in given.items():
        if current.get(name, _LEFT_OUT.get(name)) != value:
            return name
    return None


def known(names: Iterable[str]) -> frozenset[str]:
    """The attributes asked for. Raises `InvalidAttributeName`."""
    asked = frozenset(names)
    for name in asked - NAMES - {"All"}:
        raise InvalidAttributeName(f"Unknown Attribute {name}.")
    return NAMES if "All" in asked else asked


def redrive_of(text: str) -> Redrive | None:
    """A redrive policy; `None` of an empty one. Raises `InvalidParameter`."""
    if not text:
        return None
    given = _object(text)
    if given is None:
        raise _bad_redrive(text, "Redrive policy is not a valid JSON map.")
    for name in ("maxReceiveCount", "deadLetterTargetArn"):
        if given.get(name) is None:
            raise _bad_redrive(text, f"Redrive policy does not contain mandatory attribute: {name}.")
    if len(given) > 2:
        raise _bad_redrive(text, "Only following attributes are supported: [deadLetterTargetArn, maxReceiveCount].")
    count = str(given["maxReceiveCount"])
    if not count.isascii() or not count.isdigit() or not 1 <= int(count) <= 1000:
        reason = f"Invalid value for maxReceiveCount: {count}, valid values are from 1 to 1000 both inclusive."
        raise _bad_redrive(text, reason)
    target = QueueArn.parse(str(given["deadLetterTargetArn"]))
    if target is None:
        raise _bad_redrive(text, "Invalid value for deadLetterTargetArn.")
    return Redrive(target, int(count))


def check_redrive(source: QueueArn, text: str, target: Mapping[str, str] | None) -> None:
    """Whether `source` may have a redrive policy whose target has these attributes. Raises `InvalidParameter`."""
    redrive = redrive_of(text)
    if redrive is None:
        return
    if (redrive.target.region, redrive.target.account) != (source.region, source.account):
        raise _bad_redrive(text, "Dead-letter target owner should be same as the source.")
    if target is None:
        raise _bad_redrive(text, "Dead letter target does not exist.")
    if redrive.target.is_fifo != source.is_fifo:
        raise _bad_redrive(text, "Dead-letter queue must be same type of queue as the source.")
    if not _lets_in(target.get("RedriveAllowPolicy", ""), source):
        raise _bad_redrive(text, "The redrive allow policy of the dead-letter queue does not allow this source queue.")


def _checked(name: str, value: str, *, fifo: bool) -> str:
    if name not in NAMES or name in _COMPUTED:
        raise InvalidAttributeName(f"Unknown Attribute {name}.")
    if name in _FIFO_ONLY and not fifo:
        if name in _HIGH_THROUGHPUT:
            raise InvalidAttributeName(f"You can specify the {name} only when FifoQueue is set to true.")
        raise InvalidAttributeName(f"Unknown Attribute {name}.")
    if name == "FifoQueue" and value.lower() != "true":
        raise InvalidAttributeValue(
            "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported."
        )
    if name in _NUMBERS:
        return _number(name, value)
    if name in _CHOICES:
        return _choice(name, value)
    if name == "RedrivePolicy":
        redrive_of(value)
    elif name == "RedriveAllowPolicy":
        _check_allowance(value)
    elif name == "Policy":
        _check_policy(value)
    return value


def _check_policy(text: str) -> None:
    try:
        permissions.statements_of(text)
    except (ValueError, RecursionError) as error:
        raise InvalidAttributeValue("Invalid value for the parameter Policy.") from error


def _number(name: str, value: str) -> str:
    least, greatest, default = _NUMBERS[name]
    if not value and name in _LEFT_OUT:
        return str(default)
    if not value.isascii() or not value.isdigit() or len(value) > 9 or not least <= int(value) <= greatest:
        raise InvalidAttributeValue(f"Invalid value for the parameter {name}.")
    return str(int(value))


def _choice(name: str, value: str) -> str:
    for allowed in _CHOICES[name]:
        if value == allowed or (allowed in ("true", "false") and value.lower() == allowed):
            return allowed
    raise InvalidAttributeValue(f"Invalid value for the parameter {name}.")


def _check_allowance(text: str) -> None:
    if not text:
        return
    given = _object(text) or {}
    permission, sources = given.get("redrivePermission"), given.get("sourceQueueArns")
    if permission == "byQueue":
        fine = isinstance(sources, list) and 1 <= len(sources) <= _MOST_SOURCES and all(map(_is_arn, sources))
    else:
        fine = permission in ("allowAll", "denyAll") and sources is None
    if not fine or given.keys() - {"redrivePermission", "sourceQueueArns"}:
        raise InvalidParameter(
            f"Value {text} for parameter RedriveAllowPolicy is invalid. Reason: it has redrivePermission allowAll, "
            f"denyAll, or byQueue with 1 to {_MOST_SOURCES} sourceQueueArns."
        )


def _is_arn(value: object) -> bool:
    return QueueArn.parse(str(value)) is not None


def _lets_in(allowance: str, source: QueueArn) -> bool:
    given = _object(allowance) or {}
    permission = given.get("redrivePermission", "allowAll")
    return permission == "allowAll" or (permission == "byQueue" and str(source) in given["sourceQueueArns"])


def _bad_redrive(text: str, reason: str) -> InvalidParameter:
    return InvalidParameter(f"Value {text} for parameter RedrivePolicy is invalid. Reason: {reason}")


def _object(text: str) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        return None
