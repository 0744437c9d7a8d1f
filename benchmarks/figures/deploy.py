"""From a change to its first answer, and from nothing to a platform that answers."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from benchmarks.lab import Lab, Plan, zipped
from benchmarks.results import Measured
from benchmarks.wrk import CannotMeasure

SOURCE = "def handler(event, context):\n    return {number}\n"
EDITING_S = 2.0
"""Between two changes, as short as anybody edits: by then the environment of the one before has been replaced."""
MANIFEST = 'name = "changing"\nhandler = "app.handler"\n'


def measure(plan: Plan) -> Iterator[Measured]:
    """Each change is another number in the one file of a function."""
    ups: list[float] = []
    for _ in range(plan.size(5, 1)):
        began = time.perf_counter()
        with Lab.running(plan.isolation):
            ups.append(time.perf_counter() - began)
    with Lab.running(plan.isolation) as lab, tempfile.TemporaryDirectory() as folder:
        changing = _Changing(lab, Path(folder))
        changing.by_cli()
        yield Measured(
            figure="deploy.first-answer",
            isolation=plan.isolation,
            values=[changing.by_cli() for _ in range(plan.size(5, 2))],
        )
        yield Measured(
            figure="deploy.api",
            isolation=plan.isolation,
            values=[changing.by_api() for _ in range(plan.size(5, 2))],
        )
    yield Measured(figure="deploy.up", isolation=plan.isolation, values=ups)


class _Changing:
    """A function of one file that is changed and called."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self._lab = lab
        self._folder = folder
        self._number = 0
        (folder / "function.toml").write_text(MANIFEST)

    def by_cli(self) -> float:
        """Seconds, as somebody sees them who types the command."""
        self._change()
        began = time.perf_counter()
        self._lab.platform.cli("deploy", self._folder)
        self._answers()
        return time.perf_counter() - began

    def by_api(self) -> float:
        """Seconds from the upload on."""
        self._change()
        began = time.perf_counter()
        self._lab.client.update_code("changing", zipped(SOURCE.format(number=self._number)))
        self._answers()
        return time.perf_counter() - began

    def _change(self) -> None:
        time.sleep(EDITING_S)
        self._number += 1
        (self._folder / "app.py").write_text(SOURCE.format(number=self._number))
        shutil.rmtree(self._folder / "__pycache__", ignore_errors=True)

    def _answers(self) -> None:
        # Nothing is verified over http, and loading the authorities' certificates would take longer than the call.
        got = httpx.get(f"{self._lab.endpoint}/fn/changing/", trust_env=False, verify=False)
        if got.text != str(self._number):
            raise CannotMeasure(f"the changed function answered {got.status_code} {got.text!r}, not {self._number}")
