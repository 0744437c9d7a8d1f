"""Children forked from the supervisor: what they get, what they must not keep, and how they end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from samovar.supervisor.process import Module, Process

TELLS = """
import json, os, signal, sys
json.dump({
    "name": __name__, "argv": sys.argv, "variables": dict(os.environ), "folder": os.getcwd(),
    "session": os.getsid(0) == os.getpid(), "comm": open("/proc/self/comm").read().strip(),
    "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd")), "stdin": sys.stdin.read(),
    "handlers": [signal.getsignal(number) is signal.SIG_DFL for number in (signal.SIGTERM, signal.SIGHUP)],
    "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
}, sys.stdout)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where modules may be written that the fork finds."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@contextmanager
def started(folder: Path, source: str, **more: Any) -> Iterator[tuple[Process, int]]:
    """A running module, and the end of the pipe with its output."""
    (folder / "subject.py").write_text(source)
    read_end, write_end = os.pipe()
    try:
        process = Module(name="subject", environment={"ONLY": "this"}, folder=folder, **more).start(write_end)
        os.close(write_end)
        yield process, read_end
    finally:
        os.close(read_end)


async def said(read_end: int) -> str:
    """All it prints, to its end."""
    return await asyncio.to_thread(lambda: open(read_end, closefd=False).read())


async def test_a_module_runs_as_if_started_alone(folder: Path) -> None:
    with started(folder, TELLS, arguments=("--loud",)) as (process, output):
        told = json.loads(await said(output))
        assert await process.wait() == 0
    assert (told["name"], Path(told["argv"][0]).name, told["argv"][1:]) == ("__main__", "subject.py", ["--loud"])
    assert (told["variables"], told["folder"]) == ({"ONLY": "this"}, str(folder))
    assert (told["session"], told["comm"], told["stdin"]) == (True, "samovar:subject", "")
    assert (told["handlers"], told["blocked"]) == ([True, True], [])


async def test_it_has_no_descriptor_but_its_output_and_what_it_is_given(folder: Path) -> None:
    with (
        socket.socket() as given,
        socket.socket(),
        started(folder, TELLS, pass_fds=(given.fileno(),)) as (
            process,
            output,
        ),
    ):
        told = json.loads(await said(output))
        await process.wait()
        assert {0, 1, 2, given.fileno()} < {*told["fds"]}
        assert len(told["fds"]) == 5  # and the one it lists them from


@pytest.mark.parametrize(
    ("source", "status"),
    [("raise SystemExit(78)", 78), ("1 / 0", 1), ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9)],
)
async def test_its_status_is_what_a_program_would_end_with(folder: Path, source: str, status: int) -> None:
    with started(folder, source) as (process, output):
        text = await said(output)
        assert await process.wait() == status
    assert ("ZeroDivisionError" in text) is (status == 1)


async def test_it_has_an_event_loop_of_its_own(folder: Path) -> None:
    source = "import asyncio, uvloop; uvloop.run(asyncio.sleep(0)); asyncio.run(asyncio.sleep(0)); print('ran')"
    with started(folder, source) as (process, output):
        assert await said(output) == "ran\n"
        assert await process.wait() == 0


LEAN = """
import importlib, sys, warnings
warnings.simplefilter("error", RuntimeWarning)
import docker, fastapi, kombu.serialization, requests, uvicorn
from samovar.supervisor.fork import UNUSED
for name in UNUSED:
    try:
        importlib.import_module(name)
        print(name, "is there")
    except ImportError:
        pass
answer = requests.Response()
answer._content = "für".encode()
print(answer.text, fastapi.FastAPI().router is not None, kombu.serialization.loads(b"[1]", "application/json", "utf-8"))
"""


async def test_it_does_without_what_it_has_no_use_for_and_the_libraries_do_too(folder: Path) -> None:
    with started(folder, LEAN) as (process, output):
        assert await said(output) == "für True [1]\n"
        assert await process.wait() == 0


async def test_a_signal_to_it_is_not_heard_by_the_supervisor(folder: Path) -> None:
    heard = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, heard.set)
    try:
        with started(folder, "import time; time.sleep(60)") as (process, _):
            process.send(signal.SIGTERM)
            assert await process.wait() == -signal.SIGTERM
            await asyncio.sleep(0)
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
    assert not heard.is_set()


ORPHANS = """
import asyncio, os, signal, sys
from samovar.supervisor.process import Module
async def main():
    Module(name="orphan", environment=os.environ, folder=".").start(1)
    await asyncio.to_thread(sys.stdin.read, 1)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


def test_it_is_told_to_end_when_the_supervisor_is_killed(folder: Path) -> None:
    (folder / "orphan.py").write_text(
        # Not `signal.pause`: a signal that comes just before it is handled only when another one comes. Not `print`:
        # one that is interrupted by another refuses that.
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'told\\n'), os._exit(0)))\n"
        "os.write(1, b'up\\n')\n"
        "while True: time.sleep(0.05)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", ORPHANS], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdin is not None
        assert supervisor.stdout.readline() == "up\n"
        supervisor.stdin.write("x")
        supervisor.stdin.flush()
        assert supervisor.stdout.read() == "told\n"
    assert supervisor.returncode == -signal.SIGKILL
