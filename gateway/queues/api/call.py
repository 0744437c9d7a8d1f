"""What an operation may ask for beside its request, and what several of them share."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NoBase64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from gateway.queues import names
from gateway.queues.errors import (
    EmptyBatch,
    EntryIdsNotDistinct,
    InvalidAddress,
    InvalidEntryId,
    InvalidParameter,
    QueueDoesNotExist,
    SqsError,
    TooManyEntries,
)
from gateway.queues.moves import Moves
from gateway.queues.names import QueueArn
from gateway.queues.queues import Queues

Answer = dict[str, Any]
"""As the JSON protocol has it."""
MOST_RESULTS: Final = 1000
_MOST_ENTRIES: Final = 10
_ENTRY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")


class Entry(Protocol):
    """What the entries of all batches have."""

    @property
    def id(self) -> str:
        """Chosen by the caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, on its way to its operation."""

    queues: Queues
    moves: Moves
    region: str
    base: str
    """The address the client used, which is what URLs of queues begin with."""
    sender: str
    """The unique id of who asks."""
    trace: str | None = None
    """The trace header of the request, which messages keep unless they bring one (AWS X-Ray developer guide, "Amazon
    SQS"): so a chain of calls is followed through queues."""

    def named(self, name: str) -> QueueArn:
        """The ARN of the queue of that name, which need not exist."""
        return QueueArn(self.region, self.queues.account, name)

    def arn(self, url: str) -> str:
        """The ARN of the queue with that URL. Raises `InvalidAddress`, and `QueueDoesNotExist` for other accounts."""
        found = names.in_url(url)
        if found is None:
            raise InvalidAddress(f"The address {url} is not valid for this endpoint.")
        account, name = found
        if account not in (None, self.queues.account):
            raise QueueDoesNotExist
        return str(self.named(name))

    def url(self, arn: str) -> str:
        """The URL of a queue."""
        return f"{self.base}/{self.queues.account}/{arn.rpartition(':')[2]}"


def check_entries(entries: Sequence[Entry], kind: str) -> None:
    """Raise what SQS has for batches that are empty, too long, or whose entries cannot be told apart."""
    if not entries:
        raise EmptyBatch(f"There should be at least one {kind} in the request.")
    if len(entries) > _MOST_ENTRIES:
        raise TooManyEntries(
            f"Maximum number of entries per request are {_MOST_ENTRIES}. You have sent {len(entries)}."
        )
    seen: set[str] = set()
    for entry in entries:
        if _ENTRY_ID.fullmatch(entry.id) is None:
            raise InvalidEntryId(
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
                "It can be at most 80 letters long."
            )
        if entry.id in seen:
            raise EntryIdsNotDistinct(f"Id {entry.id} repeated.")
        seen.add(entry.id)


def batch_answer(succeeded: list[Answer], failed: list[Answer]) -> Answer:
    """What became of a batch; lists without entries are left out."""
    return {name: found for name, found in (("Successful", succeeded), ("Failed", failed)) if found}


def failure(entry_id: str, error: SqsError) -> Answer:
    """An entry that failed."""
    return {"Id": entry_id, "SenderFault": True, "Code": error.code, "Message": error.message}


def check_range(parameter: str, value: int | None, least: int, greatest: int) -> None:
    """Raise `InvalidParameter` for a number that is given and out of range."""
    if value is not None and not least <= value <= greatest:
        reason = f"Must be >= {least} and <= {greatest}, if provided."
        raise InvalidParameter(f"Value {value} for parameter {parameter} is invalid. Reason: {reason}")


def token_of(arn: str) -> str:
    """What continues a list behind a queue."""
    return urlsafe_b64encode(arn.encode()).decode()


def behind(token: str | None) -> str:
    """The ARN a token stands for, empty for none. Raises `InvalidParameter`."""
    try:
        found = urlsafe_b64decode(token or "").decode()
    except (NoBase64, ValueError) as error:
        raise InvalidParameter(f"Invalid or expired next token: {token}") from error
    if found and QueueArn.parse(found) is None:
        raise InvalidParameter(f"Invalid or expired next token: {token}")
    return found
