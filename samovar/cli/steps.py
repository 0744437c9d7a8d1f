"""The steps of a long command, drawn on stderr while they run and gone when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE_S = 0.3
"""What is done by then is not drawn: nobody would see it, and rich takes a tenth of a second to load."""
_WIDEST_TEXT = 40
"""With spinner, name and bar it fits a terminal of 80 columns."""


class Steps:
    """Progress bars for what can be counted, the last line said for what cannot."""

    def __init__(self, *, shown: bool, patience_s: float = PATIENCE_S) -> None:
        self._shown = shown
        self._begin_at = time.monotonic() + patience_s
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._current: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def count(self, name: str) -> Callable[[int, int], None]:
        """A step that is told how many bytes of how many are done."""

        def update(done: int, total: int) -> None:
            if progress := self._drawing():
                line = f"{done / 2**20:.1f} of {total / 2**20:.1f} MB"
                progress.update(self._turn_to(name, progress), completed=done, total=total, line=line)

        return update

    def talk(self, name: str) -> Callable[[str], None]:
        """A step that says what it does."""

        def update(line: str) -> None:
            if progress := self._drawing():
                progress.update(self._turn_to(name, progress), line=line[:_WIDEST_TEXT])

        return update

    def _drawing(self) -> Progress | None:
        """What draws, once there is somebody to see it and something that takes its time."""
        if self._progress is None and self._shown and time.monotonic() >= self._begin_at:
            self._progress = _begun()
        return self._progress

    def _turn_to(self, name: str, progress: Progress) -> TaskID:
        """Show a step, and the one before it as done."""
        if name not in self._tasks:
            self._tasks[name] = progress.add_task(name, total=None, line="")
        task = self._tasks[name]
        if self._current is not None and self._current != task:
            progress.update(self._current, total=1, completed=1, line="done")
        self._current = task
        return task


def _begun() -> Progress:
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    from samovar.cli.output import stderr

    progress = Progress(
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description:<12}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[line]}"),
        console=stderr(),
        transient=True,
    )
    progress.start()
    return progress
