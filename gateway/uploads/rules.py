"""Which functions and queues hear of which changes of which objects: the rules of a bucket, and when one is met. Pure.

Amazon S3 user guide, "Amazon S3 event notifications"; API reference, `PutBucketNotificationConfiguration`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Final

import msgspec

from gateway.uploads.refusals import InvalidArgument

MAX_RULES: Final = 100
"""Of a bucket, as S3 has it."""
CREATED: Final = ("Put", "Post", "Copy", "CompleteMultipartUpload")
REMOVED: Final = ("Delete", "DeleteMarkerCreated")
OFFERED: Final = frozenset(
    {f"s3:ObjectCreated:{name}" for name in (*CREATED, "*")} | {f"s3:ObjectRemoved:{name}" for name in (*REMOVED, "*")}
)
"""What happens to objects here. S3 knows more events, which would never come."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One configuration of a bucket."""

    id: str
    arn: str
    """Of a function, with a qualifier or without, or of a queue."""
    events: tuple[str, ...]
    prefix: str = ""
    suffix: str = ""

    @property
    def is_for_function(self) -> bool:
        """Whether a function is started, rather than a message sent."""
        return self.arn.split(":")[2:3] == ["lambda"]

    @property
    def hears_of_removals(self) -> bool:
        """Whether it is told when objects are removed."""
        return any(event.startswith("s3:ObjectRemoved:") for event in self.events)

    def is_met(self, event: str, key: str) -> bool:
        """Whether a change (`ObjectCreated:Put`) of an object is to be told."""
        wanted = {f"s3:{event}", f"s3:{event.partition(':')[0]}:*"}
        return bool(wanted.intersection(self.events)) and key.startswith(self.prefix) and key.endswith(self.suffix)


def check(rules: Sequence[Rule]) -> None:
    """Raises `InvalidArgument` for rules a bucket cannot have, in S3's words."""
    if len(rules) > MAX_RULES:
        raise InvalidArgument(f"A bucket has at most {MAX_RULES} notification configurations")
    if len({rule.id for rule in rules}) < len(rules):
        raise InvalidArgument("Same ID used for multiple configurations. IDs must be unique")
    for rule in rules:
        if not rule.events:
            raise InvalidArgument("A notification configuration must name at least one event")
        unknown = sorted(set(rule.events) - OFFERED)
        if unknown:
            raise InvalidArgument(
                f"The event '{unknown[0]}' is not supported for notifications; there are {', '.join(sorted(OFFERED))}"
            )
    for one, other in combinations(rules, 2):
        if _overlap(one, other):
            raise InvalidArgument(
                "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes "
                "are overlapping for the same event type."
            )


def _overlap(one: Rule, other: Rule) -> bool:
    prefixes = one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix)
    suffixes = one.suffix.endswith(other.suffix) or other.suffix.endswith(one.suffix)
    return prefixes and suffixes and bool(_each(one.events) & _each(other.events))


def _each(events: Iterable[str]) -> set[str]:
    """The events that are meant, one by one."""
    found = set()
    for event in events:
        _, kind, name = event.split(":")
        names = (CREATED if kind == "ObjectCreated" else REMOVED) if name == "*" else (name,)
        found |= {f"{kind}:{each}" for each in names}
    return found
