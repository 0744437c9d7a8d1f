"""Real photographs for tests: scikit-learn brings two along, of 640 x 427 pixels."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

NAMES = ("china.jpg", "flower.jpg")


def photograph(name: str) -> bytes:
    """The file of one of them. scikit-learn is located, not imported: that would take seconds."""
    spec = find_spec("sklearn")
    assert spec is not None
    assert spec.submodule_search_locations
    return (Path(spec.submodule_search_locations[0]) / "datasets" / "images" / name).read_bytes()
