"""A small arrival trace with the shape of the Azure Functions trace of July 2019, and its statistics.

The shape is section 3 of Shahrad et al., "Serverless in the Wild: Characterizing and Optimizing the Serverless Workload
at a Large Cloud Provider" (USENIX ATC 2020):

- how often: 45% of the applications are invoked once an hour or less on average, 81% once a minute or less;
- how regularly: the coefficient of variation (CV) of the time between invocations is about 0 for 20% of them
  (timers), and above 1 for 40%;
- how long: mean durations are log-normal, the logarithm of their seconds with mean -0.38 and deviation 2.36; half of
  them are below one second;
- how large: memory is of the Burr XII distribution with c = 11.652, k = 0.221, λ = 107.083 (MB).

It is ours that rates are log-uniform within each class and end at `MOST_PER_MINUTE` (the most popular applications of
Azure are never cold under any policy, and make traces long); that the time between invocations is log-normal where its
CV exceeds 1, and of the gamma distribution below; that a cold start costs a quarter of a second at the median. There is
no rhythm of day and week in it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import fmean, median, pstdev
from typing import NamedTuple

DAY_S = 86_400.0
MOST_PER_MINUTE = 6.0
_LONGEST_CALL_S = 60.0


class Shape(NamedTuple):
    """How large a trace is; the same shape is always the same trace."""

    functions: int = 80
    days: float = 2.0
    seed: int = 2019


class Function(NamedTuple):
    """One function: what a call and a cold start of it cost, and when it is called."""

    memory_mb: int
    start_s: float
    arrivals: tuple[float, ...]
    """Seconds from the beginning."""
    durations: tuple[float, ...]


class Statistic(NamedTuple):
    """One property of a trace beside the published one."""

    name: str
    published: float
    generated: float


def generate(shape: Shape) -> list[Function]:
    """The trace."""
    chance = random.Random(shape.seed)
    return [_function(chance, number, shape) for number in range(shape.functions)]


def _function(chance: random.Random, number: int, shape: Shape) -> Function:
    horizon = shape.days * DAY_S
    # Classes by position and not by chance: a small trace has their shares as exactly as a large one.
    pause_s = _mean_pause(chance, (number + 0.5) / shape.functions, horizon)
    arrivals = tuple(_arrivals(chance, pause_s, _variation(chance), horizon))
    typical_s = min(chance.lognormvariate(-0.38, 2.36), _LONGEST_CALL_S, pause_s / 2)
    durations = tuple(typical_s * chance.lognormvariate(0.0, 0.3) for _ in arrivals)
    return Function(_memory(chance), min(chance.lognormvariate(math.log(0.25), 0.8), 10.0), arrivals, durations)


def _mean_pause(chance: random.Random, rank: float, horizon: float) -> float:
    """Seconds between invocations, on average: the ranks below 45% come once an hour or less."""
    if rank < 0.45:
        shortest, longest = 3600.0, max(horizon / 3, 3601.0)
    elif rank < 0.81:
        shortest, longest = 60.0, 3600.0
    else:
        shortest, longest = 60.0 / MOST_PER_MINUTE, 60.0
    return math.exp(chance.uniform(math.log(shortest), math.log(longest)))


def _variation(chance: random.Random) -> float:
    """The coefficient of variation of the time between invocations."""
    kind = chance.random()
    if kind < 0.2:
        return 0.0
    return chance.uniform(0.3, 1.0) if kind < 0.6 else chance.uniform(1.2, 4.0)


def _arrivals(chance: random.Random, pause_s: float, variation: float, horizon: float) -> Iterator[float]:
    now = chance.uniform(0.0, pause_s)
    while now < horizon:
        yield now
        now += _pause(chance, pause_s, variation)


def _pause(chance: random.Random, mean_s: float, variation: float) -> float:
    if variation == 0.0:
        return mean_s
    if variation <= 1.0:
        shape = 1 / variation**2
        return chance.gammavariate(shape, mean_s / shape)
    variance = math.log(1 + variation**2)
    return chance.lognormvariate(math.log(mean_s) - variance / 2, math.sqrt(variance))


def _memory(chance: random.Random) -> int:
    """Megabytes, as people set a limit: the next multiple of 64, from 128 on."""
    c, k, scale = 11.652, 0.221, 107.083
    drawn: float = scale * ((1 - chance.random()) ** (-1 / k) - 1) ** (1 / c)
    return min(max(128, math.ceil(drawn / 64) * 64), 1024)


def statistics(functions: Sequence[Function], shape: Shape) -> list[Statistic]:
    """What the trace has of the published shape."""
    horizon = shape.days * DAY_S
    rates = [len(one.arrivals) / horizon for one in functions]
    variations = [found for one in functions if (found := _observed_variation(one.arrivals)) is not None]
    typical = [median(one.durations) for one in functions if one.durations]
    return [
        Statistic("once an hour or less", 0.45, _share(rate <= 1 / 3600 for rate in rates)),
        Statistic("once a minute or less", 0.81, _share(rate <= 1 / 60 for rate in rates)),
        Statistic("time between invocations: CV below 0.1", 0.20, _share(one < 0.1 for one in variations)),
        Statistic("time between invocations: CV above 1", 0.40, _share(one > 1 for one in variations)),
        Statistic("typical duration below 1 s", 0.50, _share(one < 1 for one in typical)),
        Statistic("memory of at most 400 MB", 0.90, _share(one.memory_mb <= 400 for one in functions)),
    ]


def _observed_variation(arrivals: Sequence[float]) -> float | None:
    pauses = [later - earlier for earlier, later in pairwise(arrivals)]
    return pstdev(pauses) / fmean(pauses) if len(pauses) >= 3 else None


def _share(those: Iterator[bool]) -> float:
    return fmean(map(float, those))
