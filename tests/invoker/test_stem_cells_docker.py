"""The life of stem cells in a real engine; that their boxes keep every promise is in tests/contracts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from docker import APIClient
from docker.errors import NotFound

from invoker.isolation.contract import BoxSpec
from invoker.isolation.docker import DockerIsolation
from invoker.isolation.docker_box import DockerBox
from invoker.isolation.stem_cells import StemCells, StemSettings
from samovar.function import Limits
from tests.contracts.harness import Room, Wish, open_room, within

pytestmark = pytest.mark.component("docker")

BASE_IMAGE = "samovar-base:bookworm"
RUNTIME = "python3.11"


class Engine:
    """What the engine has of one instance."""

    def __init__(self, instance: str) -> None:
        self.instance = instance
        self._client = APIClient(version="auto")

    def containers(self) -> list[dict[str, Any]]:
        """All of them, running or not."""
        found: list[dict[str, Any]] = self._client.containers(
            all=True, filters={"label": f"samovar.instance={self.instance}"}
        )
        return found

    def pids(self) -> list[int]:
        """First processes of those that run."""
        found = []
        for container in self.containers():
            with contextlib.suppress(NotFound):
                found.append(self._client.inspect_container(container["Id"])["State"]["Pid"])
        return found

    def limits(self, box: str) -> dict[str, Any]:
        """What the engine believes of a box."""
        host: dict[str, Any] = self._client.inspect_container(f"samovar-{box}")["HostConfig"]
        return host

    def names(self) -> set[str]:
        """Names of the containers."""
        return {found["Names"][0].lstrip("/") for found in self.containers()}

    def close(self) -> None:
        """Hang up."""
        self._client.close()


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = Engine(f"test{os.urandom(4).hex()}")
    yield engine
    left = engine.containers()
    engine.close()
    assert left == []


@pytest.fixture
async def cells(engine: Engine, tmp_path: Path) -> AsyncIterator[StemCells]:
    cells = stem_cells(engine, tmp_path)
    yield cells
    await cells.close()
    assert not (tmp_path / "stems").exists()


def stem_cells(engine: Engine, tmp_path: Path, keep_s: float = 600) -> StemCells:
    """Two cells of each runtime."""
    settings = StemSettings(folder=tmp_path / "stems", floor=2, at_rest=2, most=4, pause_s=0, keep_s=keep_s)
    return StemCells(DockerIsolation(engine.instance, base_image=BASE_IMAGE), settings)


async def until(holds: Callable[[], bool]) -> None:
    """Return when it does."""
    async with asyncio.timeout(120):
        while not await asyncio.to_thread(holds):
            await asyncio.to_thread(threading.Event().wait, 0.01)


async def stocked(cells: StemCells, count: int = 2) -> None:
    """Return when that many cells are ready."""
    await until(lambda: cells.ready[RUNTIME] == count)


async def test_a_start_uses_a_cell_and_another_takes_its_place(cells: StemCells, engine: Engine) -> None:
    await cells.prepare(RUNTIME)
    await stocked(cells)
    assert "ready: 2 of python3.11" in (await cells.status()).limits["stem_cells"]
    async with open_room(cells, Wish(limits=Limits(memory_mb=128))):
        assert cells.bound == 1
        await stocked(cells)
        assert len(engine.containers()) == 3


async def test_what_a_running_container_cannot_change_starts_as_ever(cells: StemCells) -> None:
    await cells.prepare(RUNTIME)
    await stocked(cells)
    for wish in (
        Wish(limits=Limits(tmp_mb=600)),
        Wish(limits=Limits(pids=50)),
        Wish(limits=Limits(open_files=100)),
        Wish(network="host"),
    ):
        async with open_room(cells, wish) as room:
            assert await room.run(await room.spawn(), "result = 1") == 1
    assert cells.bound == 0


async def test_a_box_has_the_limits_it_asked_for_and_the_engine_learns_of_them(
    cells: StemCells, engine: Engine
) -> None:
    await cells.prepare(RUNTIME)
    await stocked(cells)
    async with open_room(cells, Wish(limits=Limits(memory_mb=1024))) as room:
        assert await held(room, 600) == 600
        await until(lambda: f"samovar-{room.box.id}" in engine.names())
        assert engine.limits(room.box.id)["Memory"] == 1024 * 1024 * 1024
        assert await held(room, 700) == 700
    assert cells.bound == 1


async def held(room: Room, size_mb: int) -> Any:
    """Have a worker fill that much memory; how much it could."""
    return await room.run(await spawned(room), f"result = len(b'x' * ({size_mb} << 20)) >> 20")


async def spawned(room: Room) -> Any:
    """The room's only worker."""
    return room.connections[-1] if room.workers else await room.spawn()


async def test_what_a_cell_used_is_not_charged_to_the_function(cells: StemCells) -> None:
    await cells.prepare(RUNTIME)
    await stocked(cells)
    (used,) = {cell.box.usage().cpu_us for cell in list(cells._supply)[:1]}
    async with open_room(cells, Wish()) as room:
        assert 0 <= room.box.usage().cpu_us < used


async def test_code_of_one_function_is_not_seen_by_another_nor_on_the_host(cells: StemCells) -> None:
    await cells.prepare(RUNTIME)
    await stocked(cells)
    async with open_room(cells, Wish()) as one, open_room(cells, Wish()) as other:
        assert cells.bound == 2
        seen = "result = [line.split()[3] for line in open('/proc/self/mountinfo') if '/var/task' in line]"
        (first,), (second,) = [await room.run(await room.spawn(), seen) for room in (one, other)]
        assert first != second
        mounts = await asyncio.to_thread(Path("/proc/self/mountinfo").read_text)
        assert first not in mounts
        assert second not in mounts


async def test_a_cell_that_is_killed_is_replaced(cells: StemCells, engine: Engine) -> None:
    await cells.prepare(RUNTIME)
    await stocked(cells)
    before = engine.pids()
    os.kill(before[0], signal.SIGKILL)
    await until(lambda: cells.ready[RUNTIME] == 2 and before[0] not in engine.pids() and len(engine.pids()) == 2)
    assert before[1] in engine.pids()


async def test_a_cell_that_died_unnoticed_is_passed_over(cells: StemCells, engine: Engine) -> None:
    await cells.prepare(RUNTIME)
    await stocked(cells)
    for pid in engine.pids():  # the event loop has no turn to see it before the start below
        process = os.pidfd_open(pid)
        signal.pidfd_send_signal(process, signal.SIGKILL)
        assert select.select([process], [], [], 10)[0]
        os.close(process)
    async with open_room(cells, Wish()) as room:
        assert await room.run(await room.spawn(), "result = 'started as ever'") == "started as ever"
    assert cells.bound == 0


async def test_a_bind_that_fails_is_a_plain_start_instead(cells: StemCells, engine: Engine, tmp_path: Path) -> None:
    await cells.prepare(RUNTIME)
    await stocked(cells)
    spec = BoxSpec(
        id=os.urandom(8).hex(), runtime=RUNTIME, code_dir=tmp_path / "gone", socket_dir=tmp_path, limits=Limits()
    )
    with pytest.raises(Exception, match="gone"):
        await cells.start(spec)
    assert cells.bound == 0


async def test_a_cancelled_start_leaves_no_container(cells: StemCells, engine: Engine, tmp_path: Path) -> None:
    await cells.prepare(RUNTIME)
    await stocked(cells)
    spec = BoxSpec(id=os.urandom(8).hex(), runtime=RUNTIME, code_dir=tmp_path, socket_dir=tmp_path, limits=Limits())
    starting = asyncio.create_task(cells.start(spec))
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await stocked(cells)
    await until(lambda: len(engine.containers()) == 2)


async def test_cells_of_a_runtime_go_when_it_is_not_used_any_more(engine: Engine, tmp_path: Path) -> None:
    cells = stem_cells(engine, tmp_path, keep_s=3)
    async with open_room(cells, Wish()) as room:
        assert isinstance(room.box, DockerBox)
        # One is enough: on a busy machine the second may not be there before it is not wanted any more.
        await until(lambda: cells.ready[RUNTIME] > 0)
    await until(lambda: engine.containers() == [])
    await within(cells.close())


async def test_a_sweep_leaves_our_own_cells(cells: StemCells, engine: Engine) -> None:
    await cells.prepare(RUNTIME)
    await stocked(cells)
    assert await cells.sweep() == 0
    assert cells.ready[RUNTIME] == 2
    assert len(engine.containers()) == 2
