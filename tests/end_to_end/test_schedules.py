"""Schedules on a real platform: moments come on time and once, also when who runs them is killed meanwhile."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3  # type: ignore[import-untyped]  # it ships no types
import psutil
import pytest

from samovar.errors import SamovarError
from samovar.invocation import Reading
from tests.end_to_end.conftest import SANDBOX
from tests.end_to_end.lab import Function, Lab, laboratory
from tests.signing import key_for

DEADLINE_S = 60.0
"""A killed store, worker or gateway is back in a few seconds; a busy machine takes longer."""
ROLE = "arn:aws:iam::123456789012:role/samovar"
EVENT = "<aws.scheduler.scheduled-time>"


@pytest.fixture(scope="module", params=[SANDBOX])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A platform of this module's own, because its processes are killed."""
    with laboratory(request.param) as lab:
        yield lab


@pytest.fixture(scope="module")
def echo(lab: Lab) -> Function:
    return lab.deploy("def handler(event, context): return event", name="echo")


@pytest.fixture
def scheduler(lab: Lab) -> Any:
    key = key_for(lab.endpoint)
    session = boto3.Session(key.key_id, key.secret, region_name="us-east-1")
    return session.client("scheduler", endpoint_url=lab.endpoint)


def once_at(scheduler: Any, name: str, moment: datetime, target: str) -> None:
    scheduler.create_schedule(
        Name=name,
        ScheduleExpression=f"at({moment:%Y-%m-%dT%H:%M:%S})",
        FlexibleTimeWindow={"Mode": "OFF"},
        ActionAfterCompletion="DELETE",
        Target={"Arn": target, "RoleArn": ROLE, "Input": json.dumps({"at": EVENT})},
    )


def arn(function: Function) -> str:
    return f"arn:aws:lambda:us-east-1:123456789012:function:{function.name}"


def readings_of(function: Function, count: int) -> set[str]:
    """The request ids of a function's readings by schedules, once there are so many."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        found = {one.request_id for one in _scheduled(function)}
        if len(found) >= count:
            return found
        assert time.monotonic() < deadline, f"{len(found)} of {count} came\n{function.lab.platform.logs()}"
        time.sleep(0.1)


def _scheduled(function: Function) -> list[Reading]:
    try:
        return [one for one in function.readings() if one.trigger == "schedule"]
    except SamovarError:  # the gateway or the store has just been killed
        return []


def kill(lab: Lab, name: str) -> None:
    """`kill -9` of one of the platform's processes."""
    pid = lab.pids()[name]
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + DEADLINE_S
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.02)


def test_a_moment_starts_its_function_when_it_has_come(lab: Lab, echo: Function, scheduler: Any) -> None:
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    once_at(scheduler, "once", moment, arn(echo))
    readings_of(echo, 1)
    (reading,) = _scheduled(echo)
    assert reading.started_ms >= moment.timestamp() * 1000
    assert scheduler.list_schedules()["Schedules"] == []


def test_no_moment_is_lost_and_none_runs_twice_when_processes_are_killed(lab: Lab, scheduler: Any) -> None:
    function = lab.deploy("def handler(event, context): return event", name="counted")
    begin = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    for number in range(24):
        once_at(scheduler, f"n-{number}", begin + timedelta(seconds=number / 4), arn(function))
    for victim in ("worker", "store", "gateway", "worker"):
        time.sleep(1.5)
        kill(lab, victim)
    readings_of(function, 24)
    time.sleep(2)  # for one that would come twice
    # An event that a killed worker was running may be run again, under its own id; its moment never is.
    assert len(readings_of(function, 24)) == 24


def test_the_command_line_shows_pauses_and_removes(lab: Lab, echo: Function) -> None:
    cli = lab.platform.cli
    cli(
        "schedule", "add", "nightly", "cron(30 2 * * ? *)", "echo", "--timezone", "Europe/Berlin", "--input", '{"a": 1}'
    )
    (shown,) = [one for one in json.loads(cli("schedule", "ls", "--json").stdout) if one["name"] == "nightly"]
    assert (shown["input"], len(shown["next"])) == ({"a": 1}, 3)
    assert "nightly is off" in cli("schedule", "pause", "nightly").stdout
    assert "off" in cli("schedule", "ls").stdout
    assert "nightly is on, next " in cli("schedule", "resume", "nightly").stdout
    before = len(_scheduled(echo))
    cli("schedule", "run", "nightly")
    readings_of(echo, before + 1)
    cli("schedule", "rm", "nightly")
    assert "nightly" in cli("schedule", "rm", "nightly", fails_with=2).stderr
    refused = cli("schedule", "add", "wrong", "cron(1 2 3)", "echo", fails_with=2).stderr
    assert "Invalid Schedule Expression cron(1 2 3)." in refused
