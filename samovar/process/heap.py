"""Keeping the garbage collector, and the return of memory to the kernel, out of the way of calls."""

from __future__ import annotations

import contextlib
import ctypes
import gc

_ALLOCATIONS_BETWEEN_COLLECTIONS = 50_000
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 16 * 1024 * 1024
_GIVEN_BACK_BYTES = 4 * 1024 * 1024


def keep_some() -> None:
    """Have freed memory kept for what comes next, up to a bound; only large pieces go back to the kernel at once.

    By default glibc gives the end of its heap back again and again: of 6 MB that pass through in chunks, each page was
    then taken from the kernel anew, which was a third of the time they took. Other C libraries do as they like.
    """
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _GIVEN_BACK_BYTES)


def settle() -> None:
    """Take everything that start-up made out of the collector's sight, and have it look less often.

    Modules, classes and routes live as long as the process; looking through them again and again costs a pause
    of milliseconds each time. What a call makes is freed by its reference count when the call ends.
    """
    keep_some()
    gc.collect()
    gc.freeze()
    look_rarely()
    give_back()


def give_back() -> None:
    """Give the kernel what is free by now, wherever it is: most of it was the compiler's, and nobody needs it again."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def leave() -> None:
    """Have the interpreter end without a last look at everything there is; the kernel takes it all at once."""
    gc.freeze()


def look_rarely() -> None:
    """Have the collector look less often: what loads many modules makes much that stays, and little garbage."""
    gc.set_threshold(_ALLOCATIONS_BETWEEN_COLLECTIONS, 20, 20)
