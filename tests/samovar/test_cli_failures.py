"""Every kind of error: its exit code, and the three lines a person reads."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner, Result

from samovar.cli.failures import CommandGroup
from samovar.deploy.build import BuildFailed
from samovar.errors import (
    EnvironmentFailure,
    ResourceConflict,
    SamovarError,
    ServiceFailure,
    ServiceUnavailable,
    SettingError,
    TooManyRequests,
)


def raising(error: BaseException) -> Result:
    """The end of a command that raises."""
    app = typer.Typer(cls=CommandGroup)

    @app.callback()
    def root() -> None:
        """One command below it, so that it is a group."""

    @app.command()
    def fail() -> None:
        raise error

    return CliRunner().invoke(app, ["fail"])


@pytest.mark.parametrize(
    ("error", "code", "fault", "then"),
    [
        (BuildFailed("no such package"), 2, "what was asked for", "correct it"),
        (ResourceConflict("busy"), 2, "what was asked for", "wait for the other change"),
        (TooManyRequests("Rate Exceeded."), 2, "more calls than", "samovar ps"),
        (TooManyRequests("Rate Exceeded.", retry_after=1.5), 2, "more calls than", "try again in 1.5 s"),
        (SettingError("port", 0, "from 1"), 2, "a setting", "change it"),
        (EnvironmentFailure("no box"), 3, "the platform or its host", "what this host can run"),
        (ServiceUnavailable("away"), 3, "the platform or its host", "which part is missing"),
        (ServiceFailure("oops"), 3, "the platform or its host", "samovar status"),
        (SamovarError("oops"), 3, "the platform or its host", "samovar status"),
    ],
)
def test_an_error_is_told_once_in_three_lines(error: SamovarError, code: int, fault: str, then: str) -> None:
    result = raising(error)
    assert (result.exit_code, result.stdout) == (code, "")
    what, whose, following = result.stderr.splitlines()
    assert what == f"error: {error.message}"
    assert whose.startswith("fault: ")
    assert fault in whose
    assert following.startswith("next:  ")
    assert then in following


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), typer.Abort()])
def test_an_interruption_is_quiet(interruption: BaseException) -> None:
    result = raising(interruption)
    assert (result.exit_code, result.output) == (130, "")
