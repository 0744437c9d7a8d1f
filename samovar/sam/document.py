"""A template as a tree in which everything knows its line. YAML with CloudFormation's short forms, or JSON.

CloudFormation user guide, "Template formats" and "Intrinsic function reference". Plain values stay the text they are
written as: CloudFormation converts between text, numbers and booleans by what a property takes, not by how it looks.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from samovar.errors import CallerError

MAX_BYTES: Final = 1024 * 1024
"""CloudFormation's own limit for a template."""
_MAX_NODES: Final = 100_000
_CLOSE: Final = 0.66
"""How alike two names must be for one to be a slip of the other; `difflib` has the measure."""
_TAG: Final = "tag:yaml.org,2002:"
_SHORT: Final = frozenset(
    {"And", "Base64", "Equals", "FindInMap", "GetAtt", "If", "Join", "Not", "Or", "Select", "Split", "Sub"}
)
"""What may be written `!Name` for `Fn::Name`; beside them there are `!Ref` and `!Condition`."""


class TemplateError(CallerError):
    """A template cannot be deployed as it is; the message names file and line, and what is allowed."""


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a template."""

    line: int
    """Counted from 1; of a member of an object, the line of its name."""
    value: str | list[Node] | dict[str, Node] | None

    def members(self) -> dict[str, Node]:
        """Its members by name; of anything but an object, none."""
        return self.value if isinstance(self.value, dict) else {}

    def plain(self) -> Any:
        """The value without lines."""
        if isinstance(self.value, dict):
            return {name: node.plain() for name, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def walk(self) -> Iterator[Node]:
        """The node and all below it."""
        yield self
        inner: Iterable[Node] = ()
        if isinstance(self.value, dict):
            inner = self.value.values()
        elif isinstance(self.value, list):
            inner = self.value
        for node in inner:
            yield from node.walk()


def read(path: Path) -> Node:
    """Read a template. Raises `TemplateError`."""
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"{path} cannot be read: {error}") from error
    if len(content) > MAX_BYTES:
        raise TemplateError(f"{path} has {len(content)} bytes; a template may have {MAX_BYTES}")
    return parse(text, str(path))


def parse(text: str, path: str) -> Node:
    """Read a template's text; `path` is how errors call it."""
    if text.lstrip().startswith("{"):
        text = text.replace("\t", " ")  # JSON may be indented by tabs, which YAML takes for a mistake
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise TemplateError(f"{path}:{mark.line + 1 if mark else 1}: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise TemplateError(f"{path} is no YAML: {str(error) or 'it is nested too deeply'}") from error
    if not isinstance(root, yaml.MappingNode):
        raise TemplateError(f"{path} is no template: it holds no object with Resources")
    return _Reader(path).node(root, root.start_mark.line + 1, frozenset())


def nearest(name: str, known: Collection[str]) -> str:
    """What to say of a name that is not known."""
    return close_to(name, known) or f"there are {', '.join(sorted(known))}"


def close_to(name: str, known: Iterable[str], cutoff: float = _CLOSE) -> str | None:
    """What to say of a name that is a slip of one that is known; `None` when it is none."""
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=cutoff)
    return f"did you mean {close[0]}?" if close else None


class _Reader:
    """Turns what PyYAML has composed into nodes, without guessing types."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._count = 0

    def node(self, found: yaml.Node, line: int, above: frozenset[int]) -> Node:
        self._count += 1
        if self._count > _MAX_NODES or id(found) in above:
            raise TemplateError(f"{self._path}:{line}: aliases make this template too large, or endless")
        inside = above | {id(found)}
        tag = found.tag.removeprefix(_TAG)
        if not tag.startswith("!"):
            return Node(line, self._value(found, inside))
        function = self._function(tag[1:], line)
        value: str | list[Node] | dict[str, Node] | None = self._value(found, inside)
        if function == "Fn::GetAtt" and isinstance(value, str):
            value = [Node(line, part) for part in value.split(".", 1)]
        return Node(line, {function: Node(line, value)})

    def _function(self, short: str, line: int) -> str:
        if short in ("Ref", "Condition"):
            return short
        if short not in _SHORT:
            known = nearest(short, {*_SHORT, "Ref", "Condition"})
            raise TemplateError(f"{self._path}:{line}: !{short} is not supported; {known}")
        return f"Fn::{short}"

    def _value(self, found: yaml.Node, inside: frozenset[int]) -> str | list[Node] | dict[str, Node] | None:
        if isinstance(found, yaml.SequenceNode):
            return [self.node(item, item.start_mark.line + 1, inside) for item in found.value]
        if isinstance(found, yaml.MappingNode):
            return self._members(found, inside)
        text: str = found.value
        if found.tag == f"{_TAG}null":
            return None
        if found.tag == f"{_TAG}bool":
            return "true" if text.lower() in ("true", "yes", "on") else "false"
        return text

    def _members(self, found: yaml.MappingNode, inside: frozenset[int]) -> dict[str, Node]:
        members: dict[str, Node] = {}
        for key, item in found.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise TemplateError(f"{self._path}:{line}: a name must be text")
            if key.value in members:
                raise TemplateError(f"{self._path}:{line}: {key.value} is given twice")
            members[key.value] = self.node(item, line, inside)
        return members
