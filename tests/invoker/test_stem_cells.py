"""How many stem cells there should be, and what the engine is asked for to have one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from invoker.isolation.contract import BoxSpec
from invoker.isolation.docker_container import container_config, later_limits, stem_config
from invoker.isolation.stem_cell import STEM_SOCKET, StemSocket
from invoker.isolation.stem_stock import StemStock
from samovar.function import Limits


def test_without_use_there_are_none() -> None:
    assert StemStock(2, 8, 600).missing({}, 0) is None


def test_a_prepared_runtime_has_its_floor_always() -> None:
    stock = StemStock(2, 8, 600)
    stock.always("python3.11")
    assert stock.target(1e9) == {"python3.11": 2}
    assert stock.missing({"python3.11": 1}, 1e9) == "python3.11"
    assert stock.missing({"python3.11": 2}, 1e9) is None


def test_a_runtime_has_cells_for_a_while_after_its_last_cold_start() -> None:
    stock = StemStock(1, 8, 600)
    stock.use("python3.12", 100)
    assert stock.missing({}, 699) == "python3.12"
    assert stock.surplus({"python3.12": 1}, 699) is None
    assert stock.missing({}, 700) is None
    assert stock.surplus({"python3.12": 1}, 700) == "python3.12"


def test_the_runtime_with_the_fewest_cells_is_next() -> None:
    stock = StemStock(2, 8, 600)
    stock.always("python3.11")
    stock.use("python3.12", 0)
    assert stock.missing({"python3.12": 1}, 1) == "python3.11"


def test_where_memory_is_short_every_runtime_has_one_before_any_has_two() -> None:
    stock = StemStock(2, 3, 600)
    for second, runtime in enumerate(("python3.11", "python3.12", "python3.13", "python3.14")):
        stock.use(runtime, second)
    assert stock.target(10) == {"python3.14": 1, "python3.13": 1, "python3.12": 1, "python3.11": 0}
    assert stock.surplus({"python3.11": 2}, 10) == "python3.11"


def spec(memory_mb: int) -> BoxSpec:
    """A box of that size."""
    return BoxSpec(
        id="0123456789abcdef",
        runtime="python3.11",
        code_dir=Path("/data/code/abc"),
        socket_dir=Path("/run/stem-cells/0123"),
        limits=Limits(memory_mb=memory_mb),
        labels={"samovar.stem": "python3.11"},
    )


def test_a_cell_is_a_box_without_code() -> None:
    cell, box = (make(spec(128), "i1", "image", 2) for make in (stem_config, container_config))
    host = cell.pop("HostConfig")
    differences = {name for name, value in box.pop("HostConfig").items() if host.get(name) != value}
    assert cell == box
    assert differences == {"Mounts", "NanoCpus"}
    assert [(mount["Source"], mount["ReadOnly"]) for mount in host["Mounts"]] == [("/run/stem-cells/0123", True)]


def test_a_bound_cell_has_the_limits_of_a_box() -> None:
    raised, host = later_limits(Limits(memory_mb=3538), 2), container_config(spec(3538), "i1", "image", 2)["HostConfig"]
    assert raised["mem_limit"] == host["Memory"]
    assert raised["memswap_limit"] == host["MemorySwap"]
    assert raised["cpu_shares"] == host["CpuShares"]
    assert raised["cpu_quota"] / raised["cpu_period"] == host["NanoCpus"] / 1e9


async def conversation(folder: Path) -> bytes:
    """Connect as a keeper does, say that it is ready, and wait; what it is told."""
    socket = StemSocket(folder)
    await socket.open()
    try:
        reader, writer = await asyncio.open_unix_connection(str(folder / STEM_SOCKET))
        writer.write(b"ready")
        await socket.ready()
        assert socket.is_connected
        socket.go_on()
    finally:
        socket.close()
    told = await reader.read()
    writer.close()
    await writer.wait_closed()
    return told


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_keeper_says_when_it_is_ready_and_is_told_to_go_on(
    new_loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(conversation(tmp_path / "cell")) == b"bound"
    assert not (tmp_path / "cell").exists()
