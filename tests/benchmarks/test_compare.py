"""Two working copies beside each other: what is shown of the rounds, and what becomes of one that does not start."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.compare import Order, _once, _platform, _table


def shown(found: dict[Path, list[dict[str, float]]]) -> str:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(_table(found))
    return capture.get()


def test_medians_stand_beside_each_other_with_their_ratio() -> None:
    before, after = [{"requests/s": rate} for rate in (100.0, 1000.0, 200.0)], [{"requests/s": 300.0}] * 3
    (row,) = [line for line in shown({Path("a"): before, Path("b"): after}).splitlines() if "requests/s" in line]
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["requests/s", "200", "300", "1.50"]


def test_a_working_copy_whose_platform_does_not_start_ends_the_comparison(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").write_text("raise SystemExit('no platform here')\n")
    with _platform(tmp_path, Order("sandbox", 1, 0.0)) as process, pytest.raises(SystemExit, match="measured"):
        _once(process)
