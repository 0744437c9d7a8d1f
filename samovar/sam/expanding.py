"""What those who take resources apart have in common: names, code, errors, and what is read but decides nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from samovar.sam.code import Code, CodeError, of_uri
from samovar.sam.document import Node, TemplateError
from samovar.sam.item import Item
from samovar.sam.target import Target
from samovar.sam.template import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Expanded:
    """A resource, taken apart."""

    items: list[Item] = field(default_factory=list)
    """In the order in which they are made."""
    known: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of the resource, and of what SAM generates from it: attributes, as far as they are known beforehand."""
    notes: list[str] = field(default_factory=list)
    """What is read and decides nothing here, with its line: the person who deploys is told."""


Expand = Callable[[Resource, Node], Expanded]
"""Takes a resource apart, whose functions are resolved. Raises `TemplateError` with the line."""


class Expanding:
    """Base of those who take resources apart for one target."""

    def __init__(self, target: Target) -> None:
        self.target = target

    def name(self, chosen: str | None, resource: Resource, pattern: str, suffix: str = "") -> str:
        """The name a resource has on the platform: the template's, else one of stack and logical id."""
        name = chosen or f"{self.target.stack}-{resource.name}{suffix}"
        if re.fullmatch(pattern, name) is None:
            raise self.error(resource.line, f"{resource.name}: {name!r} is no name; one matches {pattern}")
        return name

    def uri(self, uri: Any, line: int) -> Code:
        """The code that a `CodeUri` or the like names."""
        try:
            return of_uri(uri, self.target.folder)
        except CodeError as error:
            raise self.error(line, error.message) from error

    def error(self, line: int, problem: str) -> TemplateError:
        """A refusal that names file and line."""
        return TemplateError(f"{self.target.path}:{line}: {problem}")

    def note(self, line: int, text: str) -> str:
        """One of the `notes`."""
        return f"{self.target.path}:{line}: {text}"

    def ignored(self, node: Node, names: dict[str, str], owner: str) -> list[str]:
        """A note on each of these members that a resource has. `names`: member → why it decides nothing."""
        members = node.members()
        return [
            self.note(members[name].line, f"{name} of {owner} {why}") for name, why in names.items() if name in members
        ]
