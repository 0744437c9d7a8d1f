"""The load generator: wrk, with its result as a record."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import msgspec

from benchmarks.signing import signature
from samovar.access.sigv4 import Credentials

SCRIPT = Path(__file__).parent / "lua" / "call.lua"
_MARK = "RESULT "


class CannotMeasure(Exception):
    """A figure cannot be had here; the message says why, and what to do."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What wrk has seen."""

    requests: int
    duration_us: int
    p50_us: float
    p99_us: float
    bad_status: int
    """Answers whose status was 400 or above."""
    broken: int
    """Connections that failed, and requests that timed out."""

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.duration_us * 1e6

    @property
    def p50_ms(self) -> float:
        """Median latency."""
        return self.p50_us / 1000

    @property
    def p99_ms(self) -> float:
        """Latency that one in a hundred exceeds."""
        return self.p99_us / 1000


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to load, and how."""

    url: str
    connections: int
    seconds: int
    host: str = ""
    """The Host header, where it is not the URL's."""
    body: Path | None = None
    """A file to POST; without one, the method is GET."""
    headers: dict[str, str] = {}
    """More of them, with lower-case names."""
    key: Credentials | None = None
    """What to sign a POST with; the signature is made with the command."""
    service: str = "lambda"
    """Whose API it is."""

    def command(self) -> list[str]:
        """wrk's command line. One thread: it saturates more than two cores of Python, and leaves them the rest."""
        command = ["wrk", "-t1", f"-c{self.connections}", f"-d{self.seconds}s", "--timeout", "20s", "-s", str(SCRIPT)]
        if self.host:
            command += ["-H", f"Host: {self.host}"]
        if self.key is not None and self.body is not None:
            signed = signature(self.url, self.body.read_bytes(), self.key, self.headers, self.service)
            command += [word for name, value in signed.items() for word in ("-H", f"{name}: {value}")]
        command += [word for name, value in self.headers.items() for word in ("-H", f"{name}: {value}")]
        command.append(self.url)
        return command if self.body is None else [*command, "--", str(self.body)]


def ensure() -> None:
    """Raise `CannotMeasure` where wrk is missing."""
    if shutil.which("wrk") is None:
        raise CannotMeasure(
            "wrk, the load generator, is not installed. Install it with `apt install wrk` (Debian, Ubuntu), "
            "`dnf install wrk` (Fedora), or `scripts/ensure-components wrk`."
        )


def run(job: Job) -> Load:
    """Load a server. Raises `CannotMeasure` when anything but good answers came back."""
    done = subprocess.run(job.command(), capture_output=True, text=True, timeout=job.seconds + 60, check=False)
    load = parse(done.stdout)
    if load is None:
        raise CannotMeasure(f"wrk on {job.url} ended with {done.returncode}: {done.stderr or done.stdout}")
    if load.bad_status or load.broken or not load.requests:
        raise CannotMeasure(
            f"{job.url}: of {load.requests} requests {load.bad_status} had a bad status and {load.broken} broke"
        )
    return load


def parse(output: str) -> Load | None:
    """The result in what wrk printed; `None` without one."""
    for line in output.splitlines():
        if line.startswith(_MARK):
            return msgspec.json.decode(line.removeprefix(_MARK), type=Load)
    return None
