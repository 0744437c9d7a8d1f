"""Keeping the garbage collector out of the way of calls."""

from __future__ import annotations

import gc

_ALLOCATIONS_BETWEEN_COLLECTIONS = 50_000


def settle() -> None:
    """Take everything that start-up made out of the collector's sight, and have it look less often.

    Modules, classes and routes live as long as the process; looking through them again and again costs a pause
    of milliseconds each time. What a call makes is freed by its reference count when the call ends.
    """
    gc.collect()
    gc.freeze()
    look_rarely()


def leave() -> None:
    """Have the interpreter end without a last look at everything there is; the kernel takes it all at once."""
    gc.freeze()


def look_rarely() -> None:
    """Have the collector look less often: what loads many modules makes much that stays, and little garbage."""
    gc.set_threshold(_ALLOCATIONS_BETWEEN_COLLECTIONS, 20, 20)
