"""The README's commands are run, in order and in one shell, and must print what it shows."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.console import steps
from tests.examples.photographs import photograph
from tests.platform import ROOT, Platform

README = (ROOT / "README.md").read_text()
ADDRESS = "http://127.0.0.1:9000"
MARK = "-- end of step --"
TOUR_TAKES_S = 300.0
MADE_BY_MAKE_RUN = ".venv/bin/samovar deploy functions/hello-python && .venv/bin/samovar invoke hello-python"
"""What the reader's platform has been through when the tour begins."""


def in_one_shell(folder: Path, platform: Platform, commands: list[str]) -> list[str]:
    """What each command printed, on stdout and stderr, with the platform's address as the README calls it."""
    script = "".join(f"{command}\n__status=$?; printf '\\n%s\\n' '{MARK}'; (exit $__status)\n" for command in commands)
    done = subprocess.run(
        ["bash", "-c", script.replace(ADDRESS, platform.endpoint)],
        cwd=folder,
        env=platform.environment | {"LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TOUR_TAKES_S,
        check=False,
    )
    said = done.stdout.replace(platform.endpoint, ADDRESS).split(f"\n{MARK}\n")
    assert len(said) == len(commands) + 1, f"the shell ended early:\n{done.stdout}"
    return said[:-1]


@pytest.mark.component("bubblewrap", "valkey")
def test_the_tour_prints_what_the_readme_shows(tmp_path: Path) -> None:
    for name in (".venv", "functions"):
        os.symlink(ROOT / name, tmp_path / name)
    (tmp_path / "photo.jpg").write_bytes(photograph("china.jpg"))
    tour = steps(README)
    assert len(tour) > 10
    with Platform("sandbox") as platform:
        _, *said = in_one_shell(tmp_path, platform, [MADE_BY_MAKE_RUN, *(step.command for step in tour)])
    for step, words in zip(tour, said, strict=True):
        shown = "\n".join(step.output)
        assert step.fits(words), f"$ {step.command}\n--- README.md shows\n{shown}\n--- it printed\n{words}"


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    targets = re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    shown = re.findall(r"^make (\w+)", README, re.MULTILINE)
    assert shown == ["run", "test"]
    assert set(shown) <= set(targets)
