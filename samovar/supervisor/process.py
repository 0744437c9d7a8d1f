"""Starting a process that cannot outlive the supervisor, signalling it, and telling how it ended."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from samovar.errors import StartRefused

log = logging.getLogger("samovar.up")


def dies_with_parent(argv: tuple[str, ...]) -> tuple[str, ...]:
    """The command wrapped so that the kernel sends it SIGTERM when the supervisor dies, even by SIGKILL.

    `setpriv` of util-linux sets PR_SET_PDEATHSIG (prctl(2)) and then becomes the command, so no process is added.
    Raises `StartRefused` where it is missing.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise StartRefused("the command `setpriv` is missing; install the package util-linux")
    return (setpriv, "--pdeathsig", "TERM", "--", *argv)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to execute: arguments, environment, working folder, and inherited descriptors."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    """Not the person's: an `invoker/` or `json.py` lying there must not be imported in place of ours."""
    pass_fds: tuple[int, ...] = ()


async def spawn(command: Command, output: int) -> Process:
    """Start a command in a session of its own, with both its outputs written to the descriptor `output`."""
    return await asyncio.create_subprocess_exec(
        *dies_with_parent(command.argv),
        env=dict(command.environment),
        cwd=command.folder,
        stdin=DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=command.pass_fds,
        start_new_session=True,  # Ctrl-C of the terminal reaches the supervisor alone
    )


def send(process: Process, number: signal.Signals) -> None:
    """Signal a process unless it has ended."""
    if process.returncode is None:
        process.send_signal(number)


def kill_session(process: Process) -> None:
    """SIGKILL to a process and to every other one of its process group, which bears its pid."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        log.debug("nothing is left of process group %d", process.pid)


def describe_exit(code: int) -> str:
    """How a process ended, in words; `code` as `subprocess` reports it."""
    if code >= 0:
        return f"exited with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " (by hand, or because the host ran out of memory)" if -code == signal.SIGKILL else ""
    return f"was killed by {name}{hint}"
