"""docs/cli.md and docs/errors.md say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from samovar.errors import SamovarError, StartRefused
from tests.docs import reference


@pytest.mark.parametrize("path", reference.PAGES, ids=lambda path: path.name)
def test_the_page_is_up_to_date(path: Path) -> None:
    assert path.read_text() == reference.PAGES[path](), "run `python -m tests.docs.reference`"


@pytest.mark.parametrize("name", reference.commands())
def test_every_command_says_what_it_and_its_options_do(name: str) -> None:
    page = reference.CLI_PAGE.read_text()
    command = reference.commands()[name]
    assert f"## samovar {name}\n\n{command.help.splitlines()[0].strip()}" in page
    for parameter in command.params:
        assert parameter.help, parameter.name
        assert all(f"`{option}`" in page for option in parameter.opts if option.startswith("-"))


@pytest.mark.parametrize("kind", reference.raised_errors(), ids=lambda kind: kind.__name__)
def test_every_error_is_listed_with_its_status_and_name(kind: type[SamovarError]) -> None:
    page = reference.ERRORS_PAGE.read_text()
    expected = " | |" if issubclass(kind, StartRefused) else f" {kind.status} | `{kind.aws_name}` |"
    assert f"| `{kind.__name__}` |{expected} " in page
