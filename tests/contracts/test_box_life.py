"""Start, run, kill, die, destroy: what every isolation does alike."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from invoker.isolation.contract import Isolation
from tests.contracts.conftest import Kind
from tests.contracts.harness import Wish, open_room, within


async def test_a_function_is_started_and_answers(isolation: Isolation, kind: Kind) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime)) as room:
        worker = await room.spawn()
        assert await room.run(worker, "result = {'doubled': event['source'] and 21 * 2}") == {"doubled": 42}


async def test_what_it_prints_arrives_before_its_answer(isolation: Isolation, kind: Kind) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime)) as room:
        worker = await room.spawn()
        await room.run(worker, "print('good morning', flush=True)")
        await room.drain()
        assert room.output == b"good morning\n"


async def test_an_exception_is_an_answer_and_the_worker_lives_on(isolation: Isolation, kind: Kind) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime)) as room:
        worker = await room.spawn()
        assert await room.error(worker, "raise KeyError('order')") == "KeyError"
        assert await room.run(worker, "result = 'still here'") == "still here"


@pytest.mark.needs("processes")
async def test_a_worker_is_killed_while_it_computes_and_the_next_sees_its_tmp(isolation: Isolation, kind: Kind) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime)) as room:
        worker = await room.spawn()
        await room.run(worker, "import tempfile; open(tempfile.gettempdir() + '/kept', 'w').write('kept')")
        room.send(worker, "while True: pass")
        assert (await room.kill()).head == {"signal": 9}
        second = await room.spawn()
        assert (
            await room.run(second, "import tempfile; result = open(tempfile.gettempdir() + '/kept').read()") == "kept"
        )


@pytest.mark.needs("processes")
async def test_a_worker_that_crashes_ends_alone(isolation: Isolation, kind: Kind) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime)) as room:
        worker = await room.spawn()
        assert await room.attempt(worker, "import os; os.kill(os.getpid(), 11)") is None
        assert (await room.exited()).head == {"signal": 11}
        assert await room.run(await room.spawn(), "result = 1") == 1


async def test_wait_returns_when_the_box_has_died_and_usage_still_answers(isolation: Isolation, kind: Kind) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime)) as room:
        await room.run(await room.spawn(), "result = sum(range(100_000))")
        before = room.box.usage()
        room.keeper.close()  # a keeper without invoker ends
        assert await within(room.box.wait())
        await room.box.destroy("it is dead")
        assert room.box.usage().cpu_us >= before.cpu_us > 0


async def test_destroy_may_be_called_by_several_at_once_and_again(isolation: Isolation, kind: Kind) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime)) as room:
        await room.spawn()
        await within(asyncio.gather(*(room.box.destroy(f"caller {number}") for number in range(5))))
        await within(room.box.destroy("once more"))


@pytest.mark.needs("processes")
async def test_destroy_leaves_no_process_mount_or_group(isolation: Isolation, kind: Kind) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime)) as room:
        worker = await room.spawn()
        await room.run(worker, "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True)")
        assert traces(room.box.id) or room.box.pid is not None
        pid = room.box.pid
        await within(room.box.destroy("look behind it"))
        assert pid is None or not is_running(pid)
        assert traces(room.box.id) == []
        assert traces(str(room.socket_dir)) == []


async def test_a_box_that_nobody_talked_to_can_be_destroyed(isolation: Isolation, kind: Kind) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime)) as room:
        await within(room.box.destroy("changed our mind"))
        assert await within(room.box.wait())


@pytest.mark.needs("processes")
async def test_a_reading_grows_with_the_work(isolation: Isolation, kind: Kind) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime)) as room:
        worker = await room.spawn()
        before = room.box.usage()
        await room.run(worker, "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass")
        await room.run(worker, "held = bytearray(60 * 1024 * 1024)\nfor n in range(0, len(held), 4096): held[n] = 1")
        after = room.box.usage()
        # gVisor tells a process the ticks it was given, of which a busy host takes some.
        assert after.cpu_us - before.cpu_us >= (100_000 if kind.oci_runtime == "runsc" else 250_000)
        assert 60 * 1024 * 1024 <= after.peak_memory_bytes < 256 * 1024 * 1024


@pytest.mark.needs("fresh peak")
async def test_a_new_peak_forgets_the_old_one(isolation: Isolation, kind: Kind) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime)) as room:
        worker = await room.spawn()
        await room.run(worker, "held = bytearray(100 * 1024 * 1024)\nfor n in range(0, len(held), 4096): held[n] = 1")
        assert room.box.usage().peak_memory_bytes >= 100 * 1024 * 1024
        room.box.reset_peak()
        await room.run(worker, "result = 1")
        assert room.box.usage().peak_memory_bytes < 100 * 1024 * 1024


def is_running(pid: int) -> bool:
    """Whether a process exists and is more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the latter between opening and reading
        return False


def traces(box: str) -> list[str]:
    """Control groups and mounts of this host that carry a box's id."""
    found = [folder for folder, _, _ in os.walk("/sys/fs/cgroup") if box in folder]
    return found + [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if box in line]
