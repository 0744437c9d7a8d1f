"""Reading what a container has used, from files laid out as the kernel does."""

from __future__ import annotations

import os
from pathlib import Path

from invoker.isolation.contract import Usage
from invoker.isolation.docker_usage import ContainerMeter, container_places, tree_usage

CONTAINER = "c" * 64


def process(proc: Path, pid: int, *, peak_kb: int, ticks: int, children: tuple[int, ...] = ()) -> None:
    """A process as /proc shows it."""
    task = proc / str(pid) / "task" / str(pid)
    task.mkdir(parents=True)
    (task / "children").write_text(" ".join(map(str, children)))
    (proc / str(pid) / "status").write_text(f"Name:\tpython3\nVmHWM:\t{peak_kb} kB\n")
    (proc / str(pid) / "stat").write_text(f"{pid} (a) b) S 1 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0\n")


def test_a_tree_is_its_processes_added_up(tmp_path: Path) -> None:
    process(tmp_path, 1, peak_kb=100, ticks=3, children=(2, 3))
    process(tmp_path, 2, peak_kb=200, ticks=4)
    process(tmp_path, 3, peak_kb=50, ticks=0, children=(99,))  # 99 has ended
    tick_us = 1_000_000 // os.sysconf("SC_CLK_TCK")
    assert tree_usage(1, tmp_path) == Usage(350 * 1024, 7 * tick_us)


def test_a_cgroup_is_found_by_the_containers_id_when_its_process_is_not_visible(tmp_path: Path) -> None:
    assert container_places(CONTAINER, None, tmp_path) is None
    folder = tmp_path / "system.slice" / f"docker-{CONTAINER}.scope"
    folder.mkdir(parents=True)
    (folder / "cgroup.controllers").write_text("memory pids cpu")
    places = container_places(CONTAINER, None, tmp_path)
    assert places is not None
    assert places.version == 2
    assert set(places.folders.values()) == {folder}


def test_without_cgroups_a_meter_reads_the_processes_and_keeps_its_last_values() -> None:
    meter = ContainerMeter(CONTAINER, os.getpid())
    assert meter.source.startswith("/proc")
    reading = meter.usage()
    assert reading.peak_memory_bytes > 1024 * 1024
    assert reading.cpu_us > 0
    meter.close()
    meter.close()
    assert meter.usage().cpu_us >= reading.cpu_us
    assert meter.new_memory_kills() is False


def test_a_meter_that_sees_nothing_says_so() -> None:
    meter = ContainerMeter(CONTAINER, None)
    assert meter.source.startswith("none")
    assert meter.usage() == Usage(0, 0)
