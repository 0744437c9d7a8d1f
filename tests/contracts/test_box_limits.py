"""What a box may use, and what happens when it wants more."""

from __future__ import annotations

import asyncio

import pytest

from invoker.isolation.contract import Isolation
from samovar.function import Limits
from tests.contracts.conftest import Kind
from tests.contracts.harness import Wish, open_room

HOG = "held = []\nwhile True: held.append(bytearray(b'x' * 4 * 1024 * 1024))"
FORK_BOMB = """
import os, time
born = 0
try:
    while born < 5000:
        if os.fork() == 0:
            time.sleep(600)
        born += 1
except OSError:
    pass
result = born
"""
FILL_TMP = """
import errno
result = 0
try:
    with open('/tmp/fill', 'wb') as file:
        while result < 700:
            file.write(bytes(1024 * 1024))
            result += 1
except OSError as error:
    assert error.errno == errno.ENOSPC, error
"""


@pytest.mark.needs("memory")
async def test_going_over_the_memory_limit_ends_the_worker_and_is_told(isolation: Isolation, kind: Kind) -> None:
    wish = Wish(limits=Limits(memory_mb=128), oci_runtime=kind.oci_runtime)
    async with open_room(isolation, wish) as room:
        worker = await room.spawn()
        assert not room.box.out_of_memory()
        assert await room.attempt(worker, HOG) is None
        await room.over()
        assert room.box.out_of_memory()
        assert not room.box.out_of_memory(), "told once"


@pytest.mark.needs("memory", "spares the keeper")
async def test_after_running_out_of_memory_the_next_worker_runs(isolation: Isolation, kind: Kind) -> None:
    wish = Wish(limits=Limits(memory_mb=128), oci_runtime=kind.oci_runtime)
    async with open_room(isolation, wish) as room:
        assert await room.attempt(await room.spawn(), HOG) is None
        assert (await room.exited()).head == {"signal": 9}
        assert await room.run(await room.spawn(), "result = 'fresh'") == "fresh"


@pytest.mark.needs("pids")
async def test_a_fork_bomb_stays_inside(isolation: Isolation, kind: Kind) -> None:
    limits = Limits(memory_mb=1024, pids=64)  # gVisor keeps its own books of each process in here
    async with open_room(isolation, Wish(limits=limits, oci_runtime=kind.oci_runtime)) as room:
        worker = await room.spawn()
        assert await room.run(worker, FORK_BOMB) < 64
        neighbour = await asyncio.create_subprocess_exec("true")
        assert await neighbour.wait() == 0, "the host still starts processes"
        await room.box.destroy("it is a bomb")


@pytest.mark.needs("tmp")
async def test_tmp_is_limited(isolation: Isolation, kind: Kind) -> None:
    limits = Limits(memory_mb=1024, tmp_mb=512)  # what is in /tmp counts as memory, too
    async with open_room(isolation, Wish(limits=limits, oci_runtime=kind.oci_runtime)) as room:
        assert 500 <= await room.run(await room.spawn(), FILL_TMP) <= 512


@pytest.mark.needs("pids")
async def test_open_files_are_limited(isolation: Isolation, kind: Kind) -> None:
    limits = Limits(memory_mb=256, open_files=100)
    source = "import resource; result = resource.getrlimit(resource.RLIMIT_NOFILE)"
    async with open_room(isolation, Wish(limits=limits, oci_runtime=kind.oci_runtime)) as room:
        worker = await room.spawn()
        assert await room.run(worker, source) == [100, 100]
        assert await room.error(worker, "files = [open('/dev/null') for _ in range(200)]") == "OSError"
