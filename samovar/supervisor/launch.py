"""From the command line to a supervisor: in place of this process, or beside it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from samovar.errors import StartRefused
from samovar.settings import PREFIX, Settings
from samovar.supervisor import data_dir

START_TIMEOUT_S = 300.0
"""The sum of what the children may take; past it, something hangs that should not."""


class Report(msgspec.Struct, frozen=True):
    """What a detached supervisor says to whoever started it, once."""

    refused: str = ""
    """Why it did not start; empty when it is ready."""


def fixed_environment(settings: Settings, inherited: Mapping[str, str]) -> dict[str, str]:
    """An environment that fixes every setting: a file edited after the start cannot confuse a restart."""
    return {**inherited, **settings.environment(), f"{PREFIX}CONFIG": os.devnull}


def command(*arguments: str) -> list[str]:
    """The supervisor's command. `-P` keeps modules lying in the current folder from being imported."""
    return [sys.executable, "-P", "-m", "samovar.supervisor", *arguments]


def in_foreground(settings: Settings, folders: Sequence[Path]) -> NoReturn:
    """Become the supervisor: the same pid, terminal and signals, without the memory the command line has taken."""
    arguments = [word for folder in folders for word in ("--with", str(folder))]
    sys.stdout.flush()
    os.execve(sys.executable, command(*arguments), fixed_environment(settings, os.environ))  # noqa: S606 - no shell


def worker(settings: Settings, *, beat: bool) -> NoReturn:
    """Become a worker, and with `beat` the one that runs it."""
    arguments = ["--beat"] if beat else []
    sys.stdout.flush()
    words = [sys.executable, "-P", "-m", "gateway.tasks.worker", *arguments]
    os.execve(sys.executable, words, fixed_environment(settings, os.environ))  # noqa: S606 - no shell


def detached(settings: Settings) -> None:
    """Start a supervisor that outlives this process, and return when it is ready.

    Raises `StartRefused` with its reason when it does not come up; nothing is left running then.
    """
    data_dir.prepare(settings)
    errors = data_dir.platform_logs_dir(settings) / "supervisor.err"
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as report, errors.open("wb") as sink:
        process = subprocess.Popen(
            command("--report-fd", str(write_end)),
            env=fixed_environment(settings, os.environ),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            pass_fds=(write_end,),
            start_new_session=True,
        )
        os.close(write_end)
        try:
            said = report.read() if select.select([report], [], [], START_TIMEOUT_S)[0] else b""
        except KeyboardInterrupt:
            process.send_signal(signal.SIGTERM)
            process.wait()
            raise
    if not said:
        process.send_signal(signal.SIGTERM)
        process.wait()
        raise StartRefused(f"the supervisor ended without a word, or hung; see {errors}")
    refused = msgspec.json.decode(said, type=Report).refused
    if refused:
        process.wait()
        raise StartRefused(refused)
