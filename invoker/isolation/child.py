"""A child process of ours, watched through a pidfd: no thread, no signal handler, no race about its pid."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_KEPT_ERRORS = 4096
"""Bytes of stderr kept to explain an exit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to start."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    inherited: Sequence[int] = ()
    """Descriptors the child keeps, under the same numbers."""
    directory: Path | None = None
    session: bool = False
    """Whether the child leads a session of its own, away from the terminal and its Ctrl-C."""


def spawn(command: Command) -> subprocess.Popen[bytes]:
    """Start `command` without waiting for it. Raises `OSError`.

    Safe in any thread; mind that `--die-with-parent` means the thread that called this.
    """
    return subprocess.Popen(
        command.arguments,
        env=command.environment,
        pass_fds=command.inherited,
        cwd=command.directory,
        start_new_session=command.session,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


class Child:
    """A started process whose end can be awaited by many. Made in the event loop's thread."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._pidfd = os.pidfd_open(process.pid)
        self._errors = bytearray()
        self._stderr = process.stderr
        self._ended: asyncio.Future[int] = self._loop.create_future()
        os.set_blocking(self._stderr.fileno(), False)
        self._loop.add_reader(self._stderr.fileno(), self._on_stderr)
        self._loop.add_reader(self._pidfd, self._on_end)

    @property
    def pid(self) -> int:
        """Its pid; only meaningful while it runs."""
        return self._process.pid

    @property
    def errors(self) -> str:
        """The last words it wrote to stderr."""
        return bytes(self._errors).decode(errors="replace").strip()

    @property
    def ended(self) -> bool:
        """Whether it has ended and been reaped."""
        return self._ended.done()

    async def wait(self) -> int:
        """Its return code, as `subprocess` counts: negative when a signal ended it."""
        return await asyncio.shield(self._ended)

    def kill(self) -> None:
        """Send SIGKILL, unless it has ended."""
        if not self.ended:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _on_end(self) -> None:
        self._loop.remove_reader(self._pidfd)
        code = self._process.wait()
        self._on_stderr()
        self._stop_reading()
        os.close(self._pidfd)
        self._ended.set_result(code)

    def _on_stderr(self) -> None:
        if self._stderr.closed:
            return
        try:
            data = os.read(self._stderr.fileno(), 65536)
        except BlockingIOError:
            return
        if data:
            self._errors += data
            del self._errors[:-_KEPT_ERRORS]
        else:
            self._stop_reading()

    def _stop_reading(self) -> None:
        if not self._stderr.closed:
            self._loop.remove_reader(self._stderr.fileno())
            self._stderr.close()


def in_words(code: int, errors: str) -> str:
    """How a process ended, for a person; understands both -9 and a shell's 128 + 9."""
    number = -code if code < 0 else code - 128
    try:
        words = f"killed by {signal.Signals(number).name}" if number > 0 else f"exited with status {code}"
    except ValueError:
        words = f"exited with status {code}"
    return f"{words}: {errors}" if errors else words


def readable(file: int, within_s: float) -> bool:
    """Whether there is something to read, or an end, within so many seconds. Blocks; for threads.

    `select.select` would refuse descriptors above 1,023, and an invoker with many environments has such.
    """
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return bool(poll.poll(max(0.0, within_s) * 1000))
