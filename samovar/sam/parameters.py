"""The parameters of a template: defaults, overrides, and what they may be. No I/O.

CloudFormation user guide, "Parameters".
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from samovar.errors import InvalidParameterValue
from samovar.sam.document import Node, TemplateError, nearest
from samovar.sam.reading import Properties, convert

_OVERRIDE: Final = re.compile(r"(?:ParameterKey=(?P<key>[^,]+),ParameterValue=)(?P<value>.*)|(?P<k>[^=]+)=(?P<v>.*)")
_LISTS: Final = ("CommaDelimitedList", "List<Number>", "List<String>")


class Parameter(Properties, frozen=True):
    """One parameter, as a template declares it."""

    type: Literal["String", "Number", "CommaDelimitedList", "List<Number>", "List<String>"]
    default: str | None = None
    description: str = ""
    allowed_values: list[str] | None = None
    allowed_pattern: str | None = None
    constraint_description: str = ""
    min_length: int | None = None
    max_length: int | None = None
    min_value: float | None = None
    max_value: float | None = None
    no_echo: bool = False


def overrides(given: Sequence[str]) -> dict[str, str]:
    """`A=1` and `ParameterKey=A,ParameterValue=1`, one or several in a text. Raises `InvalidParameterValue`."""
    found: dict[str, str] = {}
    for text in given:
        for word in shlex.split(text):
            match = _OVERRIDE.fullmatch(word)
            if match is None:
                raise InvalidParameterValue(f"--parameter-overrides {word}: write it as NAME=VALUE")
            found[match["key"] or match["k"]] = match["value"] if match["key"] else match["v"]
    return found


def values(declared: Node, given: Mapping[str, str], path: str) -> dict[str, str | list[str]]:
    """What each parameter is. Raises `TemplateError`, also for a value that no parameter takes."""
    members = declared.members()
    for name in given:
        if name not in members:
            there = nearest(name, members) if members else "the template has none"
            raise TemplateError(f"{path}:{declared.line}: there is no parameter {name}; {there}")
    return {name: _value(name, node, given.get(name), path) for name, node in members.items()}


def _value(name: str, node: Node, given: str | None, path: str) -> str | list[str]:
    parameter = convert(node, Parameter, path)
    value = parameter.default if given is None else given
    place = f"{path}:{node.line}: parameter {name}"
    if value is None:
        raise TemplateError(f"{place} has no default; give it by --parameter-overrides {name}=VALUE")
    if parameter.type not in _LISTS:
        _check(parameter, value, place)
        return value
    items = [item.strip() for item in value.split(",")] if value else []
    for item in items:
        _check(parameter, item, place)
    return items


def _check(parameter: Parameter, value: str, place: str) -> None:
    """Raise `TemplateError` for a value the declaration does not allow."""
    shown = "****" if parameter.no_echo else repr(value)
    problem = _problem(parameter, value)
    if problem:
        raise TemplateError(f"{place}: {shown} is not allowed: {parameter.constraint_description or problem}")


def _problem(parameter: Parameter, value: str) -> str:
    if parameter.allowed_values is not None and value not in parameter.allowed_values:
        return f"it is one of {', '.join(parameter.allowed_values)}"
    if parameter.allowed_pattern is not None and not _matches(parameter.allowed_pattern, value):
        return f"it matches {parameter.allowed_pattern}"
    if "Number" in parameter.type:
        return _number_problem(parameter, value)
    if parameter.min_length is not None and len(value) < parameter.min_length:
        return f"it has at least {parameter.min_length} characters"
    if parameter.max_length is not None and len(value) > parameter.max_length:
        return f"it has at most {parameter.max_length} characters"
    return ""


def _matches(pattern: str, value: str) -> bool:
    """Whether a value matches a pattern in Java's dialect, which has classes of Unicode that `re` has not.

    A pattern that `re` cannot read matches nothing, so that whoever wrote it is told.
    """
    for theirs, ours in ((r"\p{L}", r"[^\W\d_]"), (r"\p{N}", r"\d"), (r"\p{Z}", r"\s")):
        pattern = pattern.replace(theirs, ours)
    try:
        return re.fullmatch(pattern, value) is not None
    except re.error:
        return False


def _number_problem(parameter: Parameter, value: str) -> str:
    try:
        number = float(value)
    except ValueError:
        return "it is a number"
    if parameter.min_value is not None and number < parameter.min_value:
        return f"it is at least {parameter.min_value:g}"
    if parameter.max_value is not None and number > parameter.max_value:
        return f"it is at most {parameter.max_value:g}"
    return ""
