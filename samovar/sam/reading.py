"""From a node to a record, with the line of whatever does not fit."""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from samovar.sam.document import Node, TemplateError, nearest

T = TypeVar("T")
_PLACE: Final = re.compile(r" - at `(?P<place>[^`]*)`$")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`")
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


class Properties(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="pascal"):
    """Base of what templates say: members in AWS's spelling, and no others."""


def convert(node: Node, kind: type[T], path: str) -> T:
    """The record a node describes. Raises `TemplateError` that names line, property and what it takes."""
    try:
        return msgspec.convert(node.plain(), kind, strict=False)
    except msgspec.ValidationError as error:
        raise _told(str(error), node, kind, path) from error


def _told(message: str, node: Node, kind: Any, path: str) -> TemplateError:
    match = _PLACE.search(message)
    problem = message[: match.start()] if match else message
    steps = [name or index for name, index in _STEP.findall(match["place"] if match else "")]
    at, named = _at(node, steps)
    unknown = _UNKNOWN.match(problem)
    if unknown is not None:
        name = unknown["name"]
        line = at.members()[name].line if name in at.members() else at.line
        where = f" in {named}" if named else ""
        known = _known(kind, steps)
        hint = nearest(name, known) if known else "see docs/templates.md for what is"
        return TemplateError(f"{path}:{line}: {name}{where} is not supported; {hint}")
    return TemplateError(f"{path}:{at.line}: {named or 'this'}: {problem}")


def _at(node: Node, steps: list[str]) -> tuple[Node, str]:
    """The node some steps down, as far as they lead, and the name of it."""
    named = ""
    for step in steps:
        inner: Node | None = None
        if isinstance(node.value, list) and step.isdigit() and int(step) < len(node.value):
            inner = node.value[int(step)]
        elif isinstance(node.value, dict):
            inner = node.value.get(step)
        if inner is None:
            break
        node, named = inner, step if not step.isdigit() else named
    return node, named


def _known(kind: Any, steps: list[str]) -> list[str]:
    """The members of the record some steps below another; none when it cannot be told which record that is."""
    for step in steps:
        record = _record_in(kind)
        if record is None:
            return []
        wires = {field.encode_name: field.name for field in msgspec.structs.fields(record)}
        if step not in wires:
            return []
        kind = get_type_hints(record)[wires[step]]
    record = _record_in(kind)
    return [] if record is None else [field.encode_name for field in msgspec.structs.fields(record)]


def _record_in(kind: Any) -> Any:
    """The one record a type may be; `None` when there is none, or several."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    if get_origin(kind) in (dict, list, tuple):
        return None
    found = [record for one in get_args(kind) if (record := _record_in(one)) is not None]
    return found[0] if len(found) == 1 else None
