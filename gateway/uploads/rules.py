"""Which functions and queues hear of which changes of which objects: the rules of a bucket, and when one is met. Pure.

Amazon S3 user guide, "Amazon S3 event notifications"; API reference, `PutBucketNotificationConfiguration`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from itertools import combinations
from typing import Final

import msgspec

from gateway.uploads.refusals import InvalidArgument

MAX_RULES: Final = 100
"""Of a bucket, as S3 has it."""
KINDS: Final = {
    "ObjectCreated": ("Put", "Post", "Copy", "CompleteMultipartUpload", "*"),
    "ObjectRemoved": ("Delete", "DeleteMarkerCreated", "*"),
    "ObjectTagging": ("Put", "Delete", "*"),
    "ObjectAcl": ("Put",),
}
"""What happens to objects here, in kinds, and what `*` stands for among them."""
NEVER: Final = {
    "ObjectRestore": ("Post", "Completed", "Delete", "*"),
    "ObjectRetention": ("Put",),
    "ObjectAnnotation": ("Put", "Delete", "*"),
    "LifecycleExpiration": ("Delete", "DeleteMarkerCreated", "*"),
    "Replication": (
        "OperationFailedReplication",
        "OperationNotTracked",
        "OperationMissedThreshold",
        "OperationReplicatedAfterThreshold",
        "*",
    ),
}
"""What else S3 tells of. A bucket may ask to be told, as many templates do; there are no such changes here."""
_BARE: Final = ("s3:ReducedRedundancyLostObject", "s3:LifecycleTransition", "s3:IntelligentTiering")
TOLD: Final = frozenset(f"s3:{kind}:{name}" for kind, names in KINDS.items() for name in names)
EVENTS: Final = TOLD.union(_BARE, (f"s3:{kind}:{name}" for kind, names in NEVER.items() for name in names))
"""Every event S3 has a name for: AWS's API model of S3, `Event`."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One configuration of a bucket."""

    id: str
    arn: str
    """Of a function, with a qualifier or without, or of a queue."""
    events: tuple[str, ...]
    prefix: str = ""
    suffix: str = ""
    empty: tuple[str, ...] = ()
    """Which of `prefix` and `suffix` are stated though empty: S3 says them again, and nothing else comes of it."""

    @property
    def is_for_function(self) -> bool:
        """Whether a function is started, rather than a message sent."""
        return self.arn.split(":")[2:3] == ["lambda"]

    @property
    def region(self) -> str:
        """Of what is told, and so of the bucket: S3 tells nobody in another region."""
        return self.arn.split(":")[3]

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
        check_events(rule.events, EVENTS)
    for one, other in combinations(rules, 2):
        if _overlap(one, other):
            raise InvalidArgument(
                "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes "
                "are overlapping for the same event type."
            )


def check_events(events: Iterable[str], known: Set[str]) -> None:
    """Raises `InvalidArgument` for an event that is none of those known, with the ones that are told here."""
    unknown = sorted(set(events) - known)
    if unknown:
        raise InvalidArgument(
            f"The event '{unknown[0]}' is not supported for notifications; there are {', '.join(sorted(TOLD))}"
        )


def _overlap(one: Rule, other: Rule) -> bool:
    prefixes = one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix)
    suffixes = one.suffix.endswith(other.suffix) or other.suffix.endswith(one.suffix)
    return prefixes and suffixes and bool(_each(one.events) & _each(other.events))


def _each(events: Iterable[str]) -> set[str]:
    """The events that are meant, one by one."""
    found = set()
    for event in events:
        _, _, what = event.partition(":")
        kind, _, name = what.partition(":")
        names = (KINDS | NEVER)[kind] if name == "*" else (name,)
        found |= {f"{kind}:{each}" for each in names}
    return found
