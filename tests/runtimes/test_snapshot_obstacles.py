"""Which handlers' modules leave a process that can be forked, and what is said of the others."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest

from tests.runtimes.conftest import Prepare
from tests.runtimes.peer import ends_soon

HANDLER = "\ndef handler(event, context): return event\n"
SITE = str(Path(numpy.__file__).parents[1])

FORKABLE = {
    "imports": "import asyncio, concurrent.futures, http.client, json, logging, sqlite3, ssl, subprocess, threading",
    "an-executor-not-yet-used": "import concurrent.futures; pool = concurrent.futures.ThreadPoolExecutor()",
    "a-thread-that-ended": "import threading; t = threading.Thread(target=print); t.start(); t.join()",
    "a-file-to-read": "file = open('app.py')",
    "a-folder": "import os; folder = os.open('.', os.O_RDONLY)",
    "random-numbers": "file = open('/dev/urandom', 'rb')",
    "a-closed-socket": "import socket; socket.socket().close()",
    "a-child-that-ended": "import subprocess; subprocess.run(['true'], check=True)",
    "a-temporary-file-removed": "import tempfile\nwith tempfile.NamedTemporaryFile() as f: f.write(b'x')",
    "a-mapped-file-to-read": "import mmap; f = open('app.py'); m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)",
    "numpy": f"import sys; sys.path.append({SITE!r}); import numpy; numpy.ones((300, 300)) @ numpy.ones((300, 300))",
}


@pytest.mark.parametrize("text", FORKABLE.values(), ids=FORKABLE)
def test_it_is_forked(prepare: Prepare, text: str) -> None:
    origin = prepare(text + HANDLER)
    assert origin.error is None, origin.ready.body
    assert origin.obstacle is None
    assert origin.fork().call(1).json() == 1


NATIVE_THREAD = """
import _thread, time
_thread.start_new_thread(time.sleep, (3600,))
"""
DAEMON = """
import os, time
reading, writing = os.pipe()
if not os.fork():
    os.setsid()
    if os.fork():
        os._exit(0)
    os.close(1); os.write(writing, b"!")
    time.sleep(3600)
os.wait(); os.read(reading, 1); os.close(reading); os.close(writing)
"""
NOT_FORKABLE = {
    "1 thread was started": "import threading as t, time; t.Thread(target=time.sleep, args=[60], daemon=True).start()",
    "2 threads were started": NATIVE_THREAD * 2,
    "1 open socket": "import socket; connection = socket.socket()",
    "2 open pipes": "import os; ends = os.pipe()",
    "1 open eventpoll, 2 open sockets": "import asyncio; loop = asyncio.new_event_loop()",
    "1 open writable file": "import tempfile; scratch = tempfile.TemporaryFile()",
    "files in /tmp: model": "open('/tmp/model', 'w').close()",
    "files in /tmp: 0, 1, 2, …": "for n in range(4): open(f'/tmp/{n}', 'w').close()",
    "1 process was started": "import subprocess; child = subprocess.Popen(['sleep', '3600'])",
    "memory is shared with other processes": "import mmap; shared = mmap.mmap(-1, 4096)",
}


@pytest.mark.parametrize(("why", "text"), NOT_FORKABLE.items())
def test_it_is_not_forked_and_says_why(prepare: Prepare, why: str, text: str) -> None:
    origin = prepare(text + HANDLER)
    assert origin.obstacle == why
    assert origin.worker.call(1).json() == 1


def test_a_daemon_stands_against_a_fork(prepare: Prepare) -> None:
    assert prepare(DAEMON + HANDLER).obstacle == "1 process was started"


def test_several_reasons_are_told_together(prepare: Prepare) -> None:
    text = "import os, socket\nends = os.pipe(); connection = socket.socket(); open('/tmp/x', 'w').close()"
    assert prepare(text + HANDLER).obstacle == "files in /tmp: x, 2 open pipes, 1 open socket"


def test_a_module_that_fails_is_not_forked(prepare: Prepare) -> None:
    origin = prepare("raise ValueError('broken')")
    assert origin.error == "ValueError"
    assert origin.obstacle is None
    assert origin.peer.exited().head == {"status": 1}


def test_nothing_is_left_of_a_fork_that_was_not_to_be(prepare: Prepare) -> None:
    origin = prepare(NATIVE_THREAD + HANDLER)
    keeper = origin.peer.hello.head["pid"]
    children = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    assert all(ends_soon(int(pid)) for pid in children if int(pid) != origin.worker.pid)
    assert origin.worker.call(1).json() == 1
