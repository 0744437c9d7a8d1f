"""The command line beside a platform in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from samovar.cli import app
from tests.samovar.fake_platform import FakePlatform, Run, serving


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[FakePlatform, str]]:
    platform = FakePlatform()
    with serving(platform) as address:
        yield platform, address


@pytest.fixture
def platform(served: tuple[FakePlatform, str]) -> FakePlatform:
    served[0].__init__()  # type: ignore[misc]  # one server for all tests, a fresh platform for each
    return served[0]


@pytest.fixture
def run(
    platform: FakePlatform, served: tuple[FakePlatform, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("SAMOVAR_ENDPOINT", served[1])

    def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin)

    return run


@pytest.fixture
def orders(run: Run) -> Path:
    """The folder of a new function that is not deployed yet."""
    assert run("init", "orders").exit_code == 0
    return Path("orders")


@pytest.fixture
def deployed(run: Run, orders: Path, platform: FakePlatform) -> Path:
    assert run("deploy", "orders").exit_code == 0
    platform.calls.clear()
    return orders
