"""Control groups without a kernel: trees of plain files stand for what hosts mount."""

from __future__ import annotations

from pathlib import Path

import pytest

from invoker.isolation.cgroup import Cgroups, Gauge, Places, cpu_limit, cpu_shares, places_of
from invoker.isolation.contract import Usage
from samovar.function import Limits

LIMITS = Limits(memory_mb=3538, pids=64)
"""Worth two vCPUs."""


def a_proc(folder: Path, groups: str, mounts: str) -> Path:
    proc = folder / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text(groups)
    (proc / "self" / "mountinfo").write_text(mounts)
    return proc


def mount(point: Path, kind: str, options: str = "rw", root: str = "/") -> str:
    return f"30 20 0:26 {root} {point} rw,nosuid shared:9 - {kind} {kind} {options}\n"


def unified_group(folder: Path, controllers: str = "cpu memory pids", enabled: str = "cpu memory pids") -> Path:
    folder.mkdir(parents=True)
    (folder / "cgroup.controllers").write_text(controllers)
    (folder / "cgroup.subtree_control").write_text(enabled)
    (folder / "cgroup.procs").write_text("")
    return folder


def test_version_1_has_a_folder_for_each_controller(tmp_path: Path) -> None:
    groups = "4:memory:/here\n3:cpu,cpuacct:/\n2:pids:/\n0::/\n"
    mounts = (
        mount(tmp_path / "memory", "cgroup", "rw,memory")
        + mount(tmp_path / "cpu,cpuacct", "cgroup", "rw,cpu,cpuacct")
        + mount(tmp_path / "pids", "cgroup", "rw,pids")
        + mount(tmp_path / "unified", "cgroup2")
    )
    places = places_of("self", a_proc(tmp_path, groups, mounts))
    both = tmp_path / "cpu,cpuacct"
    folders = {"memory": tmp_path / "memory" / "here", "cpu": both, "cpuacct": both, "pids": tmp_path / "pids"}
    assert places == Places(1, folders)


def test_version_2_has_one_folder_for_all(tmp_path: Path) -> None:
    group = unified_group(tmp_path / "fs" / "user.slice")
    proc = a_proc(tmp_path, "0::/user.slice\n", mount(tmp_path / "fs", "cgroup2"))
    assert places_of("self", proc) == Places(2, dict.fromkeys(("memory", "cpu", "cpuacct", "pids"), group))


def test_a_mount_of_a_part_of_the_hierarchy_is_seen_through(tmp_path: Path) -> None:
    group = unified_group(tmp_path / "fs" / "inner")
    proc = a_proc(tmp_path, "0::/docker/abc/inner\n", mount(tmp_path / "fs", "cgroup2", root="/docker/abc"))
    assert places_of("self", proc).folders["memory"] == group


def test_a_host_without_controllers_gives_no_groups(tmp_path: Path) -> None:
    places = places_of("self", a_proc(tmp_path, "0::/\n", ""))
    assert places.folders == {}
    assert Cgroups.find("x", places) is None


def test_version_2_makes_the_parent_beside_us_when_our_own_group_cannot_have_children(tmp_path: Path) -> None:
    slice_ = unified_group(tmp_path / "app.slice")
    own = unified_group(slice_ / "samovar.service")
    (own / "cgroup.subtree_control").unlink()  # a group that holds processes refuses to be written to
    unified_group(slice_ / "samovar-x")
    found = Cgroups.find("x", Places(2, dict.fromkeys(("memory", "cpu", "cpuacct", "pids"), own)))
    assert found is not None
    assert found.limits() == dict.fromkeys(("memory", "cpu", "pids"), "cgroup v2")


@pytest.mark.parametrize(("memory_mb", "expected"), [(128, 1.0), (1769, 1.0), (3538, 2.0), (10_240, 10_240 / 1769)])
def test_processors_grow_with_memory_but_never_below_one(memory_mb: int, expected: float) -> None:
    assert cpu_limit(memory_mb) == expected


def test_shares_are_in_proportion_to_memory() -> None:
    assert (cpu_shares(1769), cpu_shares(3538)) == (1024, 2048)


def test_a_gauge_reads_version_1(tmp_path: Path) -> None:
    (tmp_path / "memory.max_usage_in_bytes").write_text("4096\n")
    (tmp_path / "cpuacct.usage").write_text("5000999\n")
    (tmp_path / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    gauge = Gauge(Places(1, {"memory": tmp_path, "cpuacct": tmp_path}))
    assert gauge.usage() == Usage(4096, 5000)
    assert gauge.out_of_memory_kills() == 2


def test_a_gauge_reads_version_2(tmp_path: Path) -> None:
    (tmp_path / "memory.peak").write_text("8192\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 77\nuser_usec 70\nsystem_usec 7\n")
    (tmp_path / "memory.events").write_text("low 0\noom 1\noom_kill 1\noom_group_kill 0\n")
    gauge = Gauge(Places(2, {"memory": tmp_path, "cpuacct": tmp_path}))
    assert gauge.usage() == Usage(8192, 77)
    assert [gauge.out_of_memory(), gauge.out_of_memory()] == [True, False]


def test_a_closed_gauge_keeps_its_last_reading(tmp_path: Path) -> None:
    (tmp_path / "memory.peak").write_text("8192\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 77\n")
    gauge = Gauge(Places(2, {"memory": tmp_path, "cpuacct": tmp_path}))
    gauge.close()
    gauge.close()
    assert gauge.usage() == Usage(8192, 77)


def test_a_gauge_without_controllers_reads_nothing() -> None:
    gauge = Gauge(Places(1, {}))
    assert gauge.usage() == Usage(0, 0)
    assert not gauge.measures_memory
