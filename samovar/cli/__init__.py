"""`samovar`: the command line. A client of the platform's API, and of nothing else.

Modules of this package import what is heavy (httpx, rich, uv) inside their commands: `samovar --help`
and the way to an invocation stay short.
"""

from __future__ import annotations

import atexit
import io
import sys
from typing import Annotated

import typer

from samovar.cli import (
    buckets,
    delete,
    deploy,
    dev,
    events,
    functions,
    init,
    invoke,
    keys,
    logs,
    mappings,
    platform,
    ps,
    queues,
    schedule,
    stacks,
    upload,
    usage,
    why,
)
from samovar.cli.failures import CommandGroup
from samovar.process import heap

app = typer.Typer(
    name="samovar",
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Keep functions hot on your own box.",
    epilog="Exit codes: 0 done, 1 the function failed, 2 the command or its input, 3 the platform, 130 interrupted.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"samovar {version('samovar')}")
        raise typer.Exit


@app.callback()
def _samovar(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Keep functions hot on your own box."""


_COMMANDS = (
    platform,
    init,
    deploy,
    dev,
    invoke,
    logs,
    ps,
    functions,
    usage,
    why,
    delete,
    stacks,
    keys,
    events,
    schedule,
    mappings,
    buckets,
    upload,
    queues,
)
for _module in _COMMANDS:
    _module.register(app)


def main() -> None:
    """Run the command line this process was started with."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal of another encoding gets a substitute for what it cannot show, not a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    heap.look_rarely()
    atexit.register(heap.leave)
    # httpx imports its own command line (click, rich, pygments) when it can; that is half of its import time.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # how Python marks what cannot be imported
    app()
