"""What a function's answer means for each record of its batch. Pure.

Source: AWS Lambda developer guide, "Implementing partial batch responses" (its lists of what counts as a complete
success and as a complete failure), and for FIFO queues "Using Lambda with Amazon SQS".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

REPORTS_FAILURES: Final = "ReportBatchItemFailures"
"""The FunctionResponseType of a mapping whose function says which records it could not process."""
_FAILURES: Final = "batchItemFailures"
_IDENTIFIER: Final = "itemIdentifier"


class Item(NamedTuple):
    """A record of a batch, as far as its outcome goes."""

    id: str
    group: str | None = None
    """What it has to stay in order with: a FIFO queue's message group."""


def failures(batch: Sequence[Item], answer: bytes, *, is_error: bool, reports: bool) -> frozenset[int]:
    """Places in the batch of the records that have to be tried again.

    `is_error` says that the function failed, and `reports` that it may report failures of single records. Within a
    group, everything behind a failed record is tried again with it, so that the group stays in order.
    """
    everything = frozenset(range(len(batch)))
    if is_error:
        return everything
    if not reports:
        return frozenset()
    named = _named(answer)
    if named is None or not named <= {item.id for item in batch}:
        return everything
    return _with_followers(batch, named)


def _named(answer: bytes) -> set[str] | None:
    """The identifiers an answer reports; `None` for an answer that says nothing that can be understood."""
    try:
        said = msgspec.json.decode(answer) if answer else None
    except (msgspec.DecodeError, RecursionError):
        return None
    if not said and not isinstance(said, bool | int | float):
        return set()  # null, {}, [] and "" are an empty response
    if not isinstance(said, dict):
        return None
    reported = said.get(_FAILURES)
    if reported is None:
        return set()
    if not isinstance(reported, list):
        return None
    identifiers = [_identifier(one) for one in reported]
    return None if None in identifiers else {one for one in identifiers if one is not None}


def _identifier(one: Any) -> str | None:
    found = one.get(_IDENTIFIER) if isinstance(one, dict) else None
    return found if isinstance(found, str) and found else None


def _with_followers(batch: Sequence[Item], named: set[str]) -> frozenset[int]:
    stopped: set[str] = set()
    failed = set()
    for place, item in enumerate(batch):
        if item.id in named or (item.group is not None and item.group in stopped):
            failed.add(place)
            if item.group is not None:
                stopped.add(item.group)
    return frozenset(failed)
