"""A queue's record: what there is of it beside its messages."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import msgspec

from gateway.queues import attributes
from gateway.queues.attributes import Rules
from gateway.queues.names import QueueArn


class Queue(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One queue. `dict` lets what follows from its attributes be worked out once."""

    arn: str
    uid: str
    """Where its messages are; another one after each purge."""
    revision: str
    """Another one after each change."""
    created: int
    """Epoch seconds."""
    modified: int
    attributes: dict[str, str]
    """Those that can be set, with their defaults."""
    tags: dict[str, str] = {}
    purged_ms: int = 0
    """When it was last purged (epoch ms)."""

    @cached_property
    def name(self) -> QueueArn:
        """The parts of its ARN."""
        parsed = QueueArn.parse(self.arn)
        assert parsed is not None, "records are made with whole ARNs"
        return parsed

    @cached_property
    def rules(self) -> Rules:
        """What its attributes mean for messages."""
        return attributes.rules_of(self.attributes)

    @property
    def is_fifo(self) -> bool:
        """Whether it keeps the order of its groups."""
        return self.name.is_fifo

    def changed(self, revision: str, now: int, given: Mapping[str, str]) -> Queue:
        """It after attributes were set; they are checked. Raises what `attributes.merged` raises."""
        merged = attributes.merged(self.attributes, given)
        return msgspec.structs.replace(self, revision=revision, modified=now, attributes=merged)
