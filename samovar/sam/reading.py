"""From a node to a record, with the line of whatever does not fit."""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from samovar.sam.document import Node, TemplateError, nearest

T = TypeVar("T")
_INSTEAD: Final = {
    "Auth": "a function URL with AuthType AWS_IAM asks for signatures",
    "CodeSigningConfigArn": "packages are not signed here",
    "DefinitionBody": "the routes are the events of the functions",
    "DefinitionUri": "the routes are the events of the functions",
    "KmsKeyArn": "encrypt the disk that holds the data directory",
    "VpcConfig": "the tag samovar:network chooses a network",
}
"""What there is in place of some members."""
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
        known, where = _known(kind, steps), f" in {named}" if named else ""
        every = [name for name in at.members() if known and name not in known] or [unknown["name"]]
        return TemplateError("\n".join(_unknown(path, at, name, where, known) for name in every))
    return TemplateError(f"{path}:{at.line}: {named or 'this'}: {problem}")


def _unknown(path: str, at: Node, name: str, where: str, known: list[str]) -> str:
    line = at.members()[name].line if name in at.members() else at.line
    hint = _INSTEAD.get(name) or (nearest(name, known) if known else "see docs/templates.md for what is")
    return f"{path}:{line}: {name}{where} is not supported; {hint}"


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
