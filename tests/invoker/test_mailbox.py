"""What can be taken back out of a mailbox while nobody takes anything out of it."""

from __future__ import annotations

import contextlib

from invoker.environments.mailbox import Mailbox
from samovar.link.wire import EVENT, encode


def test_what_lies_behind_one_that_was_not_asked_for_stays_unless_the_worker_is_given_up() -> None:
    with contextlib.closing(Mailbox()) as mailbox:
        for number in (1, 2, 3):
            assert mailbox.put(encode(EVENT, number))
        assert mailbox.take_back([2, 3]) == []
        assert mailbox.take_back([2, 3], is_given_up=True) == [2, 3]
        assert mailbox.take_back([1], is_given_up=True) == []


def test_all_of_it_is_taken_back_when_all_is_asked_for() -> None:
    with contextlib.closing(Mailbox()) as mailbox:
        for number in (2, 3):
            assert mailbox.put(encode(EVENT, number))
        assert mailbox.take_back([2, 3, 4]) == [2, 3]
        assert mailbox.take_back([2, 3, 4]) == []
