"""A short storm of kills over every kind of trigger; `make chaos` has a long one."""

from __future__ import annotations

import pytest

from tests.end_to_end.storm.storm import KINDS, storm

pytestmark = [pytest.mark.component("bubblewrap", "valkey", "celery", "seaweedfs", "boto3"), pytest.mark.slow]


def test_nothing_acknowledged_is_lost_and_nothing_is_counted_twice() -> None:
    said: list[str] = []
    books = storm(7.0, seed=20261123, tell=said.append)
    assert {book.kind for book in books} == {kind.name for kind in KINDS}, said
