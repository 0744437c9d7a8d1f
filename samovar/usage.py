"""How meter readings add up: roll-ups by minute, hour and day, and the keys they have in Redis.

The invoker writes what the gateway reads; this module is what they agree on. It does no I/O.

Durations are kept as a histogram of logarithmic buckets, so that roll-ups of any span can be added and
still answer percentiles. A percentile is off by at most 2.5% (half a bucket), and never by rank.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from samovar.invocation import Outcome, Reading

Resolution = Literal["m", "h", "d"]
SECONDS: Final[dict[Resolution, int]] = {"m": 60, "h": 3600, "d": 86_400}
KEPT_SECONDS: Final[dict[Resolution, int]] = {"m": 2 * 86_400, "h": 92 * 86_400, "d": 5 * 366 * 86_400}
"""How long the roll-ups of each resolution are kept."""

_GROWTH: Final = 1.05
_LOG_GROWTH: Final = math.log(_GROWTH)
_SMALLEST_MS: Final = 0.01


def rollup_key(arn: str, resolution: Resolution, start: int) -> str:
    """Key of the hash with the counters of one span, which begins at epoch second `start`."""
    return f"samovar:usage:{arn}:{resolution}:{start}"


def reading_id(reading: Reading) -> str:
    """What a reading is known by: its request id, and behind a colon its attempt from the second one on."""
    return reading.request_id if reading.attempt == 1 else f"{reading.request_id}:{reading.attempt}"


def reading_key(known_by: str) -> str:
    """Key of the JSON of one reading, by its `reading_id`."""
    return f"samovar:reading:{known_by}"


def readings_key(arn: str) -> str:
    """Key of the sorted set of the ids of a function's readings, by the time they started (epoch ms)."""
    return f"samovar:readings:{arn}"


def journal_key(journal: str) -> str:
    """Key of the position up to which a journal has been taken over."""
    return f"samovar:journal:{journal}"


def span_start(epoch_s: float, resolution: Resolution) -> int:
    """The beginning of the span that holds this moment."""
    width = SECONDS[resolution]
    return int(epoch_s) // width * width


def resolution_for(span_s: float) -> Resolution:
    """The finest resolution that reads at most some hundred keys for a span of this length."""
    if span_s <= 6 * 3600:
        return "m"
    return "h" if span_s <= 14 * 86_400 else "d"


def bucket_of(duration_ms: float) -> int:
    """The histogram bucket of a duration."""
    return math.ceil(math.log(max(duration_ms, _SMALLEST_MS)) / _LOG_GROWTH)


def bucket_value(bucket: int) -> float:
    """The duration (ms) that stands for a bucket: its middle, so that the error is half a bucket."""
    return 2 * _GROWTH**bucket / (1 + _GROWTH)


class Rollup:
    """Sums over readings. Counters are whole numbers: counts, microseconds, MB-milliseconds."""

    def __init__(self, counters: Mapping[str, int] | None = None) -> None:
        self.counters: Counter[str] = Counter(counters or {})

    @classmethod
    def of(cls, readings: Iterable[Reading]) -> Rollup:
        """The roll-up of some readings, each counter but the rarer ones touched once for all of them."""
        rollup = cls()
        counters = rollup.counters
        count = duration_us = init_us = queue_us = cpu_us = billed_ms = mb_ms = 0
        for reading in readings:
            count += 1
            counters[f"outcome:{reading.outcome}"] += 1
            if reading.cold is not None:
                counters[f"cold:{reading.cold}"] += 1
            duration_us += round(reading.duration_ms * 1000)
            init_us += round(reading.init_ms * 1000)
            queue_us += round(reading.queue_ms * 1000)
            cpu_us += round(reading.cpu_ms * 1000)
            billed_ms += reading.billed_ms
            mb_ms += reading.memory_mb * reading.billed_ms
            counters[f"bucket:{bucket_of(reading.duration_ms)}"] += 1
        counters.update(
            invocations=count,
            duration_us=duration_us,
            init_us=init_us,
            queue_us=queue_us,
            cpu_us=cpu_us,
            billed_ms=billed_ms,
            mb_ms=mb_ms,
        )
        return rollup

    def merge(self, other: Rollup) -> None:
        """Add another span's counters."""
        self.counters.update(other.counters)

    @property
    def invocations(self) -> int:
        """Invocations that ran, with whatever outcome."""
        return self.counters["invocations"]

    @property
    def errors(self) -> int:
        """Invocations that ended in a function error."""
        return self.invocations - self.counters[f"outcome:{Outcome.OK}"]

    @property
    def cold(self) -> int:
        """Invocations that waited for an environment to be prepared."""
        return sum(count for name, count in self.counters.items() if name.startswith("cold:"))

    @property
    def gb_seconds(self) -> float:
        """Memory limit times billed time, as AWS bills it (1 GB = 1024 MB)."""
        return self.counters["mb_ms"] / 1024 / 1000

    def percentile(self, share: float) -> float:
        """The duration (ms) that `share` (0 to 1) of the invocations did not exceed; 0 without any."""
        buckets = sorted(
            (int(name.removeprefix("bucket:")), count)
            for name, count in self.counters.items()
            if name.startswith("bucket:")
        )
        rank = math.ceil(share * sum(count for _, count in buckets))
        for bucket, count in buckets:
            rank -= count
            if rank <= 0:
                return bucket_value(bucket)
        return 0.0
