"""`python -m samovar.supervisor`: what `samovar up` becomes.

Settings come from the environment alone; `samovar up` has put its flags and the settings file there. A
process of its own holds what supervising and its children take, while the command line has loaded much else.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from samovar.errors import StartRefused
from samovar.settings import Settings, load
from samovar.supervisor import data_dir, output, platform
from samovar.supervisor.banner import banner
from samovar.supervisor.first_call import FirstCalls
from samovar.supervisor.launch import Report
from samovar.supervisor.state import PlatformState
from samovar.supervisor.table import gateway_names, worker_names

REFUSED_STATUS = 3
INTERRUPTED_STATUS = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a platform until a signal ends it.

    Returns 0 after a clean stop, 3 when the start is refused, 130 when Ctrl-C came before there was anything to stop.
    """
    options = _parser().parse_args(arguments)
    try:
        settings = load(os.environ)
        return asyncio.run(_run(settings, options))
    except StartRefused as refusal:
        _report(options.report_fd, Report(refused=refusal.message))
        return REFUSED_STATUS
    except KeyboardInterrupt:  # before the supervisor hears signals itself; what was begun has been undone
        return INTERRUPTED_STATUS


async def _run(settings: Settings, options: argparse.Namespace) -> int:
    detached = options.report_fd is not None
    if detached:
        data_dir.prepare(settings)
        children = ["store", "invoker", *gateway_names(settings.gateway_workers), *worker_names(settings.workers)]
        output.say_to_files(data_dir.platform_logs_dir(settings), settings.log_level, children)
    else:
        output.say_to_terminal(settings.log_level)
    calls = FirstCalls(options.folders)

    def on_ready(state: PlatformState) -> None:
        if detached:
            _report(options.report_fd, Report())
        else:
            print(banner(state, detached=False, colour=output.wants_colour()), flush=True)  # noqa: T201 - what `up` is asked for
        calls.begin(state.url)

    async with calls:
        await platform.run(settings, on_ready)
    return 0


def _report(fd: int | None, report: Report) -> None:
    """Tell the person at the terminal, or the process that waits for a detached start."""
    if fd is None:
        if report.refused:
            sys.stderr.write(f"error: {report.refused}\n")
        return
    with os.fdopen(fd, "wb") as pipe:
        pipe.write(msgspec.json.encode(report))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m samovar.supervisor", description="The whole platform, on one box.")
    parser.add_argument("--report-fd", type=int, help="detached: descriptor to say `ready` or the refusal to")
    parser.add_argument(
        "--with", dest="folders", type=Path, action="append", default=[], help="folder to deploy and call"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
