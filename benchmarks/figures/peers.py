"""Other systems with the same handler, on this machine in this run. Each is installed into a folder of its own.

functions-framework and awslambdaric come from PyPI, serverless-offline and workerd from npm. What cannot be
installed, or does not answer, is listed with its reason. None of them meters; workerd alone isolates.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil

from benchmarks import calls, wrk
from benchmarks.calls import Call
from benchmarks.lab import Plan, interleaved
from benchmarks.results import Measured, failed
from benchmarks.statistics import median
from benchmarks.targets import figures_of
from benchmarks.wrk import CannotMeasure, Job

INSTALL_TAKES_S = 300
ANSWERS_WITHIN_S = 60
COLD_STARTS = 5

_FRAMEWORK = "def handler(request):\n    return {'ok': True}\n"
_SERVERLESS = """service: peer
frameworkVersion: "3"
provider:
  name: aws
  runtime: nodejs20.x
plugins: [serverless-offline]
functions:
  echo:
    handler: app.handler
    events:
      - httpApi: {method: get, path: /}
"""
_SERVERLESS_HANDLER = "exports.handler = async () => ({statusCode: 200, body: JSON.stringify({ok: true})})\n"
_WORKERD = """using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .echo)],
  sockets = [(name = "http", address = "127.0.0.1:PORT", http = (), service = "main")],
);
const echo :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "worker.js")],
  compatibilityDate = "2024-01-01",
);
"""
_WORKERD_HANDLER = "export default {async fetch() {return Response.json({ok: true})}}\n"


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A system that was installed: how to start it on a port."""

    command: Callable[[int], list[str]]
    folder: Path
    variables: Mapping[str, str] = {}


def measure(plan: Plan) -> Iterator[Measured]:
    """Warm at 32 connections and at 1, and from the start of the process to the first answer."""
    installers: dict[str, Callable[[Path], Peer]] = {
        "functions-framework": _functions_framework,
        "awslambdaric": _awslambdaric,
        "serverless-offline": _serverless_offline,
        "workerd": _workerd,
    }
    for name, install in installers.items():
        with tempfile.TemporaryDirectory(prefix="samovar-peer-") as folder:
            try:
                yield from _measured(plan, name, install(Path(folder)))
            except (CannotMeasure, OSError, subprocess.SubprocessError) as error:
                mine = [figure for figure in figures_of("peers", "peer") if figure.startswith(f"peers.{name}-")]
                yield from failed(mine, "peer", str(error))


def _measured(plan: Plan, name: str, peer: Peer) -> Iterator[Measured]:
    cold = []
    for _ in range(COLD_STARTS):
        with _running(peer) as (_, first_answer_ms):
            cold.append(first_answer_ms)
    with _running(peer) as (url, _):
        for connections in (32, 1):
            yield _warm(plan, name, url, connections)
    yield Measured(figure=f"peers.{name}-cold", isolation="peer", values=cold)


def _warm(plan: Plan, name: str, url: str, connections: int) -> Measured:
    ours, bare = (Job(url=one, connections=connections, seconds=plan.seconds) for one in (url, f"{plan.reference}/"))
    wrk.run(ours)
    p50s: list[float] = []

    def rate() -> float:
        load = wrk.run(ours)
        p50s.append(load.p50_ms)
        return load.rate

    values, references = interleaved(plan.repeats, rate, lambda: wrk.run(bare).rate)
    return Measured(
        figure=f"peers.{name}-c{connections}",
        isolation="peer",
        values=values,
        references=references,
        detail={"p50_ms": median(p50s)},
    )


@contextmanager
def _running(peer: Peer) -> Iterator[tuple[str, float]]:
    """Start it and wait for its first answer; gives its URL and the milliseconds that took."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url, began = f"http://127.0.0.1:{port}/", time.perf_counter()
    said = peer.folder / "output.log"
    with said.open("wb") as output:
        process = subprocess.Popen(
            peer.command(port), cwd=peer.folder, env=dict(peer.variables) or None, stdout=output, stderr=output
        )
    try:
        while True:
            try:
                calls.one(Call(url))
                break
            except (OSError, EOFError) as error:
                late = time.perf_counter() - began > ANSWERS_WITHIN_S
                if process.poll() is not None or late:
                    raise CannotMeasure(f"it does not answer: {said.read_text()[-400:]}") from error
                time.sleep(0.002)
        yield url, (time.perf_counter() - began) * 1000
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """The process, and whatever it has started."""
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.kill()
    for child in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(family, 10)
    process.wait(10)


def _install(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_TAKES_S, check=False)
    if done.returncode:
        raise CannotMeasure(f"`{' '.join(command[:4])} …` failed: {done.stderr[-300:]}")


def _from_pypi(folder: Path, *packages: str) -> Path:
    """A virtual environment with these packages; its folder of programs."""
    uv = Path(sys.executable).parent / "uv"
    _install([str(uv), "venv", "--quiet", "--python", sys.executable, "venv"], folder)
    _install([str(uv), "pip", "install", "--quiet", "--python", "venv/bin/python", *packages], folder)
    return folder / "venv" / "bin"


def _from_npm(folder: Path, *packages: str) -> Path:
    """A folder with these packages; its programs."""
    if shutil.which("npm") is None:
        raise CannotMeasure("npm is not installed")
    _install(["npm", "install", "--no-audit", "--no-fund", "--silent", *packages], folder)
    return folder / "node_modules" / ".bin"


def _functions_framework(folder: Path) -> Peer:
    programs = _from_pypi(folder, "functions-framework", "gunicorn")
    (folder / "main.py").write_text(_FRAMEWORK)
    wanted = "functions_framework:create_app(target='handler', source='main.py')"
    options = ["--workers", "2", "--threads", "8", "--log-level", "error"]
    return Peer(
        command=lambda port: [str(programs / "gunicorn"), "--bind", f"127.0.0.1:{port}", *options, wanted],
        folder=folder,
    )


def _awslambdaric(folder: Path) -> Peer:
    raise CannotMeasure(
        "it answers no HTTP by itself, and the Runtime Interface Emulator that would call it is on neither PyPI nor npm"
    )


def _serverless_offline(folder: Path) -> Peer:
    programs = _from_npm(folder, "serverless@3", "serverless-offline@13")
    (folder / "serverless.yml").write_text(_SERVERLESS)
    (folder / "app.js").write_text(_SERVERLESS_HANDLER)
    quiet = ["--noPrependStageInUrl", "--lambdaPort", "0"]
    return Peer(
        command=lambda port: [str(programs / "serverless"), "offline", "--httpPort", str(port), *quiet], folder=folder
    )


def _workerd(folder: Path) -> Peer:
    programs = _from_npm(folder, "workerd")
    (folder / "worker.js").write_text(_WORKERD_HANDLER)

    def command(port: int) -> list[str]:
        (folder / "config.capnp").write_text(_WORKERD.replace("PORT", str(port)))
        return [str(programs / "workerd"), "serve", "config.capnp"]

    return Peer(command=command, folder=folder)
