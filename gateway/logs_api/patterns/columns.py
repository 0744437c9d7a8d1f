"""Patterns of messages in columns: `[ip, user, ..., status = 4* && status != 404, bytes > 1000]`."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Final

from gateway.logs_api.patterns.expressions import (
    OPERATORS,
    Reader,
    Test,
    alternatives,
    as_number,
    comparison,
)

_NAME: Final = re.compile(r"[A-Za-z_][\w\-]*")
_BARE: Final = re.compile(r"[^\s,\[\]&|()\"]+")
_COLUMN: Final = re.compile(r'\[([^\]]*)\]|"([^"]*)"|(\S+)')
_ANYTHING: Final = "..."


def compile_columns(text: str) -> Callable[[str], bool]:
    """A message has as many columns as the pattern, or more where that has `...`. Raises `InvalidParameter`.

    Columns stand between spaces; what is in square brackets or quotation marks is one.
    """
    reader = Reader(text)
    reader.expect("[")
    before: list[Test[str]] = []
    after: list[Test[str]] | None = None
    while True:
        if reader.accept(_ANYTHING):
            if after is not None:
                raise reader.invalid("... stands at most once")
            after = []
        else:
            (before if after is None else after).append(_column(reader))
        if reader.expect(",", "]") == "]":
            break
    reader.end()
    return partial(_matches, before, after)


def _matches(before: list[Test[str]], after: list[Test[str]] | None, message: str) -> bool:
    columns = [next(filter(None, match.groups()), "") for match in _COLUMN.finditer(message)]
    if len(columns) < len(before) + len(after or ()) or (after is None and len(columns) > len(before)):
        return False
    tail = columns[len(columns) - len(after) :] if after else []
    return all(
        test(column) for test, column in zip([*before, *(after or ())], [*columns[: len(before)], *tail], strict=True)
    )


def _column(reader: Reader) -> Test[str]:
    names: set[str] = set()
    test = alternatives(reader, partial(_condition, names))
    if len(names) > 1:
        raise reader.invalid(f"conditions of one column name it alike, not {' and '.join(sorted(names))}")
    return test


def _condition(names: set[str], reader: Reader) -> Test[str]:
    name = reader.take(_NAME)
    if name is None:
        raise reader.invalid("expected the name of a column")
    names.add(name[0])
    sign = reader.accept(*OPERATORS)
    if sign is None:
        return lambda _column: True
    compare = comparison(reader, sign, _BARE)
    return lambda column: compare(column, as_number(column))
