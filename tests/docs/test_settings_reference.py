"""docs/settings.md says what the settings are, and `samovar up` has a flag for each."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from samovar.cli import app
from samovar.settings import Settings, describe
from samovar.supervisor import reference

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == reference.page(), "run `python -m samovar.supervisor.reference > docs/settings.md`"


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_every_setting_says_what_it_does_in_one_sentence(name: str) -> None:
    assert describe(name).endswith((".", ")"))
    assert f"| `{name}` |" in PAGE.read_text()


def test_up_has_a_flag_for_every_setting() -> None:
    shown = CliRunner(env={"COLUMNS": "300", "NO_COLOR": "1"}).invoke(app, ["up", "--help"]).output
    assert [name for name in Settings.__struct_fields__ if f"--{name.replace('_', '-')} " not in shown] == []
