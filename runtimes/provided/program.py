"""The function's own program: where it is, how it is started, and how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

COMMAND_VARIABLE = "SAMOVAR_COMMAND"
"""A JSON list: what to start, where that is not a `bootstrap`."""
DIRECTORY_VARIABLE = "SAMOVAR_DIRECTORY"
"""Where to start it. It is told of container images, whose own variables the program gets as well."""
_OURS = "SAMOVAR_"


def error_body(error_type: str, message: str) -> bytes:
    """An error as the caller of the function sees it."""
    return json.dumps({"errorType": error_type, "errorMessage": message}).encode()


def variables(own: Mapping[str, str]) -> dict[str, str]:
    """The program's environment: the function's variables, over those of its image, over what Lambda sets anyway."""
    if DIRECTORY_VARIABLE not in os.environ:
        return dict(own)
    image = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {"LAMBDA_TASK_ROOT": "/var/task", "LAMBDA_RUNTIME_DIR": "/var/runtime", **image, **own}


class CannotStart(Exception):
    """There is nothing to start, or it cannot be; `name` is Lambda's for it."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name

    def body(self) -> bytes:
        """As the caller of the function sees it."""
        return error_body(self.name, f"Error: {self}")


def find(environment: Mapping[str, str]) -> list[str]:
    """What is to be started: what the keeper was told, else the function's or a layer's `bootstrap`.

    Raises `CannotStart`.
    """
    if told := os.environ.get(COMMAND_VARIABLE):
        command: list[str] = json.loads(told)
        return command
    if DIRECTORY_VARIABLE in os.environ:
        raise CannotStart("Runtime.InvalidEntrypoint", "the image has no entry point and no command")
    places = [f"{environment.get('LAMBDA_TASK_ROOT', '/var/task')}/bootstrap", "/opt/bootstrap"]
    for place in places:
        if os.path.isfile(place):
            return [place]
    raise CannotStart("Runtime.InvalidEntrypoint", f"Couldn't find valid bootstrap(s): [{' '.join(places)}]")


class Program:
    """A running one."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], directory: str, output: int | None = None
    ) -> None:
        """Start it. Its output goes to the descriptor `output`, else where ours does. Raises `CannotStart`."""
        if not os.path.isdir(directory):
            raise CannotStart("Runtime.InvalidWorkingDir", f"chdir {directory}: no such file or directory")
        try:
            self._process = subprocess.Popen(
                command, env=environment, cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise CannotStart("Runtime.InvalidEntrypoint", f"fork/exec {command[0]}: {reason}") from error
        self._ended = asyncio.Event()

    def on_end(self, tell: Callable[[int], None]) -> None:
        """Have `tell` called with its return code, as `subprocess` counts; needs `watch_programs`."""
        self._tell = tell
        _running.append(self)
        self.look()

    def look(self) -> None:
        """Take note if it has ended."""
        code = self._process.poll()
        if code is not None:
            _running.remove(self)
            self._ended.set()
            self._tell(code)

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    async def ended_within(self, seconds: float) -> None:
        """Wait for its end, and kill it if that does not come."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()
            return
        self._process.kill()


_running: list[Program] = []
"""Those whose end somebody wants to hear of."""


def watch_programs() -> None:
    """Look after programs whenever a child ends. By signal, because not every kernel (gVisor's) has pidfd_open(2)."""

    def look() -> None:
        for program in list(_running):
            program.look()

    asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, look)


def end_like(code: int) -> NoReturn:
    """End this process as another one ended, so that whoever looks after us reports that."""
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 1)
