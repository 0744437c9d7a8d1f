"""The steps of a long command, drawn on stderr while they run and gone when it ends."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from samovar.cli.output import stderr

_WIDEST_TEXT = 40
"""With spinner, name and bar it fits a terminal of 80 columns."""


class Steps:
    """Progress bars for what can be counted, the last line said for what cannot."""

    def __init__(self, *, shown: bool) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description:<12}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[line]}"),
            console=stderr(),
            transient=True,
            disable=not shown,
        )
        self._current: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def count(self, name: str) -> Callable[[int, int], None]:
        """A step that is told how many bytes of how many are done."""
        task = self._add(name)

        def update(done: int, total: int) -> None:
            self._turn_to(task)
            line = f"{done / 2**20:.1f} of {total / 2**20:.1f} MB"
            self._progress.update(task, completed=done, total=total, line=line)

        return update

    def talk(self, name: str) -> Callable[[str], None]:
        """A step that says what it does."""
        task = self._add(name)

        def update(line: str) -> None:
            self._turn_to(task)
            self._progress.update(task, line=line[:_WIDEST_TEXT])

        return update

    def _add(self, name: str) -> TaskID:
        return self._progress.add_task(name, total=None, visible=False, line="")

    def _turn_to(self, task: TaskID) -> None:
        """Show a step, and the one before it as done."""
        if self._current is not None and self._current != task:
            self._progress.update(self._current, total=1, completed=1, line="done")
        self._current = task
        self._progress.update(task, visible=True)
