"""What is special about stem cells of the sandbox; that their boxes keep every promise is in tests/contracts."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from invoker.isolation.cgroup import Cgroups
from invoker.isolation.mounts import unavailable
from invoker.isolation.sandbox import SandboxIsolation
from invoker.isolation.stem_cells import StemCells, StemSettings
from samovar.function import Limits, Network
from tests.contracts.harness import Room, Wish, open_room

RUNTIME = "python3.11"
MOUNTS = """
result = {}
for line in open('/proc/self/mountinfo'):
    place, options = line.split()[4:6]
    result[place] = options.split(',')
"""

pytestmark = [
    pytest.mark.component("bubblewrap"),
    pytest.mark.skipif(unavailable() is not None, reason=f"stem cells: {unavailable()}"),
]


@pytest.fixture
async def cells(tmp_path: Path) -> AsyncIterator[StemCells]:
    cells = stem_cells(tmp_path)
    yield cells
    await cells.close()
    assert not (tmp_path / "stems").exists()


def stem_cells(
    folder: Path, find_cgroups: Callable[[str], Cgroups | None] = Cgroups.find, network: Network = "none"
) -> StemCells:
    """Two cells of each runtime."""
    isolation = SandboxIsolation(f"test{os.urandom(4).hex()}", find_cgroups=find_cgroups)
    return StemCells(
        isolation, StemSettings(folder=folder / "stems", floor=2, at_rest=2, most=2, network=network, pause_s=0)
    )


async def stocked(cells: StemCells) -> None:
    """Return when there are as many as there should be."""
    await cells.prepare(RUNTIME)
    await until(lambda: cells.ready[RUNTIME] == 2)


async def until(holds: Callable[[], bool]) -> None:
    """Return when it does."""
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.to_thread(lambda: None)


async def ask(room: Room, source: str) -> Any:
    """What a new worker answers."""
    return await room.run(await room.spawn(), source)


async def test_code_and_sockets_appear_read_only_in_their_own_box_alone(cells: StemCells) -> None:
    await stocked(cells)
    async with open_room(cells, Wish()) as one, open_room(cells, Wish()) as other:
        assert cells.bound == 2
        for room in (one, other):
            mounts = await ask(room, MOUNTS)
            assert {"ro", "nosuid", "nodev"} <= set(mounts["/var/task"])
            assert {"ro", "nosuid", "nodev"} <= set(mounts["/run/samovar"])
            assert room.socket_dir.parent.name not in await asyncio.to_thread(Path("/proc/self/mountinfo").read_text)


async def test_each_box_has_a_user_of_its_own_whose_sockets_these_are(cells: StemCells) -> None:
    await stocked(cells)
    async with open_room(cells, Wish()) as one, open_room(cells, Wish()) as other:
        assert cells.bound == 2
        owners = [{path.stat().st_uid for path in room.socket_dir.iterdir()} for room in (one, other)]
        assert owners[0].isdisjoint(owners[1])
        assert 0 not in owners[0] | owners[1]


async def test_a_box_has_the_limits_it_asked_for(cells: StemCells) -> None:
    await stocked(cells)
    async with open_room(cells, Wish(limits=Limits(memory_mb=1024))) as room:
        assert await ask(room, "result = len(b'x' * (600 << 20)) >> 20") == 600
    assert cells.bound == 1


async def test_what_a_cell_used_is_not_charged_to_the_function(cells: StemCells) -> None:
    await stocked(cells)
    used = min(cell.box.usage().cpu_us for cell in cells._supply)
    async with open_room(cells, Wish()) as room:
        assert 0 <= room.box.usage().cpu_us < used
    assert cells.bound == 1


async def test_what_a_started_box_cannot_change_starts_as_ever(cells: StemCells) -> None:
    await stocked(cells)
    for wish in (Wish(limits=Limits(tmp_mb=600)), Wish(limits=Limits(pids=50)), Wish(limits=Limits(open_files=100))):
        async with open_room(cells, wish) as room:
            assert await ask(room, "result = 1") == 1
    assert cells.bound == 0


async def test_the_oci_runtime_of_a_function_is_none_of_its_business(cells: StemCells) -> None:
    await stocked(cells)
    async with open_room(cells, Wish(oci_runtime="runsc")) as room:
        assert await ask(room, "result = 1") == 1
    assert cells.bound == 1


@pytest.mark.parametrize(("network", "devices"), [("none", {"lo"}), ("bridge", {"lo", "eth0"})])
async def test_cells_have_the_network_that_functions_have(tmp_path: Path, network: Network, devices: set[str]) -> None:
    cells = stem_cells(tmp_path, network=network)
    await stocked(cells)
    async with open_room(cells, Wish(network=network)) as room:
        named = "result = [line.split(':')[0].strip() for line in list(open('/proc/net/dev'))[2:]]"
        assert {"lo", "eth0"} & set(await ask(room, named)) == devices
    assert cells.bound == 1
    await cells.close()


async def test_a_cell_that_is_killed_is_replaced(cells: StemCells) -> None:
    await stocked(cells)
    victim = next(iter(cells._supply)).box
    assert victim.pid is not None
    assert victim.control_groups is not None
    group = victim.control_groups.folders["memory"]
    os.kill(victim.pid, signal.SIGKILL)
    await until(lambda: cells.ready[RUNTIME] < 2)
    await until(lambda: cells.ready[RUNTIME] == 2 and not group.exists())


async def test_a_sweep_leaves_our_own_cells(cells: StemCells) -> None:
    await stocked(cells)
    assert await cells.sweep() == 0
    assert cells.ready[RUNTIME] == 2


async def test_without_control_groups_there_are_none_and_the_status_says_so(tmp_path: Path) -> None:
    cells = stem_cells(tmp_path, lambda _: None)
    await cells.prepare(RUNTIME)
    async with open_room(cells, Wish()) as room:
        assert await ask(room, "result = 'started as ever'") == "started as ever"
    async with asyncio.timeout(30):
        while "none: there are no control groups" not in (await cells.status()).limits["stem_cells"]:
            continue
    assert cells.bound == 0
    await cells.close()
