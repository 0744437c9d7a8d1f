"""A whole platform for a test: `samovar up` on a folder and a port of its own, and nothing of it left afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import psutil

SAMOVAR = (sys.executable, "-P", "-c", "from samovar.cli import main; main()")
PATIENCE_S = 120.0
_PASSED_ON = ("PATH", "HOME", "LANG", "XDG_CACHE_HOME")


def samovar(*arguments: str, prefix: Sequence[str] = (), **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, with no settings but those given."""
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | variables
    return subprocess.run(
        [*prefix, *SAMOVAR, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        cwd="/",
    )


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for something another process does; what it was, when it does not come about."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:.0f} s: {what}"
        time.sleep(0.05)
    return found


class PlatformBox:
    """The data directory of a test and the platform on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""

    def up(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """`samovar up --detach`; on success `url` is set."""
        done = samovar("up", "--detach", *self._where(), *arguments, **variables)
        if done.returncode == 0:
            self.url = self.status()["url"]
        return done

    @contextlib.contextmanager
    def foreground(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """`samovar up` as a child of the test, ready."""
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        command = [*SAMOVAR, "up", *self._where(), *arguments]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd="/") as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    if "Stop " in line:
                        break
                self.url = self.status()["url"]
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
                process.stdout.read()

    def down(self) -> subprocess.CompletedProcess[str]:
        """`samovar down`."""
        return samovar("down", "--data-dir", str(self.folder))

    def status(self) -> dict[str, Any]:
        """`samovar status --json`."""
        found: dict[str, Any] = json.loads(samovar("status", "--json", "--data-dir", str(self.folder)).stdout)
        return found

    def process(self, name: str) -> dict[str, Any]:
        """What the status says of one process."""
        return next(process for process in self.status()["processes"] if process["name"] == name)

    def healthy(self) -> bool:
        """Whether a gateway answers."""
        try:
            return httpx.get(f"{self.url}/samovar/v1/health", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def processes(self) -> list[psutil.Process]:
        """Every process on this host that names the folder in its command or its environment, but the test itself."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                words = [*process.cmdline(), *process.environ().values()]
                if process.pid != os.getpid() and any(str(self.folder) in word for word in words):
                    found.append(process)
        return found

    def sockets(self) -> list[str]:
        """Sockets below the folder."""
        return [str(path) for path in self.folder.rglob("*") if path.is_socket()]

    def mounts(self) -> list[str]:
        """Mounts below the folder."""
        return [line for line in Path("/proc/mounts").read_text().splitlines() if str(self.folder) in line]

    def assert_nothing_left(self) -> None:
        """No process, socket or mount of the platform."""
        assert self.processes() == []
        assert self.sockets() == []
        assert self.mounts() == []

    def _where(self) -> tuple[str, ...]:
        return ("--data-dir", str(self.folder), "--port", "0", "--isolation", "sandbox", "--drain-timeout-s", "10")


@contextlib.contextmanager
def platform_box() -> Iterator[PlatformBox]:
    """A box; whatever still runs at the end of the test is ended."""
    with TemporaryDirectory(prefix="box-") as folder:
        box = PlatformBox(Path(folder) / "data")
        try:
            yield box
        finally:
            box.down()
            for process in box.processes():
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
