"""What a template comes down to: single things of the platform, each with one driver that makes and removes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from samovar.sam.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing a template wants. A resource of SAM is several: a function, its URL, its mappings."""

    name: str
    """Its logical id, as SAM names what it generates."""
    kind: str
    """CloudFormation's type."""
    line: int
    wanted: Any
    """What its driver makes; each kind has its own record."""
    retain: bool = False
    """Whether it stays when it is no longer wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A thing that is there as wanted."""

    physical_id: str
    """By which its driver finds it again; also what `Ref` gives, unless `attributes` says otherwise."""
    changed: list[str]
    """What was made or changed; empty when all was so already."""
    attributes: dict[str, str] = field(default_factory=dict)
    """What `Fn::GetAtt` gives; under the empty name, what `Ref` gives."""


class Driver(Protocol):
    """Makes things of one kind, changes them and removes them."""

    def apply(self, target: Target, item: Item) -> Applied:
        """Have it as wanted, changing only what differs. Raises what the platform answers."""
        ...

    def remove(self, target: Target, physical_id: str) -> None:
        """Remove it; what is gone already is no error."""
        ...
