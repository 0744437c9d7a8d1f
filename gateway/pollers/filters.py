"""Filter criteria: which records of a source a function gets to see. Pure.

A record passes if one of the patterns matches it. What is in its body is looked at as JSON where a pattern describes
an object there, and as text where it lists texts; a body of the other form does not match, whatever is asked of it.

Source: AWS Lambda developer guide, "Control which events Lambda sends to your function", and the pages on filtering
for Amazon SQS and for Amazon MQ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec

from gateway.pollers.patterns import Matcher, compiled

MAX_FILTERS: Final = 5
"""Lambda quotas: filters of one mapping."""
_Form = Literal["json", "text", "any"]


class TooManyFilters(ValueError):
    """A mapping has more filters than there may be."""


class Filters:
    """The patterns of one mapping, compiled. `body` is the member of a record that may hold JSON."""

    def __init__(self, patterns: Iterable[str], body: str = "body") -> None:
        """Raises `PatternError` and `TooManyFilters`."""
        self._body = body
        self._patterns = [_pattern(text, body) for text in patterns]
        if len(self._patterns) > MAX_FILTERS:
            raise TooManyFilters(f"An event source mapping has at most {MAX_FILTERS} filters")

    def __bool__(self) -> bool:
        """Whether anything may be filtered out."""
        return bool(self._patterns)

    def passes(self, record: Mapping[str, Any]) -> bool:
        """Whether the function is to get a record, as it would get it."""
        if not self._patterns:
            return True
        body = record.get(self._body)
        parsed = _object_in(body) if isinstance(body, str | bytes) else body
        seen: Mapping[str, Any] = record if parsed is None else {**record, self._body: parsed}
        form: _Form = "text" if parsed is None else "json"
        return any(wanted in ("any", form) and matches(seen) for wanted, matches in self._patterns)


def _pattern(text: str, body: str) -> tuple[_Form, Matcher]:
    matcher = compiled(text)  # which also refuses what is no JSON object
    pattern: dict[str, Any] = msgspec.json.decode(text)
    if body not in pattern:
        return "any", matcher
    return "json" if isinstance(pattern[body], dict) else "text", matcher


def _object_in(body: str | bytes) -> dict[str, Any] | None:
    """The JSON object in a body. Other JSON is text to a filter: no pattern can describe anything within it."""
    if body.lstrip()[:1] not in ("{", b"{"):
        return None
    try:
        parsed = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None
