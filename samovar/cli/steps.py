"""The steps of a long command, drawn on stderr while they run and gone when it ends."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn

from samovar.cli.output import stderr

_WIDEST_TEXT = 60


class Steps:
    """Progress bars for what can be counted, the last line said for what cannot."""

    def __init__(self, *, shown: bool) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<12}"),
            BarColumn(bar_width=24),
            DownloadColumn(),
            TextColumn("{task.fields[line]}"),
            console=stderr(),
            transient=True,
            disable=not shown,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def count(self, name: str) -> Callable[[int, int], None]:
        """A step that is told how much of how much is done."""
        task = self._progress.add_task(name, total=None, visible=False, line="")

        def update(done: int, total: int) -> None:
            self._progress.update(task, completed=done, total=total, visible=True)

        return update

    def talk(self, name: str) -> Callable[[str], None]:
        """A step that says what it does."""
        task = self._progress.add_task(name, total=None, visible=False, line="")

        def update(line: str) -> None:
            self._progress.update(task, line=line[:_WIDEST_TEXT], visible=True)

        return update
