"""Calls that run beside others, in environments that take several at once (`slots.py`)."""

from __future__ import annotations

from invoker.pool.lease import Lease
from invoker.pool.shelf import Shelf


def join(shelf: Shelf, lease: Lease, now: float) -> None:
    """Let a call run beside others, in an environment that has room for it."""
    environment = shelf.sharing[-1]
    shelf.seat(environment)
    if lease.since:
        lease.queue_ms = (now - lease.since) * 1000
    lease.grant(environment)


def fill(shelf: Shelf, now: float) -> None:
    """Let calls that wait join others, where there is room."""
    while shelf.sharing and (waiter := shelf.next_waiter()) is not None:
        join(shelf, waiter, now)
