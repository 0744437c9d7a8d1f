"""The page about moving here: its commands are run, in order and in one shell, and must print what it shows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.docs.console import steps
from tests.docs.test_readme_tour import in_one_shell
from tests.platform import ROOT, Platform

PAGE = (ROOT / "docs" / "moving.md").read_text()
DATA_DIR = "~/.samovar"


@pytest.mark.component("bubblewrap", "valkey", "aws cli")
def test_the_page_prints_what_it_shows(tmp_path: Path) -> None:
    os.symlink(ROOT / ".venv", tmp_path / ".venv")
    shown = steps(PAGE)
    assert len(shown) > 10
    with Platform("sandbox") as platform:
        commands = [step.command.replace(DATA_DIR, str(platform.data_dir)) for step in shown]
        activated = ["source .venv/bin/activate", *commands]
        said = in_one_shell(tmp_path, platform, activated)[1:]
    wrong = [
        "\n".join([f"$ {step.command}", "--- docs/moving.md shows", *step.output, "--- it printed", words])
        for step, words in zip(shown, said, strict=True)
        if not step.fits(words)
    ]
    assert not wrong, "\n".join(wrong)
