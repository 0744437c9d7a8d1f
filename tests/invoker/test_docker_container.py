"""What the engine is asked for, for a given box; nothing here talks to an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from invoker.isolation.contract import BoxSpec
from invoker.isolation.docker_box import describe_end
from invoker.isolation.docker_container import check_runtime, container_config
from invoker.isolation.docker_engine import EngineFacts
from invoker.isolation.docker_images import image_tag
from samovar.errors import EnvironmentFailure
from samovar.function import Limits, Network, OciRuntime

FACTS = EngineFacts("20.10", 2, "1", "cgroupfs", {"runc": (), "runsc": ("--network=none", "--host-uds=open")})


def spec(*, memory_mb: int = 128, network: Network = "none", oci_runtime: OciRuntime = "runc") -> BoxSpec:
    """A box with limits that are easy to recognise."""
    return BoxSpec(
        id="0123456789abcdef",
        runtime="python3.11",
        code_dir=Path("/data/code/abc"),
        socket_dir=Path("/run/boxes/0123"),
        limits=Limits(memory_mb=memory_mb, tmp_mb=600, pids=50, open_files=77),
        network=network,
        oci_runtime=oci_runtime,
        labels={"samovar.function": "orders", "version": "3"},
    )


def host_config(box: BoxSpec, cpus: int = 2) -> dict[str, Any]:
    """The part of the container that is about the host."""
    found: dict[str, Any] = container_config(box, "i1", "image", cpus)["HostConfig"]
    return found


def test_a_box_has_no_privilege_and_nothing_to_write_but_tmp() -> None:
    config = container_config(spec(), "i1", "image", 2)
    host = config["HostConfig"]
    assert config["User"].split(":")[0] != "0"
    assert host["CapDrop"] == ["ALL"]
    assert "no-new-privileges" in host["SecurityOpt"]
    assert host["ReadonlyRootfs"] is True
    assert host["IpcMode"] == "none"
    assert all(mount["ReadOnly"] for mount in host["Mounts"])
    assert set(host["Tmpfs"]) == {"/tmp"}


def test_memory_is_the_limit_with_no_swap_on_top() -> None:
    host = host_config(spec(memory_mb=256))
    assert host["Memory"] == host["MemorySwap"] == 256 * 1024 * 1024


@pytest.mark.parametrize(("memory_mb", "cpus", "expected"), [(128, 2, 1.0), (3538, 8, 2.0), (10_240, 2, 2.0)])
def test_a_box_may_use_one_cpu_or_its_share_but_no_more_than_the_host_has(
    memory_mb: int, cpus: int, expected: float
) -> None:
    assert host_config(spec(memory_mb=memory_mb), cpus)["NanoCpus"] == pytest.approx(expected * 1e9, rel=0.01)


def test_cpu_shares_grow_with_memory() -> None:
    small, large = (host_config(spec(memory_mb=mb))["CpuShares"] for mb in (128, 1280))
    assert large == pytest.approx(10 * small, rel=0.02)


def test_the_bridge_is_the_instances_own() -> None:
    assert host_config(spec(network="bridge"))["NetworkMode"] == "samovar-i1"
    assert host_config(spec(network="host"))["NetworkMode"] == "host"


def test_runc_bounds_processes_by_cgroup_and_gvisor_by_its_own_rlimit() -> None:
    runc, runsc = host_config(spec()), host_config(spec(oci_runtime="runsc"))
    assert runc["PidsLimit"] == 50
    assert "nproc" not in {ulimit["Name"] for ulimit in runc["Ulimits"]}
    assert {"Name": "nproc", "Soft": 50, "Hard": 50} in runsc["Ulimits"]
    assert runsc["PidsLimit"] > 5 * 50


def test_labels_name_the_instance_the_box_and_the_function() -> None:
    assert container_config(spec(), "i1", "image", 2)["Labels"] == {
        "samovar.instance": "i1",
        "samovar.box": "0123456789abcdef",
        "samovar.function": "orders",
        "samovar.version": "3",
    }


def test_a_runtime_the_engine_lacks_is_refused_with_those_it_has() -> None:
    with pytest.raises(EnvironmentFailure, match=r"no OCI runtime 'kata', it offers runc, runsc"):
        check_runtime(spec(oci_runtime="kata"), FACTS)


def test_a_network_that_would_silently_be_missing_is_refused() -> None:
    with pytest.raises(EnvironmentFailure, match="registered with --network=none"):
        check_runtime(spec(oci_runtime="runsc", network="bridge"), FACTS)
    check_runtime(spec(oci_runtime="runsc"), FACTS)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"ExitCode": 3}, "exited with status 3"),
        ({"ExitCode": 137}, "was killed by SIGKILL"),
        ({"ExitCode": 137, "OOMKilled": True}, "was killed because it went over its memory limit"),
        ({"ExitCode": 127, "Error": "no such file"}, "failed with status 127: no such file"),
        ({}, "was removed"),
    ],
)
def test_an_end_is_told_in_words(state: dict[str, Any], words: str) -> None:
    assert describe_end(state) == words


def test_an_images_tag_changes_with_its_files_and_its_base(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM x\n")
    before = image_tag("samovar/x", tmp_path, "base")
    assert image_tag("samovar/x", tmp_path, "base") == before
    assert image_tag("samovar/x", tmp_path, "other") != before
    (tmp_path / "Dockerfile").write_text("FROM y\n")
    assert image_tag("samovar/x", tmp_path, "base") != before
