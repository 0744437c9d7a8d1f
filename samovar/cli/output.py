"""What commands print: results on stdout, everything else on stderr. Rich honours NO_COLOR and pipes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # rich takes longer to import than a warm invocation takes; who draws, imports it
    from rich.console import Console
    from rich.table import Table

_UNLIMITED_WIDTH = 200
"""Columns of a table that no terminal limits."""


def stdout(*, wraps: bool = False) -> Console:
    """Where results go. With `wraps` they are fitted to the terminal, for prose.

    Else a narrow terminal wraps the lines itself, as those of `ps`: no name and no id is cut, which somebody may copy.
    """
    from rich.console import Console

    return Console(highlight=False, width=None if wraps and sys.stdout.isatty() else _UNLIMITED_WIDTH)


def stderr() -> Console:
    """Where progress, logs and errors go."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """One JSON document on stdout: indented for a person, on one line for a program."""
    import msgspec

    encoded = msgspec.json.encode(value)
    text = msgspec.json.format(encoded, indent=2 if sys.stdout.isatty() else -1)
    sys.stdout.write(text.decode() + "\n")


def short_time(seconds: float) -> str:
    """A length of time in one unit, for tables: `8s`, `12m`, `3h`, `5d`."""
    for limit, unit, length in ((60, "s", 1), (3600, "m", 60), (86_400, "h", 3600)):
        if seconds < limit:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds / 86_400:.0f}d"


def megabytes(size: int) -> str:
    """A size in bytes, in MB of 2**20 bytes, or KB when it is small."""
    return f"{size / 2**20:.1f} MB" if size >= 2**20 else f"{max(size, 1) / 1024:.1f} KB"


def table(*headings: str, prose: bool = False) -> Table:
    """A table without lines, for people and for `awk`; a heading that begins with > aligns to the right.

    With `prose` the last column holds sentences, and wraps.
    """
    from rich.table import Table

    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        drawn.add_column(
            heading.removeprefix(">"), justify="right" if heading.startswith(">") else "left", no_wrap=True
        )
    if prose:
        drawn.columns[-1].no_wrap, drawn.columns[-1].overflow = False, "fold"
    return drawn
