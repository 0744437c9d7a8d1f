"""How long an idle environment is worth keeping, and what it is worth when memory is short. Pure, like `policy.py`.

The keep-alive is learned from each version's own pauses, after Shahrad et al., "Serverless in the Wild:
Characterizing and Optimizing the Serverless Workload at a Large Cloud Provider" (USENIX ATC 2020): a histogram of
idle times, whose high percentile is how long to wait for the next call. What an environment is worth is greedy-dual,
after Fuerst and Sharma, "FaasCache: Keeping Serverless Computing Alive with Greedy-Dual Caching" (ASPLOS 2021).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import msgspec

GROWTH: Final = 1.25
"""Each bucket ends at so many times the end of the one before: a window is at most a quarter too long."""
LONGEST_S: Final = 86_400.0
"""The last bucket also holds every pause longer than a day."""
BUCKETS: Final = math.ceil(math.log(LONGEST_S, GROWTH)) + 1
MOST: Final = 128
"""Idle times remembered. When there are more, all counts are halved, so that an old habit fades."""
FEWEST: Final = 8
"""Idle times without which nothing is concluded."""

_TAIL: Final = 0.95
"""Share of the pauses a window is to outlast."""
_MARGIN: Final = 1.1
_SPREAD: Final = 8.0
"""A tail so many times the median is no habit: most of the window would be spent in vain."""


class KeepAlive(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How environments are kept, from the platform's settings. Seconds."""

    adaptive: bool
    ttl_s: float
    """For every version when not adaptive, and for those nothing is known of."""
    min_s: float
    max_s: float

    @property
    def sure_s(self) -> float:
        """Every window is at least so long, so that shorter pauses teach nothing."""
        return min(self.ttl_s, self.min_s) if self.adaptive else math.inf


class IdleTimes(msgspec.Struct, frozen=True, gc=False):
    """A histogram of the pauses of one version, in logarithmic buckets from a second to a day."""

    counts: tuple[int, ...] = (0,) * BUCKETS

    @property
    def total(self) -> int:
        """How many are remembered."""
        return sum(self.counts)

    def percentile(self, share: float) -> float:
        """Seconds that at least `share` (0 to 1) of the idle times did not exceed; infinite beyond the last bucket."""
        rank = math.ceil(share * self.total)
        for bucket, count in enumerate(self.counts):
            rank -= count
            if rank <= 0:
                return bucket_end(bucket)
        return math.inf


def bucket_of(idle_s: float) -> int:
    """The bucket of an idle time."""
    if idle_s <= 1.0:
        return 0
    # The logarithm of a bucket's own end may come out a hair above its number.
    return min(math.ceil(math.log(idle_s, GROWTH) - 1e-9), BUCKETS - 1)


def bucket_end(bucket: int) -> float:
    """The longest idle time a bucket holds, in seconds."""
    return math.inf if bucket == BUCKETS - 1 else GROWTH**bucket


def noted(times: IdleTimes, idle_s: float) -> IdleTimes:
    """The histogram with one more idle time."""
    counts = list(times.counts)
    if times.total >= MOST:
        counts = [count // 2 for count in counts]
    counts[bucket_of(idle_s)] += 1
    return IdleTimes(tuple(counts))


def window(times: IdleTimes, keep: KeepAlive) -> float:
    """How many seconds an environment is kept idle.

    The window outlasts nearly all pauses, if that can be had within `max_s`. If nearly all of them are longer than
    `max_s`, waiting is in vain and the window is the least. Between the two, or where the pauses have no typical
    length, or too few are known: the plain TTL.
    """
    if not keep.adaptive or times.total < FEWEST:
        return keep.ttl_s
    tail = times.percentile(_TAIL) * _MARGIN
    if tail <= min(keep.max_s, _SPREAD * times.percentile(0.5)):
        return max(tail, keep.min_s)
    return keep.min_s if times.percentile(1 - _TAIL) > keep.max_s * GROWTH else keep.ttl_s


def priority(clock: float, uses: int, start_s: float, memory_mb: int) -> float:
    """What an idle environment is worth: the greatest goes last when memory is short.

    `clock` is what the last evicted one was worth when this one was last used, so that whatever is no longer used
    loses its worth against what is. `uses` are the invocations of its version, `start_s` what a cold start of it costs.
    """
    return clock + uses * start_s / memory_mb


def clock_after(clock: float, evicted: Iterable[float]) -> float:
    """The clock once environments of these priorities have been evicted. It never goes back."""
    return max((clock, *evicted))
