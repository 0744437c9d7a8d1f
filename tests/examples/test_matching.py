"""What tells a right answer from a wrong one must itself be right."""

from __future__ import annotations

from typing import Any

import pytest

from tests.examples.matching import differences


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"a": [1, 2.5, None, True]}, {"a": [1, 2.5, None, True]}),
        ({"id": "abc"}, {"id": {"$match": "^[a-c]+$"}}),
        ({"$match": "x", "more": 1}, {"$match": "x", "more": 1}),
    ],
)
def test_what_is_the_same(found: Any, expected: Any) -> None:
    assert differences(found, expected) == []


@pytest.mark.parametrize(
    ("found", "expected", "told"),
    [
        (1, 1.0, "$: 1 is not 1.0"),
        (True, 1, "$: True is not 1"),
        ({}, {"a": 1}, "$.a: missing"),
        ({"a": {"b": 1}}, {"a": {}}, "$.a.b: not expected"),
        ([1], [1, 2], "$: [1] is not [1, 2]"),
        ([{"a": 1}], [{"a": 2}], "$[0].a: 1 is not 2"),
        ({"id": 7}, {"id": {"$match": "7"}}, "$.id: 7 does not fit '7'"),
    ],
)
def test_what_differs_is_told_with_its_place(found: Any, expected: Any, told: str) -> None:
    assert differences(found, expected) == [told]
