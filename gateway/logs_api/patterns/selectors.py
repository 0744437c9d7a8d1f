"""Patterns of JSON messages: `{ ($.user.id = 1 || $.tags[0] = "tea*") && $.error NOT EXISTS }`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from gateway.logs_api.patterns.expressions import (
    OPERATORS,
    Reader,
    Test,
    alternatives,
    as_number,
    comparison,
    scalar_text,
)

_MEMBER: Final = re.compile(r"\.([^\s.\[\]=<>!&|(){}\"]+)")
_INDEX: Final = re.compile(r"\[\s*(\d+|\*)\s*\]")
_NAMED: Final = re.compile(r"""\.?\[\s*(?:"([^"]+)"|'([^']+)')\s*\]""")
_STATE: Final = re.compile(r"(IS\s+NULL|IS\s+TRUE|IS\s+FALSE|NOT\s+EXISTS|EXISTS)\b", re.IGNORECASE)
_BARE: Final = re.compile(r"[^\s&|(){}\"]+")
_EVERY: Final = -1
_MISSING: Final = object()

Path = tuple[str | int, ...]


def compile_selectors(text: str) -> Callable[[str], bool]:
    """A message that is no JSON object matches none of these. Raises `InvalidParameter`."""
    reader = Reader(text)
    reader.expect("{")
    test: Test[Any] = alternatives(reader, _condition)
    reader.expect("}")
    reader.end()

    def matches(message: str) -> bool:
        if not message.lstrip().startswith("{"):
            return False
        try:
            return test(msgspec.json.decode(message))
        except msgspec.DecodeError:
            return False

    return matches


def _condition(reader: Reader) -> Test[Any]:
    path = _path(reader)
    state = reader.take(_STATE)
    if state is not None:
        return _state_test(path, " ".join(state[0].upper().split()))
    sign = reader.expect(*OPERATORS)
    compare = comparison(reader, sign, _BARE)

    def test(document: Any) -> bool:
        for value in _values(document, path):
            text = scalar_text(value)
            if text is not None:
                number = None if isinstance(value, bool) else as_number(text)
                if compare(text, number):
                    return True
        return False

    return test


def _state_test(path: Path, state: str) -> Test[Any]:
    if state == "NOT EXISTS":
        return lambda document: next(_values(document, path), _MISSING) is _MISSING
    if state == "EXISTS":
        return lambda document: next(_values(document, path), _MISSING) is not _MISSING
    wanted = {"IS NULL": None, "IS TRUE": True, "IS FALSE": False}[state]
    return lambda document: any(value is wanted for value in _values(document, path))


def _path(reader: Reader) -> Path:
    reader.expect("$")
    path: list[str | int] = []
    while True:
        if index := reader.take(_INDEX, after_space=False):
            path.append(_EVERY if index[1] == "*" else int(index[1]))
        elif named := reader.take(_NAMED, after_space=False):
            path.append(named[1] or named[2])
        elif member := reader.take(_MEMBER, after_space=False):
            path.append(member[1])
        else:
            break
    if not path:
        raise reader.invalid("a selector names a member, as in $.user")
    return tuple(path)


def _values(document: Any, path: Path) -> Iterator[Any]:
    """What a path leads to: nothing, one value, or those of every element with `[*]`."""
    if not path:
        yield document
        return
    step, rest = path[0], path[1:]
    if isinstance(step, str):
        if isinstance(document, dict) and step in document:
            yield from _values(document[step], rest)
    elif isinstance(document, list):
        for element in document if step == _EVERY else document[step : step + 1]:
            yield from _values(element, rest)
