"""A platform whose worker rests: nothing waits for long, and nothing is lost, whoever put it there and then died."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from gateway.events import keys
from gateway.events.event import NewEvent
from gateway.events.intake import Intake
from gateway.functions.store import connect
from samovar.clients import events as event_client
from samovar.clients.platform import Client
from samovar.names import function_arn, new_request_id
from samovar.settings import Settings
from tests.end_to_end.lab import Function, Lab, laboratory
from tests.end_to_end.platform_box import until

pytestmark = pytest.mark.component("bubblewrap", "valkey", "celery")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with laboratory("sandbox", worker_rest_s=0.5) as lab:
        yield lab


@pytest.fixture(scope="module")
def function(lab: Lab) -> Function:
    function = lab.deploy("def handler(event, context): return event")
    function.value()
    return function


@contextmanager
def another_has_run(function: Function) -> Iterator[None]:
    """Wait until an event has succeeded that is put there inside of it; the platform may be another by then."""
    before = succeeded(function)
    yield
    until(lambda: succeeded(function) == before + 1, "the event has run")


def succeeded(function: Function) -> int:
    with Client(function.lab.endpoint) as client:
        return event_client.events(client, function.name).counts.succeeded


def rests(lab: Lab) -> bool:
    return "worker" not in lab.pids()


def stored_by_somebody_who_died(function: Function) -> None:
    """An event in the store for which nobody was asked: its gateway was killed between the two."""
    settings = Settings(data_dir=str(function.lab.platform.data_dir))

    async def store() -> None:
        async with connect(settings.store_url) as client:
            intake = Intake(client, lambda lines: None, settings.max_event_bytes)
            arn = function_arn(settings.account, settings.region, function.name)
            await intake.accept(NewEvent(arn=arn, payload=b"{}", request_id=new_request_id()))
            await client.delete(keys.drain(arn))  # that somebody is to ask expires by itself, but takes a while

    asyncio.run(store())


def test_a_new_supervisor_starts_it_for_what_the_old_one_left(lab: Lab, function: Function) -> None:
    until(lambda: rests(lab), "the worker, which nothing has needed yet, has gone to rest")
    assert '"phase":"resting"' in lab.platform.cli("status", "--json").stdout
    assert lab.platform.process is not None
    with another_has_run(function):
        stored_by_somebody_who_died(function)
        os.kill(lab.platform.process.pid, signal.SIGKILL)
        lab.platform.process.wait()
        lab.platform.start()
    assert not rests(lab)


def test_it_goes_to_rest_and_is_there_for_a_schedule_in_time(lab: Lab, function: Function) -> None:
    until(lambda: rests(lab), "the worker has gone to rest")
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
    arguments = ("schedule", "add", "soon", f"at({moment:%Y-%m-%dT%H:%M:%S})", function.name)
    with another_has_run(function):
        lab.platform.cli(*arguments, "--input", json.dumps({}))
        until(lambda: not rests(lab), "a worker looks at the clock")
