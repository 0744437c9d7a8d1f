"""Which records a function gets, when a batch is handed over, and what an answer means for each of its records."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.pollers.batching import LONG_POLL_S, Batcher, BatchLimits
from gateway.pollers.filters import MAX_FILTERS, Filters, TooManyFilters
from gateway.pollers.outcome import Item, failures
from samovar.invocation import MAX_PAYLOAD_BYTES

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""However busy the machine is."""


def passes(body: str, *patterns: Any) -> bool:
    record = {"messageId": "m-1", "body": body, "eventSource": "aws:sqs", "attributes": {"SenderId": "me"}}
    return Filters([json.dumps(one) for one in patterns]).passes(record)


@pytest.mark.parametrize(
    ("body", "pattern", "is_passed"),
    [
        ('{"n": 1}', {"body": {"n": [1]}}, True),
        ('{"n": 2}', {"body": {"n": [1]}}, False),
        (' \n{"n": 1}', {"body": {"n": [1]}}, True),
        # a body that is text where the pattern describes an object, and the other way round
        ("tea", {"body": {"n": [1]}}, False),
        ("tea", {"body": {"n": [{"exists": False}]}}, False),
        ("{broken", {"body": {"n": [{"exists": False}]}}, False),
        ("[1]", {"body": {"n": [{"exists": False}]}}, False),
        ("tea", {"body": ["tea"]}, True),
        ("coffee", {"body": ["tea"]}, False),
        ("tea", {"body": [{"anything-but": "coffee"}]}, True),
        ('{"n": 1}', {"body": [{"anything-but": "coffee"}]}, False),
        ('{"n": 1}', {"body": [{"exists": False}]}, False),
        # what is beside the body
        ("tea", {"attributes": {"SenderId": ["me"]}}, True),
        ('{"n": 1}', {"attributes": {"SenderId": ["you"]}}, False),
        ('{"n": 1}', {"eventSource": ["aws:sqs"], "body": {"n": [{"numeric": [">", 0]}]}}, True),
        ('{"n": 1}', {"$or": [{"body": {"n": [2]}}, {"body": {"n": [1]}}]}, True),
    ],
)
def test_a_body_is_looked_at_in_the_form_the_pattern_has(body: str, pattern: Any, is_passed: bool) -> None:
    assert passes(body, pattern) is is_passed


def test_one_of_several_filters_is_enough_and_none_lets_everything_pass() -> None:
    assert passes('{"n": 2}', {"body": {"n": [1]}}, {"body": {"n": [2]}})
    assert not passes('{"n": 3}', {"body": {"n": [1]}}, {"body": {"n": [2]}})
    assert passes("tea")
    assert not Filters([])


def test_a_body_nested_deeper_than_anybody_writes_is_text() -> None:
    assert not passes('{"n":' * 20_000 + "1" + "}" * 20_000, {"body": {"n": [{"exists": True}]}})


def test_there_are_five_filters_at_most() -> None:
    with pytest.raises(TooManyFilters):
        Filters(['{"a": [1]}'] * (MAX_FILTERS + 1))


class Record(NamedTuple):
    number: int
    size: int = 100


def batcher(**limits: Any) -> Batcher[Record]:
    return Batcher(BatchLimits(**limits))


def test_without_a_window_a_batch_is_due_with_its_first_record() -> None:
    collecting = batcher(records=10)
    assert (collecting.is_due(5.0), collecting.patience(5.0), collecting.room()) == (False, LONG_POLL_S, 10)
    collecting.add(Record(1), 5.0)
    assert collecting.is_due(5.0)
    assert collecting.take(5.0) == [Record(1)]
    assert not collecting.is_due(5.0)


def test_a_window_is_waited_for_from_the_first_record_on_unless_the_batch_is_full() -> None:
    collecting = batcher(records=3, window_s=10.0)
    collecting.add(Record(1), 100.0)
    collecting.add(Record(2), 104.0)
    assert (collecting.is_due(104.0), collecting.patience(104.0)) == (False, 6.0)
    assert collecting.is_due(110.0)
    collecting.add(Record(3), 105.0)
    assert (collecting.room(), collecting.is_due(105.0)) == (0, True)
    assert len(collecting.take(105.0)) == 3


def test_a_batch_never_grows_past_the_payload_but_for_a_single_record() -> None:
    collecting = batcher(records=10)
    big = MAX_PAYLOAD_BYTES // 2
    for number in range(3):
        collecting.add(Record(number, big), 0.0)
    assert collecting.room() == 0
    assert [len(collecting.take(0.0)) for _ in range(3)] == [1, 1, 1]
    collecting.add(Record(9, MAX_PAYLOAD_BYTES * 2), 0.0)
    assert collecting.take(0.0) == [Record(9, MAX_PAYLOAD_BYTES * 2)]


def test_what_has_not_been_handed_over_can_be_had_back() -> None:
    collecting = batcher(records=2)
    for number in range(3):
        collecting.add(Record(number), 0.0)
    collecting.take(0.0)
    assert collecting.clear() == [Record(2)]
    assert (len(collecting), collecting.room()) == (0, 2)


@calm
@given(st.lists(st.integers(1, 3_000_000), max_size=30), st.integers(1, 12))
def test_every_record_is_handed_over_once_and_in_order(sizes: list[int], most: int) -> None:
    collecting = batcher(records=most)
    records = [Record(number, size) for number, size in enumerate(sizes)]
    for record in records:
        collecting.add(record, 0.0)
    taken: list[Record] = []
    while collecting.is_due(0.0):
        batch = collecting.take(0.0)
        assert 1 <= len(batch) <= most
        assert len(batch) == 1 or sum(one.size for one in batch) <= MAX_PAYLOAD_BYTES
        taken += batch
    assert taken == records


BATCH = [Item("a"), Item("b"), Item("c")]


def failed(answer: Any, batch: list[Item] = BATCH, **how: bool) -> set[int]:
    raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return set(failures(batch, raw, **{"is_error": False, "reports": True, **how}))


def reported(*identifiers: object) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": one} for one in identifiers]}


@pytest.mark.parametrize(
    "answer",
    [b"", None, {}, [], "", {"batchItemFailures": None}, {"batchItemFailures": []}, {"statusCode": 200}],
    ids=repr,
)
def test_nothing_reported_is_a_complete_success(answer: Any) -> None:
    assert failed(answer) == set()


@pytest.mark.parametrize(
    "answer",
    [
        b"{",
        b"no json",
        "done",
        7,
        True,
        [{"itemIdentifier": "a"}],
        {"batchItemFailures": "a"},
        {"batchItemFailures": {"itemIdentifier": "a"}},
        {"batchItemFailures": ["a"]},
        {"batchItemFailures": [None]},
        {"batchItemFailures": [{"id": "a"}]},
        {"batchItemFailures": [{}]},
        reported(""),
        reported(None),
        reported(1),
        reported("unknown"),
        reported("a", "unknown"),
        reported("a", ""),
    ],
    ids=repr,
)
def test_what_cannot_be_understood_is_a_complete_failure(answer: Any) -> None:
    assert failed(answer) == {0, 1, 2}


def test_what_is_reported_is_tried_again_and_nothing_else() -> None:
    assert failed(reported("b")) == {1}
    assert failed(reported("c", "a", "c")) == {0, 2}


def test_a_function_error_fails_the_batch_and_without_reports_nothing_else_does() -> None:
    assert failed(reported(), is_error=True) == {0, 1, 2}
    assert failed(reported("a"), reports=False) == set()
    assert failed(b"{", reports=False) == set()
    assert failed(reported("a"), reports=False, is_error=True) == {0, 1, 2}


def test_of_a_group_nothing_goes_past_its_first_failure() -> None:
    batch = [Item("1", "x"), Item("2", "y"), Item("3", "x"), Item("4", "y"), Item("5", "x")]
    assert failed(reported("3"), batch) == {2, 4}
    assert failed(reported("1", "4"), batch) == {0, 2, 3, 4}


@calm
@given(st.lists(st.sampled_from(["x", "y", None]), min_size=1, max_size=10), st.data())
def test_what_succeeds_of_a_group_came_before_all_that_failed(groups: list[str | None], data: st.DataObject) -> None:
    batch = [Item(str(place), group) for place, group in enumerate(groups)]
    named = data.draw(st.sets(st.sampled_from([item.id for item in batch])))
    places = failed(reported(*named), batch)
    assert {batch[place].id for place in places} >= named
    for place, item in enumerate(batch):
        if place not in places and item.group is not None:
            assert all(later in places for later in places if batch[later].group == item.group and later > place)
            assert not any(earlier < place for earlier in places if batch[earlier].group == item.group)
