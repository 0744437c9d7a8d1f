"""A whole platform for tests: a real `samovar up` on a data directory of its own.

with Platform("sandbox", idle_ttl_s=5) as platform:
    platform.cli("deploy", "functions/hello-python")
    httpx.get(f"{platform.endpoint}/fn/hello-python/")
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from samovar.settings import Settings
from samovar.supervisor import state

ROOT = Path(__file__).parents[1]
SAMOVAR = Path(sys.executable).parent / "samovar"
BASE_IMAGE = "samovar-base:bookworm"
"""What docker environments are built from in tests; `scripts/ensure-components base-image` makes it."""
STARTS_WITHIN_S = 120.0
"""Once per machine, an image of the runtime is built."""
STOPS_WITHIN_S = 60.0
COMMAND_TAKES_S = 180.0
"""A deploy installs requirements."""
PATIENCE: dict[str, str | float] = {"queue_timeout_s": 60, "start_timeout_s": 60}
"""A busy machine starts environments late: no call is refused for it that a test wants answered."""
LOG_LINES_SHOWN = 60


class Platform:
    """One platform. A context manager; `start` and `stop` by hand keep its data, as a reboot does."""

    def __init__(self, isolation: str, **settings: str | float) -> None:
        # Not pytest's tmp_path: unix sockets must have short names.
        self.data_dir = Path(tempfile.mkdtemp(prefix="samovar-test-"))
        self.isolation = isolation
        self.endpoint = ""
        """Where it answers, once it has been started."""
        usual = {"port": 0, "isolation": isolation, "base_image": BASE_IMAGE, "data_dir": self.data_dir}
        chosen = PATIENCE | usual | settings
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SAMOVAR_")}
        self.environment = inherited | {f"SAMOVAR_{name.upper()}": str(value) for name, value in chosen.items()}
        self.process: subprocess.Popen[bytes] | None = None
        """The supervisor."""

    def __repr__(self) -> str:
        return f"<Platform {self.isolation} on {self.data_dir} at {self.endpoint or '?'}>"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                sys.stderr.write(self.logs())  # which fails where nobody reads it any more
        finally:
            self._leave()

    def _leave(self) -> None:
        try:
            self.stop()
        finally:
            self.remove()

    def start(self) -> None:
        """Start it in the foreground of a process of its own, and wait until it is ready."""
        with self._said.open("ab") as said:
            self.process = subprocess.Popen(
                [SAMOVAR, "up"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        path = state.path_of(Settings(data_dir=str(self.data_dir)))
        deadline = time.monotonic() + STARTS_WITHIN_S
        while True:
            found = state.read(path)
            if found is not None and found.pid == self.process.pid and found.ready:
                self.endpoint = found.url
                self.environment["SAMOVAR_ENDPOINT"] = found.url
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                status = self.process.poll()
                self._end()
                raise AssertionError(f"{self!r} did not start (status {status})\n{self.logs()}")
            time.sleep(0.02)

    def cli(
        self, *arguments: str | Path, cwd: Path = ROOT, given: str | None = None, fails_with: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run `samovar ARGUMENTS` against it and hold it to its exit code; `given` is its standard input."""
        done = subprocess.run(
            [SAMOVAR, *arguments],
            env=self.environment,
            cwd=cwd,
            input="" if given is None else given,
            capture_output=True,
            text=True,
            timeout=COMMAND_TAKES_S,
            check=False,
        )
        command = " ".join(map(str, arguments))
        assert done.returncode == fails_with, (
            f"`samovar {command}` ended with {done.returncode}, not {fails_with}\n"
            f"--- stdout\n{done.stdout}--- stderr\n{done.stderr}{self.logs()}"
        )
        return done

    def stop(self) -> None:
        """Drain and stop it. Raises `AssertionError` when it has to be forced."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._end()
            raise AssertionError(f"{self!r} did not stop within {STOPS_WITHIN_S:.0f} s\n{self.logs()}") from None
        self.process = None
        assert status == 0, f"{self!r} ended with status {status}\n{self.logs()}"

    def logs(self) -> str:
        """The last lines of what its processes and its functions said."""
        text = ""
        for path in (self._said, *sorted(self.data_dir.glob("logs*/**/*"))):
            if path.is_file():
                lines = path.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
                text += f"\n--- {path.relative_to(self.data_dir)}\n" + "\n".join(lines)
        return text + "\n"

    def remove(self) -> None:
        """Forget everything."""
        self._end()
        shutil.rmtree(self.data_dir, ignore_errors=True)

    @property
    def _said(self) -> Path:
        return self.data_dir / "up.log"

    def _end(self) -> None:
        """End whatever is left of it, at once."""
        if self.process is None:
            return
        if self.process.poll() is None:
            family = psutil.Process(self.process.pid).children(recursive=True)
            self.process.kill()
            for child in family:
                child.kill()
            psutil.wait_procs(family, 10)
        self.process.wait(10)
        self.process = None
