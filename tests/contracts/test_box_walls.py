"""What a box can see, write and become."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest

from invoker.isolation.contract import Isolation
from tests.contracts.conftest import Kind
from tests.contracts.harness import Wish, open_room

pytestmark = pytest.mark.needs("walls")

TRY_TO_WRITE = """
import os
result = []
for path in {paths!r}:
    try:
        with open(os.path.join(path, "written-by-a-box"), "w"):
            result.append(path)
    except OSError:
        pass
"""
STATUS = "result = dict(line.split(':', 1) for line in open('/proc/self/status').read().split('\\n') if ':' in line)"


async def test_nothing_but_tmp_can_be_written(isolation: Isolation, kind: Kind) -> None:
    paths = [
        "/",
        "/var/task",
        "/var/runtime",
        "/run/samovar",
        "/usr/bin",
        "/etc",
        "/dev",
        "/var",
        "/home",
        "/root",
        "/tmp",
    ]
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime)) as room:
        assert await room.run(await room.spawn(), TRY_TO_WRITE.format(paths=paths)) == ["/tmp"]


async def test_the_code_cannot_be_changed(isolation: Isolation, kind: Kind) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime)) as room:
        worker = await room.spawn()
        assert await room.error(worker, "open('/var/task/subject.py', 'a')") in ("OSError", "PermissionError")
        assert await room.error(worker, "import os; os.remove('/var/task/subject.py')") in (
            "OSError",
            "PermissionError",
        )


async def test_files_of_the_host_are_not_there(isolation: Isolation, kind: Kind, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    source = (
        f"import os; result = [p for p in {[str(secret), str(Path(__file__)), '/etc/shadow']} if os.access(p, os.R_OK)]"
    )
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime)) as room:
        worker = await room.spawn()
        assert await room.run(worker, source) == []
        assert await room.run(worker, "import os; result = sorted(os.listdir('/tmp'))") == []
        assert await room.run(worker, "import os; result = sorted(os.listdir('/var/task'))") == ["subject.py"]


async def test_processes_of_the_host_are_not_there(isolation: Isolation, kind: Kind) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime)) as room:
        worker = await room.spawn()
        pids = await room.run(worker, "import os; result = [int(n) for n in os.listdir('/proc') if n.isdigit()]")
        assert len(pids) <= 4, "init, keeper, worker"
        assert max(pids) < 200


async def test_tmp_and_sockets_of_another_box_are_not_there(isolation: Isolation, kind: Kind) -> None:
    wish = Wish(oci_runtime=kind.oci_runtime)
    async with open_room(isolation, wish) as one, open_room(isolation, wish) as other:
        first, second = await one.spawn(), await other.spawn()
        await one.run(first, "open('/tmp/mine', 'w').write('mine')")
        assert await other.run(second, "import os; result = os.listdir('/tmp')") == []
        seen = await other.run(second, "import os; result = sorted(os.listdir('/run/samovar'))")
        assert seen == ["invoker.sock", "output.sock"]
        source = f"import os; result = os.path.exists({str(one.socket_dir)!r})"
        assert await other.run(second, source) is False


async def test_it_runs_as_nobody_in_particular(isolation: Isolation, kind: Kind) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime)) as room:
        worker = await room.spawn()
        ids = await room.run(worker, "import os; result = [*os.getresuid(), *os.getresgid()]")
        assert 0 not in ids
        assert 0 not in await room.run(worker, "import os; result = os.getgroups()")
        assert await room.run(worker, "import pwd, os; result = pwd.getpwuid(os.getuid()).pw_name") == "sbx_user1051"


@pytest.mark.needs("kernel")
async def test_on_the_host_it_is_not_root_either(isolation: Isolation, kind: Kind) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime)) as room:
        worker = await room.spawn()
        await room.run(worker, "result = 1")
        assert room.box.pid is not None
        uids = uids_below(room.box.pid)
        assert uids
        assert 0 not in uids


def uids_below(pid: int) -> set[int]:
    """The uids, as the host counts them, of the children of a process."""
    found: set[int] = set()
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        status = Path(f"/proc/{child}/status").read_text()
        found.update(map(int, status.partition("Uid:")[2].split(None, 4)[:4]))
    return found


async def test_it_has_no_capabilities(isolation: Isolation, kind: Kind) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime)) as room:
        status = await room.run(await room.spawn(), STATUS)
        assert [int(status[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapBnd")] == [0, 0, 0, 0]


@pytest.mark.needs("seccomp")
async def test_it_gains_no_privileges_and_its_system_calls_are_filtered(isolation: Isolation, kind: Kind) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime)) as room:
        worker = await room.spawn()
        status = await room.run(worker, STATUS)
        assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")
        call = "import ctypes; result = [ctypes.CDLL(None, use_errno=True).{0}, ctypes.get_errno()]"
        for refused in ("unshare(0x10000000)", "mount(b'x', b'/tmp', b'tmpfs', 0, 0)", "setns(0, 0)", "reboot(0)"):
            assert await room.run(worker, call.format(refused)) == [-1, errno.EPERM], refused


@pytest.mark.needs("seccomp")
async def test_threads_and_subprocesses_work(isolation: Isolation, kind: Kind) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime)) as room:
        worker = await room.spawn()
        threads = (
            "import concurrent.futures as f\nwith f.ThreadPoolExecutor(4) as p: result = list(p.map(abs, [-1, -2]))"
        )
        assert await room.run(worker, threads) == [1, 2]
        assert (
            await room.run(worker, "import subprocess; result = subprocess.check_output(['echo', 'hi']).decode()")
            == "hi\n"
        )


async def test_it_inherits_no_descriptors(isolation: Isolation, kind: Kind) -> None:
    source = """
import os
result = []
for name in os.listdir('/proc/self/fd'):
    try:
        target = os.readlink('/proc/self/fd/' + name)
    except OSError:
        continue
    if not target.startswith(('socket:', 'pipe:', '/dev/null', '/proc/', 'host:')):
        result.append(target)
"""
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime)) as room:
        assert await room.run(await room.spawn(), source) == []


async def test_abstract_sockets_of_the_host_cannot_be_reached(isolation: Isolation, kind: Kind) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("\0samovar-contract")
        listening.listen()
        source = "import socket; socket.socket(socket.AF_UNIX).connect('\\0samovar-contract')"
        async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime)) as room:
            assert await room.error(await room.spawn(), source) == "ConnectionRefusedError"
