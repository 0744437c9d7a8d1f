"""What holds for the whole suite: the order of its parts and the table of real components."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import components, sharing

ORDER = (
    "test_architecture.py",
    "test_whole_runs.py",
    "samovar",
    "runtimes",
    "gateway",
    "invoker",
    "contracts",
    "compose",
    "compatibility",
    "end_to_end",
    "examples",
    "docs",
)
"""Quick and small first: what fails there explains what fails later. Other folders run in the middle.

Compose is one long test: at the end, processes that share a run would all wait for the one that has it.
"""

_TESTS = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    """Add the component table, and how processes share the work."""
    components.register(config)
    config.pluginmanager.register(sharing, "samovar-sharing")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by part, keeping the order within each."""
    items.sort(key=lambda item: _rank(item.path))


def _rank(path: Path) -> int:
    part = path.relative_to(_TESTS).parts[0]
    return ORDER.index(part) if part in ORDER else ORDER.index("contracts")
