"""Progress of a long command: drawn when it is worth it, else not even loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

from samovar.cli.steps import Steps

QUICK = """
import sys
from samovar.cli.steps import Steps
with Steps(shown=True, patience_s=3600) as steps:
    steps.count("packing")(1, 2)
    steps.talk("requirements")("resolved")
print("rich" in sys.modules)
"""


def test_what_is_done_at_once_is_not_drawn_and_rich_not_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", QUICK], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_what_takes_its_time_is_drawn_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich draws for terminals alone
    with Steps(shown=True, patience_s=0) as steps:
        steps.talk("requirements")("resolved 3 packages")
        steps.count("packing")(2**20, 2**21)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "requirements" in shown.err
    assert "1.0 of 2.0 MB" in shown.err


def test_nothing_is_drawn_for_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    with Steps(shown=False, patience_s=0) as steps:
        steps.count("uploading")(1, 1)
    assert capsys.readouterr() == ("", "")
