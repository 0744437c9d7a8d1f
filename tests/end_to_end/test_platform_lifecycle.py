"""The life of a real platform: up, status, a child killed, the supervisor killed, down; and that nothing is left."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.end_to_end.platform_box import PlatformBox, platform_box, samovar, until

pytestmark = [pytest.mark.component("valkey", "celery", "bubblewrap")]


@pytest.fixture
def box() -> Iterator[PlatformBox]:
    with platform_box() as box:
        yield box


@pytest.fixture(scope="module")
def running() -> Iterator[PlatformBox]:
    """One platform for the tests that leave it running."""
    with platform_box() as box:
        started = box.up()
        assert started.returncode == 0, started.stderr
        assert "is ready" in started.stdout
        assert f"samovar down --data-dir {box.folder}" in started.stdout
        yield box


def test_status_tells_every_process_and_what_limits_hold(running: PlatformBox) -> None:
    status = running.status()
    assert status["ready"]
    assert status["isolation"] == "sandbox"
    assert status["store"].startswith("unix://")
    assert [process["name"] for process in status["processes"]] == [
        "supervisor",
        "store",
        "invoker",
        "gateway",
        "worker",
    ]
    for process in status["processes"]:
        assert process["phase"] == "running"
        assert process["memory_mb"] > 0
    sandbox = next(entry for entry in status["invoker"]["isolations"] if entry["name"] == "sandbox")
    assert sandbox["available"]
    assert sandbox["limits"]["memory"]


def test_status_for_a_person_shows_the_same(running: PlatformBox) -> None:
    shown = samovar("status", "--data-dir", str(running.folder))
    assert shown.returncode == 0, shown.stderr
    for expected in (running.url, "supervisor", "worker", "sandbox", "python3"):
        assert expected in shown.stdout


@pytest.mark.parametrize("name", ["worker", "gateway", "invoker", "store"])
def test_a_child_that_is_killed_comes_back_and_the_others_stay(running: PlatformBox, name: str) -> None:
    before = {process["name"]: process["pid"] for process in running.status()["processes"]}
    os.kill(before[name], signal.SIGKILL)
    until(lambda: running.process(name)["phase"] == "running" and running.process(name)["pid"] != before[name], name)
    after = {process["name"]: process["pid"] for process in running.status()["processes"]}
    assert {other: pid for other, pid in after.items() if other != name} == {
        other: pid for other, pid in before.items() if other != name
    }
    until(running.healthy, "the gateway answers")
    said = (running.folder / "logs-platform" / "samovar.log").read_text()
    assert f"{name} was killed by SIGKILL" in said


def test_a_second_instance_is_refused_naming_the_first(running: PlatformBox) -> None:
    refused = samovar("up", "--data-dir", str(running.folder), "--port", "0")
    assert refused.returncode == 3
    pid = running.process("supervisor")["pid"]
    assert f"in use by another Samovar (pid {pid})" in refused.stderr
    assert running.healthy()


def test_down_ends_everything(box: PlatformBox) -> None:
    assert box.up().returncode == 0
    stopped = box.down()
    assert (stopped.returncode, stopped.stderr) == (0, "")
    assert "has stopped" in stopped.stdout
    box.assert_nothing_left()
    assert samovar("status", "--data-dir", str(box.folder)).returncode == 3
    again = box.down()
    assert again.returncode == 0
    assert "no Samovar is running" in again.stdout


def test_ctrl_c_in_the_foreground_ends_everything(box: PlatformBox) -> None:
    with box.foreground() as process:
        assert box.healthy()
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        rest = process.stdout.read()
        assert process.wait() == 0
    assert "stopping; running calls are given 10 s" in rest
    box.assert_nothing_left()


def test_a_killed_supervisor_takes_everything_along(box: PlatformBox) -> None:
    assert box.up().returncode == 0
    os.kill(box.process("supervisor")["pid"], signal.SIGKILL)
    until(lambda: not box.processes(), "its children end")
    assert box.mounts() == []
    assert not box.status()["running"]
    assert box.up().returncode == 0
    assert box.healthy()


def test_several_gateways_share_the_port(box: PlatformBox) -> None:
    assert box.up("--gateway-workers", "2").returncode == 0
    os.kill(box.process("gateway-1")["pid"], signal.SIGKILL)
    assert box.healthy()
    until(lambda: box.process("gateway-1")["restarts"] == 1, "it is started again")
