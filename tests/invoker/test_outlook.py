"""What the policy is shown of a version."""

from __future__ import annotations

import pytest

from invoker.pool.keepalive import KeepAlive
from invoker.pool.outlook import Around, PoolSettings, demand
from invoker.pool.policy import FIRST_GUESS_FORK_S
from invoker.pool.roster import Roster
from invoker.pool.shelf import Shelf
from tests.invoker.building import version

KEEP = KeepAlive(adaptive=False, ttl_s=600.0, min_s=60.0, max_s=3600.0)
SETTINGS = PoolSettings(
    cores=2, memory_budget_mb=4096, max_environments=50, max_environments_per_function=20, max_starts=2,
    keep_alive=KEEP, queue_timeout_s=5.0, init_timeout_s=10.0, queue_limit=100,
)  # fmt: skip


def start_s(shelf: Shelf, *, forks: bool) -> float | None:
    return demand(shelf, Roster(), SETTINGS, 0.0, Around(forks=forks)).mean_start_s


def test_a_fork_and_a_whole_start_are_expected_to_take_their_own_times() -> None:
    shelf = Shelf(version(), KEEP)
    assert (start_s(shelf, forks=False), start_s(shelf, forks=True)) == (None, FIRST_GUESS_FORK_S)
    shelf.note_start(0.4, forked=False)
    assert (start_s(shelf, forks=False), start_s(shelf, forks=True)) == (0.4, FIRST_GUESS_FORK_S)
    shelf.note_start(0.02, forked=True)
    assert (start_s(shelf, forks=False), start_s(shelf, forks=True)) == (0.4, 0.02)


@pytest.mark.parametrize("forks", [True, False])
def test_newer_code_is_expected_to_start_like_the_older(forks: bool) -> None:
    older = Shelf(version(), KEEP)
    older.note_start(0.4, forked=forks)
    assert start_s(Shelf(version(serial=2), KEEP, older), forks=forks) == 0.4
