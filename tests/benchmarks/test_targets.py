"""Which figure passes, and how it is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import pages, results, table
from benchmarks.chart import draw, headroom
from benchmarks.figures import MODULES
from benchmarks.results import Measured, failed
from benchmarks.targets import BY_FIGURE, PEER_TARGETS, TARGETS
from tests.benchmarks.runs import BUSY, figure, run_of


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        (figure("warm.c32", 4500, 10_000), "pass"),
        (figure("warm.c32", 4400, 10_000), "missed"),
        (figure("warm.c32", 4500), "failed"),  # a ratio without anything to compare with
        (figure("cold.first", 50), "missed"),
        (figure("cold.first", 50, isolation="docker"), "pass"),
        (figure("cold.runsc", 9999, 1, isolation="docker"), "reported"),
        (figure("burst.storm", 0), "pass"),
        (figure("burst.storm", 1), "missed"),
        (failed(["idle.cpu"], "docker", "no engine")[0], "failed"),
    ],
)
def test_a_figure_is_held_to_its_target(measured: Measured, verdict: str) -> None:
    assert BY_FIGURE[measured.figure].verdict(measured) == verdict


def test_the_value_is_the_median_and_the_ratio_that_of_pairs() -> None:
    measured = Measured(figure="warm.c32", isolation="sandbox", values=[50, 10, 40], references=[100, 100, 50])
    assert (measured.value, measured.reference, measured.ratio) == (40, 100, 0.5)


def test_every_target_has_a_module_that_measures_it() -> None:
    assert {target.module for target in TARGETS} == set(MODULES)
    assert {target.module for target in PEER_TARGETS} == {"peers"}
    assert len(BY_FIGURE) == len(TARGETS) + len(PEER_TARGETS)


def test_a_target_has_a_bound_or_only_reports() -> None:
    for target in TARGETS:
        assert bool(target.limits) == (target.sense != "reported"), target.figure
        assert target.of == "value" or target.reference, f"{target.figure}: a ratio to what?"


def test_a_row_says_value_reference_ratio_target_and_verdict() -> None:
    assert table.cells(figure("warm.c32", 4500, 10_000)) == (
        "warm, 32 connections, /fn/NAME",
        "sandbox",
        "4,500 requests/s",
        "10,000 (bare uvicorn)",
        "0.45",
        "ratio ≥ 0.45",
        "pass",
    )


def test_a_figure_that_failed_shows_its_reason() -> None:
    row = table.cells(failed(["idle.cpu"], "docker", "no engine\nTraceback")[0])
    assert row[2] == "no engine"
    assert row[-1] == "failed"


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (0.1234, "0.12"), (12.34, "12.3"), (12345.6, "12,346")])
def test_numbers_have_three_digits_that_matter(value: float, text: str) -> None:
    assert table.number(value) == text


def test_rows_come_in_the_order_of_the_targets_sandbox_first() -> None:
    rows = [figure("idle.cpu", 1), figure("warm.c32", 1, 1, "docker"), figure("warm.c32", 1, 1)]
    assert table.ordered(rows) == [rows[2], rows[1], rows[0]]


def test_a_busy_machine_makes_no_claim() -> None:
    busy = run_of(figure("idle.cpu", 1), quiet=BUSY)
    assert not busy.is_claim
    assert "not a claim" in table.summary(busy)
    assert run_of().is_claim
    assert not run_of(quick=True).is_claim


def test_headroom_is_above_one_when_the_promise_is_kept() -> None:
    assert headroom(figure("warm.c32", 9000, 10_000)) == pytest.approx(2)
    assert headroom(figure("cold.first", 80)) == 0.5
    assert headroom(figure("cold.table", 80)) is None
    assert headroom(figure("burst.storm", 0)) is None


def test_a_run_survives_being_saved_and_has_a_picture(tmp_path: Path) -> None:
    run = run_of(figure("warm.c32", 1, 2), figure("cold.first", 80), figure("idle.cpu", 0.1, isolation="docker"))
    results.save(run, tmp_path / "deeper" / "run.json")
    assert results.load(tmp_path / "deeper" / "run.json") == run
    draw(run, tmp_path / "run.png")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")


def test_a_marked_part_of_a_page_is_replaced_and_nothing_else() -> None:
    page = f"before\n{pages.BEGIN}\nold\n{pages.END}\nafter\n"
    assert pages.between(page, "new") == f"before\n{pages.BEGIN}\nnew\n{pages.END}\nafter\n"
    with pytest.raises(ValueError, match="no <!-- benchmark -->"):
        pages.between("no markers", "new")


def test_promises_list_every_target_also_those_not_measured() -> None:
    text = pages.parts(run_of(figure("cold.first", 50)))[pages.ROOT / "docs" / "promises.md"]
    assert "| cold start, first byte | ≤ 40 ms | `python -m benchmarks --only cold` | sandbox 50.0 ms: missed |" in text
    assert all(target.label in text for target in TARGETS if target.sense != "reported")
    assert "not measured" in text
