"""What the pages say about the repository is so: links lead somewhere, named files and tests exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.platform import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "functions").rglob("*.md")])
FOLDERS = "benchmarks|docs|functions|gateway|invoker|runtimes|samovar|scripts|tests"

_LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(rf"`((?:{FOLDERS})/[\w./-]*)`")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_PROMISE = re.compile(r"^\| (?!promise |---)(.+?) \| (.+) \|$", re.MULTILINE)


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """The fragments a page can be linked by, as GitHub makes them from headings."""
    headings = _HEADING.findall(prose(page))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def names_in(path: Path) -> frozenset[str]:
    functions = (node for node in ast.walk(ast.parse(path.read_text())) if hasattr(node, "name"))
    return frozenset(node.name for node in functions)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(prose(page)):
        place, _, fragment = target.partition("#")
        if "://" in place:
            continue
        linked = (page.parent / place).resolve() if place else page
        assert linked.exists(), f"{target} leads nowhere"
        assert linked.is_relative_to(ROOT)
        assert not fragment or fragment in anchors(linked), f"{target} has no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_exist(page: Path) -> None:
    missing = [name for name in _FILE.findall(page.read_text()) if not (ROOT / name).exists()]
    assert not missing


def test_every_promise_names_a_test_that_exists() -> None:
    tested, _, _ = (ROOT / "docs" / "promises.md").read_text().partition("\n## Speed\n")  # that is measured instead
    promises = _PROMISE.findall(tested)
    assert len(promises) > 30
    for promise, held_by in promises:
        named = _TEST.findall(held_by)
        assert named, f"no test for: {promise}"
        for path, test in named:
            assert (ROOT / path).is_file(), f"{path}, for: {promise}"
            assert test in names_in(ROOT / path), f"{path} has no {test}, for: {promise}"


def test_every_decision_is_listed_and_complete() -> None:
    folder = ROOT / "docs" / "decisions"
    pages = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    listed = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text())
    assert listed == [path.name for path in pages]
    for path in pages:
        text = path.read_text()
        assert text.startswith(f"# {path.name[:4]}: ")
        for part in ("Context", "Decision", "Rollback"):
            assert f"**{part}.**" in text, f"{path.name} has no {part}"
