"""A short storm of kills over asynchronous events; `make chaos` has a long one."""

from __future__ import annotations

import pytest

from tests.end_to_end.storm import storm

pytestmark = [pytest.mark.component("bubblewrap", "valkey", "celery"), pytest.mark.slow]


def test_nothing_acknowledged_is_lost_and_nothing_is_counted_twice() -> None:
    said: list[str] = []
    books = storm(9.0, seed=20261123, tell=said.append)
    assert sum(books.kills.values()) >= 2, said
    assert len(books.acknowledged) >= 20, said
