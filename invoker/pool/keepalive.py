"""How long an idle environment is worth keeping, and what it is worth when memory is short. Pure, like `policy.py`.

The keep-alive is learned from a histogram of each version's own pauses, after Shahrad et al., "Serverless in the Wild:
Characterizing and Optimizing the Serverless Workload at a Large Cloud Provider" (USENIX ATC 2020); instead of a high
percentile of them it outlasts those that are worth their memory. What an environment is worth is greedy-dual, after
Fuerst and Sharma, "FaasCache: Keeping Serverless Computing Alive with Greedy-Dual Caching" (ASPLOS 2021).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
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

_MARGIN: Final = 1.1
"""A window is so many times the pause it is to outlast, because the next one is never quite the same."""


class KeepAlive(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How environments are kept, from the platform's settings. Seconds."""

    adaptive: bool
    ttl_s: float
    """For every version when not adaptive, and for those too little is known of. Also what a cold start counts as."""
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
    """How many seconds an environment is kept idle: what costs least over the pauses that are remembered.

    A pause within the window costs its own length of idle time. A longer one costs the whole window, in vain, and a
    cold start, which counts as much as `ttl_s` of idle time. Who keeps an environment for just that long never pays
    more than twice what one would who knew the future, so that is also the answer while too little is known.
    """
    if not keep.adaptive or times.total < FEWEST:
        return keep.ttl_s
    best_s, least = keep.min_s, math.inf
    for kept_s in _choices(times, keep):
        cost = _cost(times, kept_s, keep.ttl_s)
        if cost < least:
            best_s, least = kept_s, cost
    return best_s


def _choices(times: IdleTimes, keep: KeepAlive) -> Iterator[float]:
    """The least window, and those that outlast just one more of the buckets that hold something."""
    yield keep.min_s
    for bucket, count in enumerate(times.counts):
        if count and keep.min_s < (kept_s := bucket_end(bucket) * _MARGIN) <= keep.max_s:
            yield kept_s


def _cost(times: IdleTimes, kept_s: float, cold_s: float) -> float:
    """What a window would have cost, in seconds of idle time."""
    cost = 0.0
    for bucket, count in enumerate(times.counts):
        if count:
            pause_s = bucket_end(bucket)
            cost += count * (pause_s if pause_s <= kept_s else kept_s + cold_s)
    return cost


def priority(clock: float, uses: int, start_s: float, memory_mb: int) -> float:
    """What an idle environment is worth: the greatest goes last when memory is short.

    `clock` is what the last evicted one was worth when this one was last used, so that whatever is no longer used
    loses its worth against what is. `uses` are the invocations of its version, `start_s` what a cold start of it costs.
    """
    return clock + uses * start_s / memory_mb


def clock_after(clock: float, evicted: Iterable[float]) -> float:
    """The clock once environments of these priorities have been evicted. It never goes back."""
    return max((clock, *evicted))
