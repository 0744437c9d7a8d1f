"""What functions used: roll-ups and single meter readings, read from where invokers write them.

Keys and arithmetic are in `samovar.usage`. Sums are of whole spans: a question from 10:07:30 in minutes begins at
10:07, and the answer says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from gateway.functions.store import reaching_store
from samovar.answers import Span, Usage
from samovar.errors import InvalidParameterValue
from samovar.invocation import Reading
from samovar.usage import (
    KEPT_SECONDS,
    SECONDS,
    Resolution,
    Rollup,
    reading_key,
    readings_key,
    resolution_for,
    rollup_key,
    span_start,
)

_AT_ONCE: Final = 500
"""Keys read in one round trip."""


class Window(NamedTuple):
    """A stretch of time, in whole spans of one resolution. Epoch seconds; `until` is not part of it."""

    since: int
    until: int
    resolution: Resolution

    @classmethod
    def over(cls, since: float, until: float, now: float) -> Window:
        """The finest window from `since` to `until` whose roll-ups are few enough and still kept.

        Raises `InvalidParameterValue` when it ends before it begins.
        """
        if until < since:
            raise InvalidParameterValue(f"until ({until:g}) lies before since ({since:g})")
        since = max(since, now - KEPT_SECONDS["d"])
        until = max(since, min(until, now + SECONDS["d"]))
        order: list[Resolution] = ["m", "h", "d"]
        finest = order.index(resolution_for(until - since))
        resolution: Resolution = next((one for one in order[finest:] if now - since <= KEPT_SECONDS[one]), "d")
        return cls(span_start(since, resolution), int(until) + 1, resolution)

    def starts(self) -> range:
        """The beginning of each span."""
        return range(self.since, self.until, SECONDS[self.resolution])


async def read_usage(redis: Any, arns: Sequence[str], window: Window, *, complete: bool, each: bool) -> Usage:
    """Add up the roll-ups of some functions; `each` tells them apart. Raises `ServiceUnavailable`."""
    total = Rollup()
    by_start = {start: Rollup() for start in window.starts()}
    functions: dict[str, Span] = {}
    for arn in arns:
        of_function = Rollup()
        for start, rollup in await _rollups(redis, arn, window):
            of_function.merge(rollup)
            by_start[start].merge(rollup)
        total.merge(of_function)
        if each and of_function.invocations:
            functions[arn.rpartition(":")[2]] = _span(window.since, of_function)
    return Usage(
        since=window.since,
        until=window.until,
        resolution=window.resolution,
        complete=complete,
        total=_span(window.since, total),
        series=[_span(start, rollup) for start, rollup in by_start.items() if rollup.invocations],
        functions=functions,
    )


async def read_reading(redis: Any, request_id: str) -> Reading | None:
    """The meter reading of one invocation, if it is still kept."""
    async with reaching_store():
        found = await redis.get(reading_key(request_id))
    return None if found is None else msgspec.json.decode(found, type=Reading)


async def read_readings(redis: Any, arn: str, since_ms: int, limit: int) -> list[Reading]:
    """The latest meter readings of a function, newest first, from `since_ms` (epoch milliseconds) on."""
    async with reaching_store():
        ids = await redis.zrange(readings_key(arn), "+inf", since_ms, byscore=True, desc=True, offset=0, num=limit)
        found = await redis.mget([reading_key(each.decode()) for each in ids]) if ids else []
    # A reading expires before its id is swept out of the set.
    return [msgspec.json.decode(raw, type=Reading) for raw in found if raw is not None]


async def _rollups(redis: Any, arn: str, window: Window) -> Iterable[tuple[int, Rollup]]:
    found: list[tuple[int, Rollup]] = []
    starts = list(window.starts())
    for first in range(0, len(starts), _AT_ONCE):
        some = starts[first : first + _AT_ONCE]
        async with reaching_store(), redis.pipeline(transaction=False) as pipeline:
            for start in some:
                pipeline.hgetall(rollup_key(arn, window.resolution, start))
            hashes = await pipeline.execute()
        found += [
            (start, Rollup({name.decode(): int(count) for name, count in counters.items()}))
            for start, counters in zip(some, hashes, strict=True)
            if counters
        ]
    return found


def _span(start: int, rollup: Rollup) -> Span:
    counters = rollup.counters
    return Span(
        start=start,
        invocations=rollup.invocations,
        errors=rollup.errors,
        cold=rollup.cold,
        p50_ms=rollup.percentile(0.5),
        p90_ms=rollup.percentile(0.9),
        p99_ms=rollup.percentile(0.99),
        gb_seconds=rollup.gb_seconds,
        billed_ms=counters["billed_ms"],
        duration_ms=counters["duration_us"] / 1000,
        init_ms=counters["init_us"] / 1000,
        queue_ms=counters["queue_us"] / 1000,
        cpu_ms=counters["cpu_us"] / 1000,
        outcomes=_group(rollup, "outcome:"),
        cold_reasons=_group(rollup, "cold:"),
    )


def _group(rollup: Rollup, prefix: str) -> dict[str, int]:
    named = {name.removeprefix(prefix): count for name, count in rollup.counters.items() if name.startswith(prefix)}
    return {name: count for name, count in sorted(named.items()) if count}
