"""Compares what a function answered with its `expected.json`.

Everything is compared exactly, but for an object with the one key `$match`: it stands for any text that the regular
expression in it fits.
"""

from __future__ import annotations

import re
from typing import Any

PATTERN = "$match"


def differences(found: Any, expected: Any, place: str = "$") -> list[str]:
    """What differs, a sentence each, with the place of it as a JSON path."""
    if isinstance(expected, dict) and expected.keys() == {PATTERN}:
        fits = isinstance(found, str) and re.search(expected[PATTERN], found) is not None
        return [] if fits else [f"{place}: {found!r} does not fit {expected[PATTERN]!r}"]
    if isinstance(expected, dict) and isinstance(found, dict):
        odd = sorted(expected.keys() ^ found.keys())
        here = [f"{place}.{key}: {'missing' if key in expected else 'not expected'}" for key in odd]
        both = [key for key in expected if key in found]
        return here + [line for key in both for line in differences(found[key], expected[key], f"{place}.{key}")]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(found, expected, strict=True))
        return [line for index, (one, other) in pairs for line in differences(one, other, f"{place}[{index}]")]
    same = type(found) is type(expected) and found == expected
    return [] if same else [f"{place}: {found!r} is not {expected!r}"]
