"""What holds for an environment that was forked into a seat, in real boxes of both isolations."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import psutil
import pytest

from invoker.environments import snapshots
from invoker.isolation.mounts import unavailable
from invoker.isolation.sandbox import SandboxIsolation
from invoker.isolation.sandbox.launch import Order
from invoker.isolation.seats import Seats
from invoker.pool.lease import Lease
from samovar.function import FunctionVersion
from samovar.invocation import ColdReason, Outcome
from tests.invoker.building import take
from tests.invoker.seated import ISOLATIONS, House, docker, groups_of, house, sandbox, until

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=f"seats: {unavailable()}")

HOG = "held = []\nwhile True: held.append(bytearray(b'x' * 4 * 1024 * 1024))"
FILL_TMP = """
result = 0
try:
    with open('/tmp/fill', 'wb') as file:
        while result < 700:
            file.write(bytes(1024 * 1024))
            result += 1
except OSError as error:
    assert error.errno == 28, error
"""
CALLS = """
import ctypes, platform
libc = ctypes.CDLL(None, use_errno=True)
x86 = platform.machine() == 'x86_64'
numbers = {
    'mount': 165 if x86 else 40, 'umount2': 166 if x86 else 39, 'setns': 308 if x86 else 268,
    'ptrace': 101 if x86 else 117, 'keyctl': 250 if x86 else 219, 'bpf': 321 if x86 else 280,
    'pivot_root': 155 if x86 else 41, 'perf_event_open': 298 if x86 else 241, 'fsopen': 430, 'open_tree': 428,
    'io_uring_setup': 425, 'process_vm_readv': 310 if x86 else 270, 'userfaultfd': 323 if x86 else 282,
}
result = {}
for name, number in numbers.items():
    answer = libc.syscall(number, 0, 0, 0, 0, 0)
    result[name] = ctypes.get_errno() if answer < 0 else 0
for flags in FLAGS:
    result[hex(flags)] = ctypes.get_errno() if libc.unshare(flags) < 0 else 0
"""
NAMESPACES = [1 << bit for bit in (7, 17, 25, 26, 27, 28, 29, 30)] + [0x6C02_0000, 0x1002_0200]
"""Each alone, several, and what a seat may with something more."""


@pytest.fixture(
    params=[
        pytest.param(sandbox, id="sandbox", marks=pytest.mark.component("bubblewrap")),
        pytest.param(docker, id="docker", marks=pytest.mark.component("docker")),
    ]
)
async def home(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """A house of each isolation in turn."""
    async with house(request.param) as made:
        yield made


def give_back(home: House, *leases: Lease, worker_lost: bool = False) -> None:
    """End leases, some with their worker."""
    for lease in leases:
        home.pool.release(lease, worker_lost=worker_lost)


async def forked(home: House, version: FunctionVersion) -> Lease:
    """One in a seat."""
    lease = await take(home.pool, version)
    assert lease.environment.initialization_type == "snap-start"
    return lease


async def test_an_environment_in_a_seat_is_one_of_its_own(home: House) -> None:
    version = home.version()
    first = await home.first(version)
    one, other = await forked(home, version), await forked(home, version)
    source = """
import os, sys
result = {name: os.environ[name] for name in ('AWS_LAMBDA_INITIALIZATION_TYPE', 'AWS_LAMBDA_LOG_STREAM_NAME')}
result |= {'user': [os.getuid(), os.getgid()], 'folder': os.getcwd()}
result['rights'] = [line.split()[1] for line in open('/proc/self/status') if line.startswith(('CapEff', 'CapBnd'))]
"""
    answers = [await home.run(lease.environment, source) for lease in (first, one, other)]
    assert [answer["user"] for answer in answers] == [[993, 990]] * 3
    assert {answer["folder"] for answer in answers} == {"/var/task"}
    kinds = [answer["AWS_LAMBDA_INITIALIZATION_TYPE"] for answer in answers]
    assert kinds == ["on-demand", "snap-start", "snap-start"]
    assert len({answer["AWS_LAMBDA_LOG_STREAM_NAME"] for answer in answers}) == 3
    assert all(set(answer["rights"]) == {"0" * 16} for answer in answers[1:])
    assert one.cold is not None
    assert one.cold.reason is ColdReason.SCALE_OUT
    give_back(home, first, one, other)


async def test_tmp_is_empty_limited_and_nobody_elses(home: House) -> None:
    version = home.version(memory_mb=1024)
    first = await home.first(version)
    await home.run(first.environment, "open('/tmp/first', 'w').write('x')")
    one, other = await forked(home, version), await forked(home, version)
    assert await home.run(one.environment, "import os; result = os.listdir('/tmp')") == []
    await home.run(one.environment, "open('/tmp/one', 'w').write('x')")
    assert await home.run(other.environment, "import os; result = os.listdir('/tmp')") == []
    assert await home.run(first.environment, "import os; result = os.listdir('/tmp')") == ["first"]
    assert 500 <= await home.run(other.environment, FILL_TMP) <= 512
    give_back(home, first, one, other)


async def test_what_one_changes_is_not_seen_by_another(home: House) -> None:
    version = home.version()
    first = await home.first(version)
    one = await forked(home, version)
    for lease in (first, one):
        await home.run(lease.environment, "import subject; subject.left = 'behind'")
    other = await forked(home, version)
    assert await home.run(other.environment, "import subject; result = hasattr(subject, 'left')") is False
    give_back(home, first, one, other)


async def test_a_seat_that_runs_out_of_memory_goes_alone_and_is_told_of(home: House) -> None:
    version = home.version(memory_mb=128)
    first = await home.first(version)
    one, other = await forked(home, version), await forked(home, version)
    answer = await home.attempt(one.environment, HOG)
    assert answer.outcome is Outcome.OUT_OF_MEMORY
    assert b"128 MB" in answer.payload
    give_back(home, one, worker_lost=True)
    assert await home.run(other.environment, "result = 'alive'") == "alive"
    assert await home.run(first.environment, "result = 'alive'") == "alive"
    assert home.snapshots.of(version) is not None
    again = await forked(home, version)
    give_back(home, first, other, again)


async def test_memory_and_cpu_of_a_seat_are_its_own(home: House) -> None:
    version = home.version(memory_mb=512)
    first = await home.first(version)
    one, other = await forked(home, version), await forked(home, version)
    for lease in (first, one, other):
        lease.environment.use_cpu()
    source = """
import time
held = b'x' * (200 << 20)
until = time.process_time() + 0.2
while time.process_time() < until: pass
"""
    await home.run(one.environment, source)
    assert one.environment.use_cpu() >= 200_000
    assert other.environment.use_cpu() < 100_000
    assert first.environment.use_cpu() < 100_000
    assert one.environment.peak_bytes >= 200 << 20
    assert other.environment.peak_bytes < 100 << 20
    give_back(home, first, one, other)


@pytest.mark.parametrize("source", ["import os; os._exit(3)", "import os; os.kill(os.getpid(), 9)"])
async def test_a_worker_that_ends_in_its_seat_is_told_of_and_not_reloaded(home: House, source: str) -> None:
    version = home.version()
    first = await home.first(version)
    one = await forked(home, version)
    answer = await home.attempt(one.environment, source)
    assert answer.outcome is Outcome.EXIT
    assert (b"exit status 3" if "_exit" in source else b"signal: killed") in answer.payload
    give_back(home, one, worker_lost=True)
    await until(lambda: one.environment not in home.pool.environments)
    assert await home.run(first.environment, "result = 'alive'") == "alive"
    give_back(home, first, await forked(home, version))


async def test_a_call_that_takes_too_long_ends_with_everything_it_started(home: House) -> None:
    version = home.version()
    first = await home.first(version)
    one = await forked(home, version)
    daemon = (
        "import os\nif not os.fork():\n    os.setsid()\n    if os.fork(): os._exit(0)\nimport time; time.sleep(600)"
    )
    answer = await home.attempt(one.environment, daemon, timeout_s=0.3)
    assert answer.outcome is Outcome.TIMEOUT
    give_back(home, one, worker_lost=True)
    await until(lambda: one.environment not in home.pool.environments)
    count = """
import os
result = sum(open(f'/proc/{pid}/cmdline').read() != '' for pid in os.listdir('/proc') if pid.isdigit())
"""
    before = await home.run(first.environment, count)
    other = await forked(home, version)
    assert await home.run(other.environment, count) == before + 1
    give_back(home, first, other)


async def test_seats_outlive_the_first_environment(home: House) -> None:
    version = home.version()
    first = await home.first(version)
    await home.run(first.environment, "open('/tmp/large', 'wb').write(bytes(50 << 20))")
    one = await forked(home, version)
    box = first.environment.home.box
    assert box is not None
    assert box.pid is not None
    tmp = f"/proc/{box.pid}/root/tmp"
    await first.environment.stop("the test wants it so")
    assert await home.run(one.environment, "result = 'alive'") == "alive"
    assert not os.listdir(tmp), "the memory of its files is given back"
    other = await forked(home, version)
    assert await home.run(other.environment, "result = 'forked'") == "forked"
    await one.environment.stop("the test is nearly over")
    assert os.listdir(tmp) == []
    await other.environment.stop("the test is over")
    with pytest.raises(FileNotFoundError):  # the last one takes the box along
        os.listdir(tmp)


async def test_killing_the_snapshot_process_costs_no_call(home: House) -> None:
    version = home.version()
    first = await home.first(version)
    one = await forked(home, version)
    running = asyncio.create_task(home.run(one.environment, "import time; time.sleep(0.3); result = 'done'"))
    await asyncio.sleep(0)
    os.kill(home.snapshot(version).pid, signal.SIGKILL)
    await until(lambda: home.snapshots.of(version) is None)
    other = await take(home.pool, version)
    assert other.environment.initialization_type == "on-demand", "started whole"
    assert await home.run(other.environment, "result = 'whole'") == "whole"
    assert await running == "done"
    answer = await home.attempt(one.environment, "import os; os._exit(0)")
    assert answer.outcome is Outcome.EXIT
    give_back(home, one, worker_lost=True)
    await until(lambda: home.snapshots.of(version) is not None)
    give_back(home, first, other, await forked(home, version))


async def test_a_fork_that_dies_with_the_snapshot_process_is_repeated_as_a_whole_start(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = home.version()
    first = await home.first(version)
    snapshot = home.snapshot(version)
    furnish = Seats.furnish

    async def furnish_and_kill(seats: Seats, *arguments: Any) -> None:
        await furnish(seats, *arguments)
        child, _, _ = arguments[2]
        os.kill(snapshot.pid, signal.SIGKILL)
        await until(lambda: not psutil.pid_exists(child))

    monkeypatch.setattr(Seats, "furnish", furnish_and_kill)
    other = await take(home.pool, version)
    assert other.environment.initialization_type == "on-demand"
    assert await home.run(other.environment, "result = 'whole'") == "whole"
    give_back(home, first, other)


async def test_a_snapshot_process_that_hangs_is_waited_for_once(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "_FORK_DEADLINE_S", 0.1)
    version = home.version()
    first = await home.first(version)
    hanging = home.snapshot(version).pid
    os.kill(hanging, signal.SIGSTOP)
    other = await take(home.pool, version)
    assert other.environment.initialization_type == "on-demand"
    assert await home.run(other.environment, "result = 'whole'") == "whole"
    await until(lambda: not is_running(hanging))
    give_back(home, first, other)


async def test_killing_the_keeper_ends_every_environment_of_its_box(home: House) -> None:
    version = home.version()
    first = await home.first(version)
    one = await forked(home, version)
    running = asyncio.create_task(home.attempt(one.environment, "import time; time.sleep(20)"))
    await asyncio.sleep(0)
    keeper = await first.environment.link.connected(1.0)
    os.kill(keeper.pid, signal.SIGKILL)
    assert (await running).outcome is Outcome.EXIT
    give_back(home, first, one, worker_lost=True)
    await until(lambda: not home.pool.environments)
    again = await take(home.pool, version)
    assert await home.run(again.environment, "result = 'anew'") == "anew"
    give_back(home, again)


async def test_a_newer_record_is_not_forked_from_the_older_ones_process(home: House) -> None:
    version = home.version()
    first = await home.first(version)
    one = await forked(home, version)
    newer = home.version(serial=2, environment={"COLOUR": "red"})
    home.pool.supersede(newer)
    lease = await take(home.pool, newer)
    assert lease.environment.initialization_type == "on-demand"
    assert await home.run(lease.environment, "import os; result = os.environ['COLOUR']") == "red"
    assert await home.run(one.environment, "import os; result = os.environ.get('COLOUR')") is None
    give_back(home, first, one)
    await until(lambda: home.pool.environments == [lease.environment])
    assert home.snapshots.of(version) is None
    give_back(home, lease)


async def test_a_function_can_say_that_it_is_not_to_be_forked(home: House) -> None:
    version = home.version(environment={"SAMOVAR_SNAPSHOT": "off"})
    first, other = await take(home.pool, version), await take(home.pool, version)
    assert other.environment.initialization_type == "on-demand"
    assert home.snapshots.of(version) is None
    give_back(home, first, other)


async def test_system_calls_that_lead_out_are_refused_in_boxes_and_seats(home: House) -> None:
    version = home.version()
    first = await home.first(version)
    one = await forked(home, version)
    for lease in (first, one):
        refusals: dict[str, Any] = await home.run(lease.environment, f"FLAGS = {NAMESPACES}\n{CALLS}")
        assert set(refusals.values()) == {1}, refusals
    give_back(home, first, one)


async def test_one_seat_cannot_look_into_another(home: House) -> None:
    version = home.version()
    first = await home.first(version)
    one, other = await forked(home, version), await forked(home, version)
    await home.run(one.environment, "open('/tmp/secret', 'w').write('x')")
    pid = await home.run(one.environment, "import os; result = os.getpid()")
    for what in ("root/tmp/secret", "mem", "environ", "fd/0"):
        look = f"open('/proc/{pid}/{what}', 'rb').read(1)"
        assert (await home.attempt(other.environment, look)).outcome is Outcome.ERROR
    pid = await home.run(first.environment, "import os; result = os.getpid()")
    assert b"PermissionError" in (await home.attempt(other.environment, f"open('/proc/{pid}/environ').read()")).payload
    give_back(home, first, one, other)


async def test_many_at_once_each_have_their_own(home: House) -> None:
    version = home.version()
    first = await home.first(version)
    leases = await asyncio.gather(*(forked(home, version) for _ in range(20)))
    ids = await asyncio.gather(
        *(home.run(lease.environment, "import os; result = [os.getpid(), os.listdir('/tmp')]") for lease in leases)
    )
    assert len({pid for pid, _ in ids}) == 20
    assert all(files == [] for _, files in ids)
    give_back(home, first, *leases)


async def test_an_invoker_sweeps_the_seats_that_a_former_one_was_killed_over(home: House) -> None:
    invoker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.invoker.seated", home.isolation, stdout=asyncio.subprocess.PIPE
    )
    assert invoker.stdout is not None
    instance, folder, *pids = (await invoker.stdout.readline()).decode().split()
    invoker.kill()
    await invoker.wait()
    assert groups_of(instance)
    successor = Seats(instance)
    isolation = ISOLATIONS[home.isolation](instance, successor)
    await isolation.sweep()
    await successor.sweep()
    await until(lambda: not any(is_running(int(pid)) for pid in pids))
    assert not groups_of(instance)
    assert await successor.sweep() == 0
    successor.close()
    await isolation.close()
    await asyncio.to_thread(shutil.rmtree, folder)


def is_running(pid: int) -> bool:
    """Whether a process lives that is more than an entry in a table."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the latter between opening and reading
        return False


class _Strict(SandboxIsolation):
    """One whose boxes refuse what seats need."""

    def _order(self, *arguments: Any) -> Order:
        return replace(super()._order(*arguments), seats=False)


@pytest.mark.component("bubblewrap")
async def test_where_no_worker_can_be_forked_environments_are_started_whole_and_the_status_says_so() -> None:
    isolations: list[_Strict] = []

    def strict(instance: str, seats: Seats) -> _Strict:
        isolations.append(_Strict(instance, seats=seats))
        return isolations[0]

    async with house(strict) as home:
        version = home.version()
        first = await home.first(version)
        other = await take(home.pool, version)
        assert other.environment.initialization_type == "on-demand"
        assert await home.run(other.environment, "result = 'whole'") == "whole"
        assert home.snapshots.of(version) is None
        status = await isolations[0].status()
        assert status.limits["scale-out"].startswith("whole environments: ")
        give_back(home, first, other)
