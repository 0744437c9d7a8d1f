"""The pages show the figures of the published run, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import pages, results
from benchmarks.targets import BY_FIGURE
from tests.benchmarks.runs import run_of


@pytest.mark.parametrize("page", pages.parts(run_of()), ids=lambda page: page.name)
def test_the_pages_show_the_published_run(page: Path) -> None:
    shown = pages.parts(results.load(pages.PUBLISHED))[page]
    text = page.read_text()
    assert pages.between(text, shown) == text, "run `python -m benchmarks --write-docs docs/benchmark.json`"


def test_the_published_run_is_whole_and_of_known_figures() -> None:
    run = results.load(pages.PUBLISHED)
    assert not run.quick
    assert {measured.figure for measured in run.measured} <= set(BY_FIGURE)
