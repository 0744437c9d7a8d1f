"""Starting a process that cannot outlive the supervisor, signalling it, and telling how it ended."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from samovar.errors import StartRefused
from samovar.supervisor import fork

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


class Startable(Protocol):
    """What can be started as a process, again and again."""

    def start(self, output: int) -> Process:
        """Start it, with both its outputs written to the descriptor `output`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to execute: arguments, environment, working folder."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path

    def start(self, output: int) -> Process:
        """Execute it in a session of its own, with both its outputs written to the descriptor `output`."""
        started = subprocess.Popen(
            dies_with_parent(self.argv),
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C of the terminal reaches the supervisor alone
        )
        return Process(started.pid, started.wait)


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A Python module of ours to run in a fork of this process, as `python -m` would."""

    name: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str]
    folder: Path
    pass_fds: tuple[int, ...] = ()
    """Descriptors it is given, under the same numbers."""

    def start(self, output: int) -> Process:
        """As `Command.start`."""
        child = fork.Child(
            argv=(self.name, *self.arguments),
            environment=self.environment,
            folder=self.folder,
            output=output,
            pass_fds=self.pass_fds,
        )
        return Process(*fork.start(child))


class Process:
    """A child of this process. A pidfd (pidfd_open(2)) tells the event loop when it has ended, without a thread."""

    def __init__(self, pid: int, reap: Callable[[], int]) -> None:
        """`reap` is called once, when the child has ended, and returns its status as `subprocess` reports it."""
        self.pid = pid
        self._reap = reap
        self._pidfd = os.pidfd_open(pid)
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = loop.create_future()
        loop.add_reader(self._pidfd, self._on_end)

    async def wait(self) -> int:
        """Its exit status; negative is the number of the signal that killed it."""
        return await asyncio.shield(self._ended)

    def send(self, number: signal.Signals) -> None:
        """Signal it unless it has ended."""
        if not self._ended.done():
            signal.pidfd_send_signal(self._pidfd, number)

    def kill_session(self) -> None:
        """SIGKILL to it and to every other process of its group, which bears its pid."""
        self.send(signal.SIGKILL)  # also when it was forked this moment and has no group yet
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            log.debug("nothing is left of process group %d", self.pid)

    def _on_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._ended.set_result(self._reap())


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
