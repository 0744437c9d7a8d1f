"""Workers that are forked from a snapshot process: what they share, what is their own, and how they end."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import numpy
import pytest
import snapshot_restore_py  # type: ignore[import-untyped]  # it ships no types

from samovar.link import wire
from tests.runtimes.conftest import PYTHON, Prepare, box
from tests.runtimes.peer import Peer, Worker, ends_soon, is_alive
from tests.runtimes.snapshots import Origin

COUNTER = """
calls = 0
def handler(event, context):
    global calls
    calls += 1
    return calls
"""
ECHO = "def handler(event, context): return event"


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_the_snapshot_process_introduces_itself(prepare: Prepare) -> None:
    origin = prepare(ECHO)
    assert set(origin.ready.head) == {"init_ms"}
    assert (origin.hello.kind, origin.hello.stream) == (wire.HELLO, origin.worker.number)
    assert origin.hello.head == {"role": "snapshot", "pid": origin.snapshot_pid, "protocol": 1}
    assert parent_of(origin.snapshot_pid) == origin.peer.hello.head["pid"], (
        "a handler must not find it among its children"
    )


def test_a_forked_worker_goes_on_where_the_module_was_loaded(prepare: Prepare, tmp_path: Path) -> None:
    loads = tmp_path / "loads"
    origin = prepare(f"open({str(loads)!r}, 'a').write('x')\n{COUNTER}")
    assert [origin.worker.call().json() for _ in range(3)] == [1, 2, 3]
    first, second = origin.fork(), origin.fork()
    assert first.hello.head == {"role": "worker", "pid": first.pid, "protocol": 1, "mailbox": True}
    assert first.hello.stream == 1
    assert [first.call().json(), first.call().json(), second.call().json()] == [1, 2, 1]
    assert origin.worker.call().json() == 4
    assert loads.read_text() == "x"


def test_initialisation_is_counted_from_the_fork(prepare: Prepare) -> None:
    origin = prepare(f"import time; time.sleep(0.2)\n{ECHO}")
    forked = origin.fork()
    assert forked.ready is not None
    assert origin.ready.head["init_ms"] >= 200
    assert 0 < forked.ready.head["init_ms"] < 200


def test_environment_and_context_are_its_own(prepare: Prepare) -> None:
    origin = prepare(
        "import os, time\n"
        "def handler(event, context):\n"
        "    return [dict(os.environ), context.log_stream_name, time.strftime('%H', time.localtime(0))]\n",
        ONLY_FIRST="",
    )
    given = {"AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[$LATEST]1", "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}
    variables, stream, hour = origin.fork({**given, "TZ": "XYZ-5", "LC_CTYPE": "C.UTF-8"}).call().json()
    assert stream == given["AWS_LAMBDA_LOG_STREAM_NAME"]
    assert variables["AWS_LAMBDA_INITIALIZATION_TYPE"] == "snap-start"
    assert hour == "05"
    assert "SAMOVAR_SOCKET_DIR" not in variables


def test_output_goes_to_its_own_log(prepare: Prepare) -> None:
    origin = prepare(
        "import logging, os, sys\n"
        "kept = sys.stdout\n"
        "print('loading', end='')\n"
        "def handler(event, context):\n"
        "    print('printed', event)\n"
        "    print('kept', event, file=kept)\n"
        "    logging.error('logged %s', event)\n"
        "    os.system(f'echo child {event}')\n"
    )
    forked = origin.fork()
    forked.call("b")
    origin.worker.call("a")
    said = forked.log()
    assert [word for word in ("printed b", "kept b", "logged b", "child b") if word not in said] == []
    assert said.count("logged") == 1
    assert "loading" not in said
    first = origin.worker.log()
    assert first.startswith("loading")
    assert " b" not in first


RANDOM = """
import os, random, secrets, ssl, sys, tempfile, uuid
sys.path.append(SITE)
import numpy
random.seed(1); numpy.random.seed(1)
uuid.uuid1(); uuid.uuid4(); secrets.token_hex(); ssl.RAND_bytes(1); random.random(); tempfile.mktemp()
def handler(event, context):
    return [random.random(), numpy.random.rand(), str(uuid.uuid4()), str(uuid.uuid1()), secrets.token_hex(),
            ssl.RAND_bytes(16).hex(), os.urandom(16).hex(), tempfile.mktemp()]
"""


def test_random_numbers_differ_between_workers(prepare: Prepare) -> None:
    site = str(Path(numpy.__file__).parents[1])
    origin = prepare(RANDOM.replace("SITE", repr(site)))
    assert origin.obstacle is None, "numpy's own threads do not stand against a fork"
    drawn = [worker.call().json() for worker in (origin.worker, origin.fork(), origin.fork())]
    for kind, values in enumerate(zip(*drawn, strict=True)):
        assert len(set(values)) == len(values), f"the same numbers of kind {kind}"


def test_matrices_are_multiplied_after_a_fork(prepare: Prepare) -> None:
    site = str(Path(numpy.__file__).parents[1])
    origin = prepare(
        f"import sys; sys.path.append({site!r})\nimport numpy\n"
        "some = numpy.ones((400, 400))\n"
        "def handler(event, context): return float((some @ some).sum())"
    )
    assert [worker.call().json() for worker in (origin.fork(), origin.worker, origin.fork())] == [400.0**3] * 3


STATUS = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def handler(event, context):
    if event == "mount":
        done = libc.mount(b"none", b"/mnt", b"tmpfs", 0, None)
        return [done, os.strerror(ctypes.get_errno())]
    fields = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
    spaces = [os.readlink(f"/proc/self/ns/{name}") for name in ("user", "mnt", "net", "pid")]
    identity = [os.getuid(), os.getgid(), os.getsid(0) == os.getpid(), os.getcwd()]
    return [{name: value.strip() for name, value in fields.items()}, spaces, identity,
            open("/proc/self/oom_score_adj").read().strip()]
"""


def test_a_forked_worker_has_namespaces_but_no_rights_in_them(prepare: Prepare, tmp_path: Path) -> None:
    origin = prepare(STATUS)
    forked = origin.fork()
    _, outside, _, _ = origin.worker.call().json()
    status, inside, identity, score = forked.call().json()
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert (status["NoNewPrivs"], status["Threads"]) == ("1", "1")
    assert [own != other for own, other in zip(inside, outside, strict=True)] == [True, True, False, False]
    assert identity == [os.getuid(), os.getgid(), True, str(tmp_path)]
    assert score == "1000"
    assert forked.call("mount").json() == [-1, "Operation not permitted"]


def open_files(pid: int) -> dict[int, str]:
    folder = Path(f"/proc/{pid}/fd")
    return {int(number): os.readlink(folder / number) for number in os.listdir(folder)}


def test_no_open_file_of_one_process_is_open_in_another(prepare: Prepare) -> None:
    origin = prepare(ECHO)
    first, second = origin.fork(), origin.fork()
    found = {pid: open_files(pid) for pid in (origin.worker.pid, origin.snapshot_pid, first.pid, second.pid)}
    seen: set[str] = set()
    for files in found.values():
        own = {name for name in files.values() if name != "/dev/null"}
        assert not own & seen
        seen |= own
    for worker in (origin.worker, first, second):
        files = found[worker.pid]
        assert sorted(files) == [0, 1, 2, 3]
        assert files[1] == files[2] != files[3]
        assert all(files[number].startswith("socket:") for number in (1, 2, 3))
    kinds = sorted(name.split(":")[0] for name in found[origin.snapshot_pid].values())
    assert kinds == ["/dev/null"] * 3 + ["pipe"] * 4 + ["socket"], "the pipes: ended children, and each worker's words"


def test_each_worker_reads_an_open_file_from_where_it_was(prepare: Prepare, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("0123456789" * 1000)
    origin = prepare(
        "import os\nfile = os.open('data', os.O_RDONLY); os.read(file, 3)\n"
        "def handler(event, context): return os.read(file, event).decode()"
    )
    first, second = origin.fork(), origin.fork()
    assert [first.call(4).json(), second.call(2).json(), origin.worker.call(1).json()] == ["3456", "34", "3"]
    assert first.call(1).json() == "7"


@pytest.mark.parametrize(
    ("statement", "end"), [("os._exit(3)", {"status": 3}), ("os.abort()", {"signal": 6}), ("exit()", {"status": 0})]
)
def test_the_snapshot_process_tells_how_a_worker_ended(prepare: Prepare, statement: str, end: dict[str, int]) -> None:
    origin = prepare(f"import os\ndef handler(event, context): {statement}")
    other, forked = origin.fork(), origin.fork()
    forked.send(b"1")
    exited = origin.exited()
    assert (exited.stream, exited.head) == (forked.number, end)
    assert is_alive(other.pid)


def test_a_killed_worker_is_reported_and_another_is_forked(prepare: Prepare) -> None:
    origin = prepare(COUNTER)
    forked = origin.fork()
    forked.call()
    os.kill(forked.pid, signal.SIGKILL)
    assert origin.exited().head == {"signal": 9}
    assert origin.fork().call().json() == 1


def test_forked_workers_outlive_the_snapshot_process(prepare: Prepare) -> None:
    origin = prepare(COUNTER)
    forked = origin.fork()
    os.kill(origin.snapshot_pid, signal.SIGKILL)
    assert origin.snapshot.receive() is None
    assert ends_soon(origin.snapshot_pid)
    assert [forked.call().json(), origin.worker.call().json()] == [1, 1]
    assert not Path(f"/proc/{origin.snapshot_pid}").exists() or ends_soon(origin.snapshot_pid)


def test_the_snapshot_process_ends_when_it_is_hung_up_on(prepare: Prepare) -> None:
    origin = prepare(COUNTER)
    forked = origin.fork()
    origin.snapshot.socket.close()
    assert ends_soon(origin.snapshot_pid)
    assert [forked.call().json(), origin.worker.call().json()] == [1, 1]


DAEMON = """
import os, time
def handler(event, context):
    reading, writing = os.pipe()
    if not os.fork():
        os.setsid()
        if os.fork():
            os._exit(0)
        os.write(writing, b"%d" % os.getpid())
        time.sleep(3600)
    os.wait()
    return int(os.read(reading, 20))
"""


def test_ending_the_first_worker_ends_nothing_of_the_others(prepare: Prepare) -> None:
    origin = prepare(DAEMON)
    forked = origin.fork()
    daemon = origin.worker.call().json()
    assert origin.peer.kill(origin.worker).head == {"signal": 9}
    assert not is_alive(daemon)
    assert not is_alive(origin.worker.pid)
    assert is_alive(origin.snapshot_pid)
    forked.call()
    origin.fork().call()


def test_the_snapshot_stays_when_the_first_worker_is_started_anew(prepare: Prepare, tmp_path: Path) -> None:
    origin = prepare(COUNTER)
    os.kill(origin.worker.pid, signal.SIGKILL)
    assert origin.peer.exited().head == {"signal": 9}
    anew = origin.peer.start("app.handler", tmp_path)
    assert [anew.call().json(), origin.fork().call().json()] == [1, 1]
    origin.peer.kill(anew)
    assert origin.fork().call().json() == 1


def test_when_the_invoker_leaves_the_keeper_everything_ends(prepare: Prepare) -> None:
    origin = prepare(DAEMON)
    forked = origin.fork()
    pids = [origin.worker.pid, origin.snapshot_pid, forked.pid, origin.worker.call().json()]
    origin.peer.keeper.socket.close()
    assert all(map(ends_soon, pids))


def test_the_snapshot_process_does_not_outlive_its_keeper(prepare: Prepare) -> None:
    origin = prepare(ECHO)
    os.kill(origin.peer.hello.head["pid"], signal.SIGKILL)
    assert ends_soon(origin.snapshot_pid)


def test_a_worker_that_is_not_bound_ends_with_the_snapshot_process(prepare: Prepare) -> None:
    origin = prepare(ECHO)
    _, _, hello, _ = origin.greeted()
    os.kill(origin.snapshot_pid, signal.SIGKILL)
    assert ends_soon(hello.head["pid"])


def test_an_invoker_that_hangs_up_before_bind_hears_of_it(prepare: Prepare) -> None:
    origin = prepare(ECHO)
    seat, connection, _, _ = origin.greeted()
    connection.socket.close()
    exited = origin.exited()
    assert (exited.stream, exited.head) == (seat, {"status": 1, "error": "the invoker hung up before BIND"})


def test_sockets_that_are_not_there_are_named(prepare: Prepare, socket_dir: Path) -> None:
    origin = prepare(ECHO)
    seat = origin.ask(socket_dir / "nowhere")
    why = f"the invoker's socket {socket_dir}/nowhere/invoker.sock cannot be reached: No such file or directory"
    exited = origin.exited()
    assert (exited.stream, exited.head) == (seat, {"status": 1, "error": why})


def test_where_namespaces_are_refused_the_reason_is_told(socket_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(ECHO)
    prefix = [*box(socket_dir, tmp_path), "--unshare-user", "--disable-userns"]
    with Peer(socket_dir, PYTHON, prefix=prefix) as peer, Origin(peer, tmp_path) as origin:
        origin.ask(socket_dir)
        assert origin.exited().head["error"].startswith("user and mount namespaces of its own: ")
        assert origin.worker.call(1).json() == 1


def test_many_are_forked_at_once(prepare: Prepare) -> None:
    origin = prepare(COUNTER)
    workers = [origin.bound() for _ in range(10)]
    for worker in workers:
        worker.wait_ready()
    assert [worker.call().json() for worker in workers] == [1] * 10


def test_an_interpreter_that_was_started_anew_is_forked(prepare: Prepare) -> None:
    origin = prepare("import sys\ndef handler(event, context): return sys.flags.hash_randomization", PYTHONHASHSEED="0")
    assert origin.fork().call().json() == 0
    assert origin.peer.kill(origin.worker).head == {"signal": 9}
    assert origin.fork().call().json() == 0


HOOKS = """
import os
from snapshot_restore_py import register_after_restore, register_before_snapshot
done = []
files = os.pipe()
@register_before_snapshot
def last(): done.append("last")
@register_before_snapshot
def close(): done.append("close"); [os.close(file) for file in files]
register_after_restore(done.append, "restored")
@register_after_restore
def say(): print("hello from", os.environ["AWS_LAMBDA_LOG_STREAM_NAME"])
def handler(event, context): return done
"""


def ship_hooks(folder: Path) -> None:
    """Put AWS's package beside the function's code, as its requirements would."""
    shutil.copy(snapshot_restore_py.__file__, folder)


def test_hooks_run_around_the_snapshot(prepare: Prepare, tmp_path: Path) -> None:
    ship_hooks(tmp_path)
    origin = prepare(HOOKS)
    assert origin.error is None, origin.ready.body
    assert origin.obstacle is None, "what a hook closes does not stand against a fork"
    forked = origin.fork({"AWS_LAMBDA_LOG_STREAM_NAME": "own"})
    for worker in (origin.worker, forked):
        assert worker.call().json() == ["close", "last", "restored"]
    assert forked.log() == "hello from own\n"


@pytest.mark.parametrize("kind", ["before_snapshot", "after_restore"])
def test_a_hook_that_fails_is_an_error_of_initialisation(prepare: Prepare, tmp_path: Path, kind: str) -> None:
    ship_hooks(tmp_path)
    origin = prepare(
        f"from snapshot_restore_py import register_{kind}\n"
        f"@register_{kind}\ndef fail(): raise ValueError('no database')\n{ECHO}"
    )
    assert origin.error == "ValueError"
    assert origin.ready.json()["errorMessage"] == "no database"
    assert origin.peer.exited().head == {"status": 1}


def test_a_restore_hook_that_fails_in_a_fork_fails_that_fork(prepare: Prepare, tmp_path: Path) -> None:
    ship_hooks(tmp_path)
    origin = prepare(
        "import os\nfrom snapshot_restore_py import register_after_restore\n"
        "@register_after_restore\ndef check():\n    if os.environ.get('BROKEN'): raise ValueError('no database')\n"
        + ECHO
    )
    failed: Worker = origin.bound({"BROKEN": "1"})
    ready = failed.wait_ready()
    assert ready.head["error"] == "ValueError"
    assert "no database" in failed.last_words()
    assert origin.exited().head == {"status": 1}
    assert origin.fork().call(2).json() == 2
