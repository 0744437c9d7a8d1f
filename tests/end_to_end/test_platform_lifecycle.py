"""The life of a real platform: up, status, a child killed, the supervisor killed, down; and that nothing is left."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from celery import Celery

from gateway.tasks.celery_app import broker_url
from samovar import usage
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
    assert status["processes"].pop()["phase"] in ("resting", "running")  # as there is something for it or not
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


def trim_readings(running: PlatformBox) -> None:
    """Put one of the worker's periodic tasks where it finds them, past everybody who would wake it."""
    with Celery("test", broker=broker_url(running.status()["store"])) as celery:
        celery.send_task("samovar.trim_readings", queue="samovar")


def test_the_worker_does_the_periodic_work(running: PlatformBox) -> None:
    with redis.Redis.from_url(running.status()["store"]) as store:
        store.zadd(usage.readings_key("arn:aws:lambda:us-east-1:123456789012:function:orders"), {"old": 1})
        trim_readings(running)
        until(lambda: not store.keys(usage.readings_key("*")), "the old reading is off the index")


def test_the_worker_starts_without_a_word_of_warning(running: PlatformBox) -> None:
    trim_readings(running)
    until(lambda: running.process("worker")["phase"] == "running", "the worker runs")
    said = (running.folder / "logs-platform" / "worker.log").read_text()
    assert "warning" not in said.lower()
    assert "error" not in said.lower()


@pytest.mark.parametrize("name", ["worker", "gateway", "invoker", "store"])
def test_a_child_that_is_killed_comes_back_and_the_others_stay(running: PlatformBox, name: str) -> None:
    trim_readings(running)
    until(lambda: running.process("worker")["phase"] == "running", "the worker runs")
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


def test_a_second_ctrl_c_does_not_wait_for_running_calls(box: PlatformBox, tmp_path: Path) -> None:
    (tmp_path / "function.toml").write_text('name = "sleeper"\nhandler = "app.handler"\ntimeout = 300\n')
    (tmp_path / "app.py").write_text("import time\n\n\ndef handler(event, context):\n    time.sleep(300)\n")
    with box.foreground("--drain-timeout-s", "600") as process, ThreadPoolExecutor() as pool:
        assert samovar("deploy", str(tmp_path), SAMOVAR_ENDPOINT=box.url).returncode == 0
        call = pool.submit(samovar, "invoke", "sleeper", SAMOVAR_ENDPOINT=box.url)
        until(lambda: box.status()["invoker"]["busy"] == 1, "the call runs")
        output = process.stdout
        assert output is not None
        process.send_signal(signal.SIGINT)
        until(lambda: "stopping" in output.readline(), "it drains")
        process.send_signal(signal.SIGINT)
        output.read()
        assert process.wait(30) == 0
        assert call.result().returncode != 0
    box.assert_nothing_left()


def test_a_folder_given_at_the_start_is_deployed_and_called(box: PlatformBox) -> None:
    folder = Path(__file__).parents[2] / "functions" / "hello-python"
    started = box.up("--with", str(folder))
    assert started.returncode == 0, started.stderr
    assert "hello-python is deployed" in started.stdout
    assert f"{box.url}/fn/hello-python" in started.stdout
    assert "Hello from Lambda!" in started.stdout


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
