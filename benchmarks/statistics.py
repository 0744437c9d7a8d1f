"""The few numbers that stand for many. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two middle ones. Raises `ValueError` without any."""
    return percentile(values, 0.5)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of the values do not exceed, between neighbours by proportion.

    Raises `ValueError` without values.
    """
    if not values:
        raise ValueError("no values, no percentile")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def spread(values: Sequence[float]) -> float:
    """How far apart the repeats are: (greatest - smallest) / median; 0 where the median is 0."""
    middle = median(values)
    return (max(values) - min(values)) / middle if middle else 0.0


def paired_ratio(values: Sequence[float], references: Sequence[float]) -> float | None:
    """The median of value / reference, repeat by repeat, so that a slow minute weighs on both sides.

    `None` without references, or where one of them is 0. Raises `ValueError` when they are not as many.
    """
    if not references or 0 in references:
        return None
    return median([value / reference for value, reference in zip(values, references, strict=True)])
