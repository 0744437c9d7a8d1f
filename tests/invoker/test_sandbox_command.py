"""bubblewrap's command line, the system call filter, and the stand-ins for control groups."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from invoker.isolation.contract import BoxSpec
from invoker.isolation.sandbox import seccomp
from invoker.isolation.sandbox.bwrap import Descriptors, Program, options
from invoker.isolation.watch import look, processes
from samovar.function import Limits, Network

PROGRAM = Program(arguments=("/opt/py/bin/python3",), mounts=("/opt/py",), runtime_dir=Path("/srv/runtime"))


def words(network: Network = "none", user_namespace: int | None = None, *, stem: bool = False) -> str:
    spec = BoxSpec(
        id="0123456789abcdef",
        runtime="python3.11",
        code_dir=Path("/data/code/abc"),
        socket_dir=Path("/data/run/abc"),
        limits=Limits(tmp_mb=512),
        network=network,
        variables={"GREETING": "hello world"},
    )
    descriptors = Descriptors(
        files={"/etc/passwd": 11}, seccomp=12, info=13, block=14, user_namespace=user_namespace
    )  # fmt: skip
    return "\n".join(options(spec, PROGRAM, descriptors, stem=stem))


def line(*given: str) -> str:
    return "\n".join(given)


def test_code_runtime_and_sockets_are_read_only_at_their_places() -> None:
    for source, place in (
        ("/data/code/abc", "/var/task"),
        ("/srv/runtime", "/var/runtime"),
        ("/data/run/abc", "/run/samovar"),
        ("/opt/py", "/opt/py"),
    ):
        assert line("--ro-bind", source, place) in words()


def test_the_only_writable_mount_is_a_limited_tmp() -> None:
    assert line("--size", str(512 * 1024 * 1024), "--tmpfs", "/tmp") in words()
    assert "--bind" not in words().splitlines()
    assert words().index("--remount-ro") > words().index("/run/samovar"), "after all mount points are made"


def test_a_box_without_code_has_empty_folders_for_a_function_and_the_socket_it_waits_on() -> None:
    for place in ("/var/task", "/var/task/lib", "/run/samovar"):
        assert line("--dir", place) in words(stem=True)
    assert line("--ro-bind", "/data/run/abc", "/run/samovar-stem") in words(stem=True)
    assert "/data/code/abc" not in words(stem=True)


def test_the_root_is_not_the_hosts() -> None:
    for path in ("/home", "/root", "/var", "/etc", "/"):
        assert line("--ro-bind", path, path) not in words()


@pytest.mark.parametrize(("network", "own"), [("none", True), ("bridge", True), ("host", False)])
def test_only_network_host_shares_the_hosts(network: Network, own: bool) -> None:
    assert ("--unshare-net" in words(network).splitlines()) is own


def test_without_root_bubblewrap_makes_the_user_namespace_and_forbids_more() -> None:
    assert line("--unshare-user", "--disable-userns") in words()


def test_with_root_it_is_given_one_which_the_keeper_does_not_inherit() -> None:
    assert line("--userns", "9", "--sync-fd", "9") in words(user_namespace=9)
    assert "--unshare-user" not in words(user_namespace=9)


def test_the_environment_is_cleared_before_it_is_set() -> None:
    assert words().index("--clearenv") < words().index(line("--setenv", "GREETING", "hello world"))


def test_the_filter_is_a_program_for_this_architecture() -> None:
    program = seccomp.program()
    assert len(program) % struct.calcsize("HBBI") == 0
    assert program is seccomp.program(), "built once"


def test_looking_at_a_process_finds_its_memory_and_time() -> None:
    sample = look(os.getpid())
    assert sample is not None
    assert sample.highest >= sample.resident > 1024 * 1024
    assert sample.cpu_us > 0


def test_looking_at_a_process_that_has_ended_finds_nothing(tmp_path: Path) -> None:
    assert look(1, tmp_path) is None


def test_a_tree_of_processes_is_walked_parents_first(tmp_path: Path) -> None:
    for pid, task, children in ((5, 5, "6 7"), (6, 6, ""), (6, 8, "9"), (7, 7, ""), (9, 9, "")):
        folder = tmp_path / str(pid) / "task" / str(task)
        folder.mkdir(parents=True)
        (folder / "children").write_text(children)
    assert processes(5, tmp_path) == [5, 6, 7, 9]
