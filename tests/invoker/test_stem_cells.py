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
from invoker.isolation.stem_stock import AT_REST, RUN_KEPT_S, StemStock
from samovar.function import Limits


def test_without_use_there_are_none() -> None:
    assert StemStock(2, 8, 600).missing({}, 0) is None


def test_a_prepared_runtime_has_a_cell_always_and_no_more_at_rest() -> None:
    stock = StemStock(2, 8, 600)
    stock.always("python3.11")
    assert stock.target(1e9) == {"python3.11": AT_REST} == {"python3.11": 1}
    assert stock.missing({}, 1e9) == "python3.11"
    assert stock.missing({"python3.11": 1}, 1e9) is None


def test_a_second_cold_start_soon_after_raises_it_to_the_floor_for_a_while() -> None:
    stock = StemStock(2, 8, 600)
    assert stock.target(run(stock, 1, 1.0)) == {"python3.11": 1}
    ended = run(stock, 2, 1.0, begins=1001.0)
    assert stock.target(ended) == {"python3.11": 3}
    assert stock.target(ended + RUN_KEPT_S - 1) == {"python3.11": 3}
    assert stock.surplus({"python3.11": 3}, ended + RUN_KEPT_S + 1) == "python3.11"
    assert stock.target(ended + RUN_KEPT_S + 1) == {"python3.11": 1}


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
    stock.use("python3.12", 1)
    assert stock.missing({"python3.12": 1}, 1) == "python3.11"


def test_where_memory_is_short_every_runtime_has_one_before_any_has_two() -> None:
    stock = StemStock(2, 3, 600)
    for second, runtime in enumerate(("python3.11", "python3.12", "python3.13", "python3.14")):
        stock.use(runtime, second)
    assert stock.target(10) == {"python3.14": 1, "python3.13": 1, "python3.12": 1, "python3.11": 0}
    assert stock.surplus({"python3.11": 2}, 10) == "python3.11"


def run(stock: StemStock, count: int, apart_s: float, begins: float = 1000.0) -> float:
    """So many cold starts one after the other; when the last one was."""
    for number in range(count):
        stock.use("python3.11", begins + number * apart_s)
    return begins + (count - 1) * apart_s


def test_a_run_of_cold_starts_raises_the_floor_and_a_while_later_it_is_back() -> None:
    stock = StemStock(2, 24, 600)
    ended = run(stock, 6, 0.25)
    assert stock.target(ended) == {"python3.11": 6}
    assert stock.target(ended + RUN_KEPT_S - 1) == {"python3.11": 6}
    assert stock.target(ended + RUN_KEPT_S + 1) == {"python3.11": 1}
    assert stock.surplus({"python3.11": 6}, ended + RUN_KEPT_S + 1) == "python3.11"


def test_a_run_raises_it_to_four_times_at_most_and_not_beyond_the_memory() -> None:
    stock, small = StemStock(2, 24, 600), StemStock(2, 5, 600)
    assert stock.target(run(stock, 100, 0.01)) == {"python3.11": 8}
    assert small.target(run(small, 100, 0.01)) == {"python3.11": 5}


def test_cold_starts_that_are_far_apart_are_no_run() -> None:
    stock = StemStock(2, 24, 600)
    assert stock.target(run(stock, 20, 5.0)) == {"python3.11": 1}


def test_a_short_run_does_not_end_what_a_long_one_has_raised() -> None:
    stock = StemStock(2, 24, 600)
    ended = run(stock, 8, 0.1)
    again = run(stock, 3, 0.1, begins=ended + RUN_KEPT_S / 2)
    assert stock.floor("python3.11", again) == 8
    assert stock.floor("python3.11", ended + RUN_KEPT_S + 1) == 1


def test_as_many_are_started_at_once_as_there_are_cores() -> None:
    stock = StemStock(4, 24, 600)
    run(stock, 4, 0.0, begins=0.0)
    assert stock.starts({}, {}, 2, 0.0) == ["python3.11"] * 2
    assert stock.starts({}, {"python3.11": 1}, 2, 0.0) == ["python3.11"]
    assert stock.starts({"python3.11": 2}, {"python3.11": 1}, 4, 0.0) == ["python3.11"]
    assert stock.starts({"python3.11": 4}, {}, 4, 0.0) == []
    assert stock.starts({"python3.11": 3}, {"python3.11": 1}, 4, 0.0) == []


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
