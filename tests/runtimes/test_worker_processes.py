"""Processes: what a keeper kills, what survives it, and what a worker is given by its process."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from samovar.link import wire
from tests.runtimes.conftest import Launch
from tests.runtimes.peer import BOOTSTRAP, Peer, Worker, ends_soon, is_alive

Code = Callable[[str], Path]

DAEMONS = """
import os, subprocess, time

def daemon(pipe, stubborn):
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    if stubborn:
        import signal
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
    os.write(pipe, b"%d\\n" % os.getpid())
    time.sleep(3600)

def handler(event, context):
    reading, writing = os.pipe()
    daemon(writing, False)
    daemon(writing, True)
    child = subprocess.Popen(["sleep", "3600"], env={})
    pids = b""
    while pids.count(b"\\n") < 2:
        pids += os.read(reading, 100)
    return [child.pid, *map(int, pids.split())]
"""


def test_keeper_and_worker_introduce_themselves(peer: Peer, code: Code) -> None:
    assert peer.hello.head == {"role": "keeper", "pid": peer.process.pid, "protocol": 1}
    worker = peer.start("app.handler", code("def handler(event, context): pass"))
    assert worker.hello.kind == wire.HELLO
    assert worker.hello.stream == worker.number
    assert worker.hello.head == {"role": "worker", "pid": worker.pid, "protocol": 1, "mailbox": True}
    assert worker.ready is not None
    assert set(worker.ready.head) == {"init_ms"}


def test_an_endless_loop_is_killed_and_the_next_worker_serves(launch: Launch, peer: Peer) -> None:
    worker = launch("def handler(event, context):\n    while event: pass\n    return 'done'")
    worker.send(b"1")
    exited = peer.kill(worker)
    assert (exited.stream, exited.head) == (worker.number, {"signal": 9})
    assert worker.receive() is None
    assert launch("def handler(event, context): return 'next'").call().json() == "next"


def test_kill_reaches_daemons_that_left_the_session(launch: Launch, peer: Peer) -> None:
    worker = launch(DAEMONS)
    pids = worker.call().json()
    assert all(map(is_alive, pids))
    peer.kill(worker)
    assert not any(map(is_alive, [*pids, worker.pid])), "EXITED came before everything had ended"


def test_kill_reaches_a_process_tree_that_keeps_forking(launch: Launch, peer: Peer, tmp_path: Path) -> None:
    worker = launch(
        "import os, time\n"
        "def handler(event, context):\n"
        "    if not os.fork():\n"
        "        while True:\n"
        "            if os.fork(): os._exit(0)\n"  # a new pid every time, always an orphan
        "    return os.getsid(0)\n"
    )
    session = worker.call().json()
    peer.kill(worker)
    left = [path for path in Path("/proc").glob("[0-9]*/stat") if session_of(path) == session]
    assert left == []


def session_of(path: Path) -> int:
    try:
        fields = path.read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if fields[0] in "ZX" else int(fields[3])


def test_what_a_crashed_worker_leaves_behind_is_ended(launch: Launch, peer: Peer) -> None:
    worker = launch(DAEMONS.replace("return [child", "if event == 'crash': os.abort()\n    return [child"))
    pids = worker.call().json()
    worker.send(b'"crash"')
    assert peer.exited().head == {"signal": 6}
    assert not any(map(is_alive, pids))


def test_when_the_invoker_is_gone_everything_ends(launch: Launch, peer: Peer) -> None:
    worker = launch(DAEMONS)
    pids = worker.call().json()
    peer.close()
    assert peer.process.returncode == 0
    assert not any(map(is_alive, [*pids, worker.pid]))


def test_a_worker_does_not_outlive_its_keeper(launch: Launch, peer: Peer) -> None:
    worker = launch("def handler(event, context): pass")
    peer.process.kill()
    assert ends_soon(worker.pid)


def test_one_worker_at_a_time(launch: Launch, peer: Peer, code: Code) -> None:
    worker = launch("def handler(event, context): return 1")
    number = peer.order("app.handler", code("def handler(event, context): return 2"))
    refused = peer.exited()
    assert refused.stream == number
    assert refused.head == {"status": 1, "error": f"worker {worker.number} still lives"}
    assert worker.call().json() == 1


def test_a_child_that_returns_from_the_handler_does_not_answer(launch: Launch) -> None:
    worker = launch(
        "import os\ndef handler(event, context):\n    pid = os.fork()\n    return 'child' if not pid else event"
    )
    assert [worker.call(number).json() for number in range(5)] == [0, 1, 2, 3, 4]


def test_files_and_workers_are_independent(launch: Launch, peer: Peer, tmp_path: Path) -> None:
    note = tmp_path / "note"
    text = (
        "import os\ncalls = 0\n"
        "def handler(event, context):\n"
        "    global calls\n    calls += 1\n"
        f"    open({str(note)!r}, 'a').write('x')\n"
        f"    return [calls, os.path.getsize({str(note)!r})]\n"
    )
    worker = launch(text)
    assert [worker.call().json(), worker.call().json()] == [[1, 1], [2, 2]]
    peer.kill(worker)
    assert launch(text).call().json() == [1, 3], "files stay, globals do not"


PROCESS = """
import os, sys
def handler(event, context):
    return {
        "cwd": os.getcwd(),
        "first": sys.path[0],
        "session": os.getsid(0),
        "oom": open("/proc/self/oom_score_adj").read(),
        "stdin": sys.stdin.read(),
        "argv": sys.argv[1:],
        "runtime": [path for path in sys.path if path.endswith("runtimes/python")],
        "output": [os.fstat(1).st_mode, os.fstat(1).st_ino == os.fstat(2).st_ino],
    }
"""


def test_the_process_of_a_worker(launch: Launch, peer: Peer, tmp_path: Path) -> None:
    worker = launch(PROCESS)
    found = worker.call().json()
    mode, shared = found.pop("output")
    assert stat.S_ISSOCK(mode)
    assert shared
    assert found == {
        "cwd": str(tmp_path),
        "first": str(tmp_path),
        "session": worker.pid,
        "oom": "1000\n",
        "stdin": "",
        "argv": [],
        "runtime": [],
    }
    keeper_score = int(Path(f"/proc/{peer.process.pid}/oom_score_adj").read_text())
    assert keeper_score < 1000, "the kernel must prefer the worker"


def test_the_environment_is_exactly_the_one_ordered(launch: Launch) -> None:
    worker = launch("import os\ndef handler(event, context): return dict(os.environ)", GREETING="ahoj ž")
    found = worker.call().json()
    assert found["GREETING"] == "ahoj ž"
    assert "SAMOVAR_SOCKET_DIR" not in found
    assert "HOME" not in found


def test_the_time_zone_is_applied(launch: Launch) -> None:
    worker = launch(
        "import time\ndef handler(event, context): return time.strftime('%H', time.localtime(0))", TZ="XYZ-5"
    )
    assert worker.call().json() == "05"


AT_START = "open('/proc/self/environ', 'rb').read().decode()"


@pytest.mark.parametrize(
    ("variables", "expression", "value"),
    [
        ({"PYTHONHASHSEED": "0"}, "sys.flags.hash_randomization", 0),
        ({"PYTHONPATH": "/nowhere/lib"}, "'/nowhere/lib' in sys.path", True),
        ({"PYTHONSAFEPATH": "1", "PYTHONOPTIMIZE": "2"}, "sys.flags.optimize", 2),
        ({"LD_LIBRARY_PATH": "/nowhere"}, f"'LD_LIBRARY_PATH=/nowhere' in {AT_START}", True),
        ({"MALLOC_ARENA_MAX": "1"}, f"'MALLOC_ARENA_MAX=1' in {AT_START}", True),
        ({"GREETING": "ahoj"}, f"'GREETING' in {AT_START}", False),
    ],
    ids=["hashseed", "path", "optimize", "loader", "malloc", "no-new-interpreter"],
)
def test_variables_read_at_the_start_of_a_process_work(
    launch: Launch, peer: Peer, variables: dict[str, str], expression: str, value: object
) -> None:
    worker = launch(f"import sys\ndef handler(event, context): return {expression}", **variables)
    assert worker.call().json() == value
    assert peer.kill(worker).head == {"signal": 9}


def test_an_interpreter_that_cannot_start_says_why(peer: Peer, code: Code) -> None:
    peer.order("app.handler", code("def handler(event, context): pass"), {"PYTHONHOME": "/nowhere"})
    output, _ = peer._outputs.accept()
    with output:
        output.settimeout(20)
        assert peer.exited().head == {"status": 1}
        assert b"nowhere" in output.recv(65536)


def test_a_keeper_without_invoker_says_so(socket_dir: Path) -> None:
    variables = {"SAMOVAR_SOCKET_DIR": str(socket_dir)}
    ended = subprocess.run([sys.executable, str(BOOTSTRAP)], env=variables, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    reason = "cannot be reached: No such file or directory\n"
    assert ended.stderr == f"the invoker's socket {socket_dir}/invoker.sock {reason}"


def test_workers_do_not_share_random_numbers(launch: Launch, peer: Peer) -> None:
    text = "import random, uuid\ndef handler(event, context): return [random.random(), str(uuid.uuid4())]"

    def draw() -> list[object]:
        worker: Worker = launch(text)
        drawn: list[object] = worker.call().json()
        peer.kill(worker)
        return drawn

    first, second = draw(), draw()
    assert first[0] != second[0]
    assert first[1] != second[1]
