"""Event patterns match what EventBridge's documentation says they match, and refuse what means nothing."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.pollers.patterns import MAX_PATTERN_CHARS, PatternError, compiled

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""However busy the machine is."""

ORDER = {
    "id": "o-1",
    "state": "Running",
    "count": 5,
    "price": 301.8,
    "paid": True,
    "note": None,
    "empty": "",
    "ip": "10.0.0.33",
    "ip6": "2001:db8::7",
    "path": "/usr/lib/tea*.jar",
    "tags": ["green", "loose"],
    "nothing": [],
    "lines": [{"sku": "A", "n": 1}, {"sku": "B", "n": 2, "gift": True}],
    "nested": [[{"x": 1}], [{"x": 2, "y": 3}]],
    "deep": {"er": {"est": 7}},
}


def matches(pattern: Any, event: Any = ORDER) -> bool:
    return compiled(json.dumps(pattern))(event)


@pytest.mark.parametrize(
    ("choice", "field", "is_found"),
    [
        ("o-1", "id", True),
        ("O-1", "id", False),
        ({"exactly": "o-1"}, "id", True),
        (5, "count", True),
        (5.0, "count", True),
        ("5", "count", False),
        (3.018e2, "price", True),
        (True, "paid", True),
        (1, "paid", False),
        (None, "note", True),
        (None, "absent", False),
        ("", "empty", True),
        ("", "note", False),
        ({"prefix": "Run"}, "state", True),
        ({"prefix": "run"}, "state", False),
        ({"prefix": {"equals-ignore-case": "rUN"}}, "state", True),
        ({"prefix": ""}, "state", True),
        ({"prefix": ""}, "count", False),
        ({"suffix": "ing"}, "state", True),
        ({"suffix": {"equals-ignore-case": "ING"}}, "state", True),
        ({"suffix": "Run"}, "state", False),
        ({"equals-ignore-case": "RUNNING"}, "state", True),
        ({"equals-ignore-case": "RUN"}, "state", False),
        ({"anything-but": "Stopped"}, "state", True),
        ({"anything-but": "Running"}, "state", False),
        ({"anything-but": ["Stopped", "Running"]}, "state", False),
        ({"anything-but": 5}, "count", False),
        ({"anything-but": [4, 6]}, "count", True),
        ({"anything-but": "5"}, "count", True),
        ({"anything-but": "x"}, "absent", False),
        ({"anything-but": {"prefix": "Run"}}, "state", False),
        ({"anything-but": {"prefix": ["Sto", "Pen"]}}, "state", True),
        ({"anything-but": {"suffix": "ing"}}, "state", False),
        ({"anything-but": {"equals-ignore-case": ["running", "x"]}}, "state", False),
        ({"anything-but": {"equals-ignore-case": "stopped"}}, "state", True),
        ({"anything-but": {"wildcard": "*/lib/*"}}, "path", False),
        ({"anything-but": {"wildcard": ["*/bin/*", "*.py"]}}, "path", True),
        ({"numeric": ["=", 5]}, "count", True),
        ({"numeric": [">", 0, "<=", 5]}, "count", True),
        ({"numeric": [">", 0, "<", 5]}, "count", False),
        ({"numeric": [">=", 301.8]}, "price", True),
        ({"numeric": ["<", 10]}, "price", False),
        ({"numeric": ["<", 10]}, "paid", False),
        ({"numeric": ["<", 10]}, "id", False),
        ({"exists": True}, "note", True),
        ({"exists": True}, "absent", False),
        ({"exists": False}, "absent", True),
        ({"exists": False}, "note", False),
        ({"exists": False}, "deep", True),
        ({"exists": True}, "nothing", False),
        ({"exists": False}, "nothing", True),
        ({"wildcard": "/usr/*.jar"}, "path", True),
        ({"wildcard": "/usr/*tea\\*.jar"}, "path", True),
        ({"wildcard": "*"}, "empty", True),
        ({"wildcard": "R*n*g"}, "state", True),
        ({"wildcard": "Run*nning"}, "state", False),
        ({"wildcard": "Running"}, "state", True),
        ({"cidr": "10.0.0.0/24"}, "ip", True),
        ({"cidr": "10.0.1.0/24"}, "ip", False),
        ({"cidr": "2001:db8::/32"}, "ip6", True),
        ({"cidr": "2001:db8::/32"}, "ip", False),
        ({"cidr": "10.0.0.0/8"}, "id", False),
        ("loose", "tags", True),
        ("black", "tags", False),
        ({"anything-but": "green"}, "tags", True),
    ],
)
def test_a_choice_of_one_field(choice: Any, field: str, is_found: bool) -> None:
    assert matches({field: [choice]}) is is_found
    assert matches({field: ["no such value", choice]}) is is_found


@pytest.mark.parametrize(
    ("pattern", "is_found"),
    [
        ({"id": ["o-1"], "count": [5]}, True),
        ({"id": ["o-1"], "count": [6]}, False),
        ({"deep": {"er": {"est": [7]}}}, True),
        ({"deep": {"er": [7]}}, False),
        ({"absent": {"x": [{"exists": False}]}}, True),
        ({"id": {"x": [{"exists": False}]}}, True),
        ({"absent": {"x": [1]}}, False),
        ({"$or": [{"id": ["x"]}, {"count": [5]}]}, True),
        ({"$or": [{"id": ["x"]}, {"count": [6]}]}, False),
        ({"state": ["Running"], "$or": [{"id": ["x"]}, {"count": [5], "paid": [True]}]}, True),
        ({"state": ["Stopped"], "$or": [{"id": ["x"]}, {"count": [5]}]}, False),
        ({"deep": {"$or": [{"er": {"est": [1]}}, {"er": {"$or": [{"est": [2]}, {"est": [7]}]}}]}}, True),
        ({"lines": {"sku": ["A"], "n": [1]}}, True),
        ({"lines": {"sku": ["A"], "n": [2]}}, False),
        ({"lines": {"gift": [{"exists": False}]}}, False),
        ({"lines": {"lost": [{"exists": False}]}}, True),
        ({"lines": {"$or": [{"sku": ["A"], "n": [2]}, {"sku": ["B"], "n": [2]}]}}, True),
        ({"nested": {"x": [2], "y": [3]}}, True),
        ({"nested": {"x": [1], "y": [3]}}, False),
        ({"tags": {"x": [{"exists": False}]}}, True),
    ],
)
def test_fields_together(pattern: Any, is_found: bool) -> None:
    assert matches(pattern) is is_found


@pytest.mark.parametrize(
    "pattern",
    [
        "no object",
        [],
        {},
        {"a": "b"},
        {"a": 1},
        {"a": None},
        {"a": []},
        {"a": {}},
        {"a": [[1]]},
        {"a": [{}]},
        {"a": [{"like": "x"}]},
        {"a": [{"prefix": "x", "suffix": "y"}]},
        {"a": [{"prefix": 1}]},
        {"a": [{"prefix": {"wildcard": "x"}}]},
        {"a": [{"suffix": ["x"]}]},
        {"a": [{"equals-ignore-case": None}]},
        {"a": [{"exists": "yes"}]},
        {"a": [{"exists": 1}]},
        {"a": [{"numeric": []}]},
        {"a": [{"numeric": ["="]}]},
        {"a": [{"numeric": ["!=", 1]}]},
        {"a": [{"numeric": ["<", 5, ">", 1]}]},
        {"a": [{"numeric": [">", 5, "<", 1]}]},
        {"a": [{"numeric": [">", 0, "=", 1]}]},
        {"a": [{"numeric": [">", "0"]}]},
        {"a": [{"numeric": [">", True]}]},
        {"a": [{"numeric": [">", 5.1e9]}]},
        {"a": [{"numeric": [[], 1]}]},
        {"a": [{"anything-but": []}]},
        {"a": [{"anything-but": None}]},
        {"a": [{"anything-but": ["x", 1]}]},
        {"a": [{"anything-but": {}}]},
        {"a": [{"anything-but": {"numeric": ["=", 1]}}]},
        {"a": [{"anything-but": {"prefix": []}}]},
        {"a": [{"anything-but": {"prefix": ""}}]},
        {"a": [{"anything-but": {"prefix": 1}}]},
        {"a": [{"wildcard": "a**b"}]},
        {"a": [{"wildcard": "a\\b"}]},
        {"a": [{"wildcard": "a\\"}]},
        {"a": [{"cidr": "10.0.0.1"}]},
        {"a": [{"cidr": "10.0.0.0/33"}]},
        {"a": [{"cidr": 10}]},
        {"$or": []},
        {"$or": [{"a": [1]}]},
        {"$or": [{"a": [1]}, "b"]},
        {"$or": [{"prefix": [1]}, {"b": [1]}]},
        {"$or": {"a": [1]}},
        {"a": ["x" * MAX_PATTERN_CHARS]},
    ],
)
def test_what_is_no_pattern_is_refused(pattern: Any) -> None:
    with pytest.raises(PatternError):
        matches(pattern)


@pytest.mark.parametrize("text", ["", "{", "{'a': [1]}", '{"a": [1]} x', '{"a":' * 600 + "[1]" + "}" * 600])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(PatternError):
        compiled(text)


def test_two_asterisks_in_a_row_are_refused_wherever_they_stand() -> None:
    for text in ("**", "**a", "a**", "a*b**c"):
        with pytest.raises(PatternError):
            matches({"a": [{"wildcard": text}]})


scalars = st.none() | st.booleans() | st.integers(-99, 99) | st.text("ab*\\/", max_size=6)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3)
)
events = st.dictionaries(st.sampled_from("xyz"), values, max_size=3)
choices = st.one_of(
    scalars,
    st.builds(lambda text: {"prefix": text}, st.text("ab", max_size=2)),
    st.builds(lambda text: {"anything-but": text}, st.text("ab", max_size=2)),
    st.builds(lambda low: {"numeric": [">", low, "<=", low + 20]}, st.integers(-50, 50)),
    st.builds(lambda is_there: {"exists": is_there}, st.booleans()),
)
leaves = st.lists(choices, min_size=1, max_size=3)
fields = st.recursive(leaves, lambda inner: st.dictionaries(st.sampled_from("xyz"), inner, min_size=1, max_size=2))
patterns = st.dictionaries(st.sampled_from("xyz"), fields, min_size=1, max_size=3)


@calm
@given(patterns, events)
def test_all_fields_of_a_pattern_have_to_match_and_one_choice_of_each(pattern: dict[str, Any], event: Any) -> None:
    """Taken apart into its fields, and those into their choices, a pattern says the same."""
    assert matches(pattern, event) == all(matches({name: part}, event) for name, part in pattern.items())
    for name, part in pattern.items():
        if isinstance(part, list):
            assert matches({name: part}, event) == any(matches({name: [one]}, event) for one in part)


@calm
@given(patterns, patterns, events)
def test_or_is_one_or_the_other(left: dict[str, Any], right: dict[str, Any], event: Any) -> None:
    assert matches({"$or": [left, right]}, event) == (matches(left, event) or matches(right, event))


@calm
@given(scalars, st.text("ab", max_size=3))
def test_anything_but_is_whatever_is_there_and_is_not_that(value: object, text: str) -> None:
    assert matches({"x": [{"anything-but": text}]}, {"x": value}) != matches({"x": [text]}, {"x": value})


@calm
@given(st.text("ab*\\", max_size=12), st.lists(st.text("ab", max_size=3), min_size=1, max_size=4))
def test_a_wildcard_stands_for_anything(subject: str, filling: list[str]) -> None:
    escaped = subject.replace("\\", "\\\\").replace("*", "\\*")
    assert matches({"x": [{"wildcard": escaped}]}, {"x": subject})
    assert matches({"x": [{"wildcard": f"{escaped}*b"}]}, {"x": f"{subject}{''.join(filling)}b"})
    assert not matches({"x": [{"wildcard": f"{escaped}*b"}]}, {"x": f"{subject}a"})


@calm
@given(events)
def test_an_event_matches_what_it_says_itself(event: dict[str, Any]) -> None:
    for name, value in event.items():
        if not isinstance(value, list | dict):
            assert matches({name: [value]}, event)
            assert not matches({name: [{"exists": False}]}, event)


@calm
@given(patterns, events)
def test_matching_does_not_change_the_event(pattern: dict[str, Any], event: Any) -> None:
    before = msgspec.json.encode(event)
    matches(pattern, event)
    assert msgspec.json.encode(event) == before
