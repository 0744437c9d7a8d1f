"""Asynchronous events on a whole platform: run, failed, told to destinations, shown, run again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from gateway.functions.store import connect
from gateway.queues.message import Received
from gateway.queues.names import QueueArn
from gateway.queues.queues import Queues, Wanted
from samovar.clients import events as event_client
from samovar.clock import SystemClock
from samovar.errors import ResourceNotFound
from samovar.events import EventSelection, EventView
from samovar.settings import Settings
from tests.end_to_end.lab import Function, Lab, laboratory, lambda_client
from tests.end_to_end.platform_box import until

pytestmark = pytest.mark.component("bubblewrap", "valkey", "celery")

HANDLER = """
    def handler(event, context):
        if isinstance(event, dict) and event.get("fail"):
            raise ValueError(event["fail"])
        return {"got": event}
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with laboratory("sandbox") as lab:
        yield lab


@pytest.fixture(scope="module")
def aws(lab: Lab) -> Any:
    return lambda_client(lab.endpoint)


class Endpoint:
    """An HTTP endpoint that keeps what is posted to it, and answers with the statuses it is given, then with 200."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.statuses: list[int] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status = endpoint.statuses.pop(0) if endpoint.statuses else 200
                if status == 200:
                    endpoint.got.append(body)
                self.send_response(status)
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.arn = f"arn:aws:http:::127.0.0.1:{self.server.server_port}/hook"


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    found = Endpoint()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield found
    finally:
        found.server.shutdown()
        found.server.server_close()
        thread.join()


def later(function: Function, event: Any) -> str:
    return function.lab.client.invoke_later(function.name, json.dumps(event).encode())


def ended(function: Function, event_id: str) -> EventView:
    def look() -> EventView | None:
        try:
            found = event_client.event(function.lab.client, function.name, event_id).event
        except ResourceNotFound:
            return None
        return found if found.ended_ms else None

    found: EventView = until(look, f"event {event_id} ends")
    return found


def payload_of(function: Function, event_id: str) -> Any:
    return json.loads(bytes(event_client.event(function.lab.client, function.name, event_id).payload))


def test_an_event_is_run_under_the_request_id_it_was_accepted_with(lab: Lab, aws: Any) -> None:
    function = lab.deploy(HANDLER)
    accepted = aws.invoke(FunctionName=function.name, InvocationType="Event", Payload=b'{"a": 1}')
    assert (accepted["StatusCode"], accepted["Payload"].read()) == (202, b"")
    assert "ExecutedVersion" not in accepted
    request_id = accepted["ResponseMetadata"]["RequestId"]
    found = ended(function, request_id)
    assert (found.state, found.attempts, found.condition) == ("succeeded", 1, "Success")
    assert [reading.request_id for reading in function.readings()] == [request_id]
    assert payload_of(function, request_id) == {"a": 1}


def test_unknown_functions_are_refused_before_anything_is_accepted(lab: Lab, aws: Any) -> None:
    with pytest.raises(aws.exceptions.ResourceNotFoundException):
        aws.invoke(FunctionName="nobody", InvocationType="Event")
    with pytest.raises(aws.exceptions.ClientError) as refused:
        aws.invoke(FunctionName=lab.deploy(HANDLER).name, InvocationType="Event", Payload=b'"' + b"a" * 2**20 + b'"')
    assert refused.value.response["Error"]["Code"] == "RequestTooLargeException"


def test_events_run_on_the_code_that_is_current_when_they_run(lab: Lab, aws: Any) -> None:
    function = lab.deploy("import time\ndef handler(event, context): time.sleep(1)\n", ReservedConcurrency=1)
    aws.put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=1)
    aws.put_function_event_invoke_config(FunctionName=function.name, MaximumRetryAttempts=0)
    ids = [later(function, {"n": number}) for number in range(3)]
    function.update("def handler(event, context): raise ValueError('the new code')")
    last = later(function, {})
    assert "the new code" in ended(function, last).error
    for one in ids:
        ended(function, one)


def test_a_failed_event_is_told_to_its_destination_kept_shown_and_redriven(lab: Lab, aws: Any) -> None:
    function = lab.deploy(HANDLER)
    with endpoint() as hook:
        hook.statuses = [503, 429]
        destinations = {"OnFailure": {"Destination": hook.arn}, "OnSuccess": {"Destination": hook.arn}}
        aws.put_function_event_invoke_config(
            FunctionName=function.name, MaximumRetryAttempts=0, DestinationConfig=destinations
        )
        failed = later(function, {"fail": "on purpose"})
        found = ended(function, failed)
        assert (found.state, found.condition, found.attempts) == ("failed", "RetriesExhausted", 1)
        assert found.error == "ValueError: on purpose"
        until(lambda: hook.got, "the destination is told, after it was away twice")
        (told,) = hook.got
        assert told["requestContext"] == {
            "requestId": failed,
            "functionArn": f"arn:aws:lambda:us-east-1:123456789012:function:{function.name}:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 1,
        }
        assert told["requestPayload"] == {"fail": "on purpose"}
        assert told["responseContext"] == {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        }
        assert told["responsePayload"]["errorType"] == "ValueError"
        function.update("def handler(event, context): return 'mended'")
        done = event_client.redrive(lab.client, function.name, EventSelection())
        assert done.ids == {failed: failed}
        again = ended(function, failed)
        assert (again.state, again.attempts, again.runs) == ("succeeded", 1, 2)
        until(lambda: len(hook.got) == 2, "the destination is told of the success")
        assert hook.got[1]["responsePayload"] == "mended"
    assert sorted(reading.attempt for reading in function.readings()) == [1, 2]


def test_a_function_is_a_destination_and_one_that_is_gone_is_told_and_the_event_kept(lab: Lab, aws: Any) -> None:
    function, second = lab.deploy(HANDLER), lab.deploy(HANDLER)
    arn = f"arn:aws:lambda:us-east-1:123456789012:function:{second.name}"
    aws.put_function_event_invoke_config(
        FunctionName=function.name, DestinationConfig={"OnSuccess": {"Destination": arn}}
    )
    first = later(function, {"n": 1})
    until(lambda: event_client.events(lab.client, second.name, state="succeeded").events, "the second function is run")
    (record,) = event_client.events(lab.client, second.name).events
    assert record.source == "aws:lambda"
    told = payload_of(second, record.id)
    assert (told["requestContext"]["requestId"], told["responsePayload"]) == (first, {"got": {"n": 1}})
    lab.client.delete_function(second.name)
    gone = later(function, {"n": 2})
    assert ended(function, gone).state == "succeeded"
    undelivered = ended(function, f"{gone}.destination")
    assert (undelivered.state, undelivered.target) == ("failed", arn)
    assert "Function not found" in undelivered.error


def received(lab: Lab, name: str) -> list[Received]:
    """What is in a queue, which is made if there is none, read past the gateway."""

    async def look() -> list[Received]:
        client = connect(Settings(data_dir=str(lab.platform.data_dir)).store_url)
        async with client, Queues(client, SystemClock(), "123456789012") as queues:
            arn = QueueArn.parse(f"arn:aws:sqs:us-east-1:123456789012:{name}")
            assert arn is not None
            await queues.create(arn)
            return await queues.receive(str(arn), Wanted(most=10))

    return asyncio.run(look())


def test_queues_get_the_records_of_failed_events_and_the_dead_letters(lab: Lab, aws: Any) -> None:
    function = lab.deploy(HANDLER)
    queue = "arn:aws:sqs:us-east-1:123456789012:"
    assert received(lab, "failures") == received(lab, "dead") == []
    aws.update_function_configuration(FunctionName=function.name, DeadLetterConfig={"TargetArn": f"{queue}dead"})
    aws.put_function_event_invoke_config(
        FunctionName=function.name,
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": f"{queue}failures"}},
    )
    shown = aws.get_function_configuration(FunctionName=function.name)
    assert shown["DeadLetterConfig"] == {"TargetArn": f"{queue}dead"}
    event_id = later(function, {"fail": "on purpose"})
    assert ended(function, event_id).state == "failed"
    (record,) = until(lambda: received(lab, "failures"), "the destination has the record")
    assert json.loads(record.message.body)["requestContext"]["requestId"] == event_id
    (dead,) = until(lambda: received(lab, "dead"), "the dead-letter queue has the event")
    assert json.loads(dead.message.body) == {"fail": "on purpose"}
    assert {name: (one.data_type, one.value) for name, one in dead.message.attributes.items()} == {
        "RequestID": ("String", event_id),
        "ErrorCode": ("Number", "200"),
        "ErrorMessage": ("String", "on purpose"),
    }


def test_a_function_that_is_switched_off_fails_its_events_at_once(lab: Lab, aws: Any) -> None:
    function = lab.deploy(HANDLER)
    aws.put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=0)
    found = ended(function, later(function, {}))
    assert (found.state, found.condition, found.attempts) == ("failed", "ZeroReservedConcurrency", 0)


def test_events_of_a_throttled_function_run_in_the_end(lab: Lab, aws: Any) -> None:
    function = lab.deploy("import time\ndef handler(event, context): time.sleep(0.2)")
    aws.put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=1)
    ids = [later(function, number) for number in range(12)]
    assert {ended(function, one).state for one in ids} == {"succeeded"}
    assert {reading.request_id for reading in function.readings()} == set(ids)


def test_the_command_line(lab: Lab) -> None:
    function = lab.deploy(HANDLER)

    def run(*words: str) -> str:
        done = lab.platform.cli(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    event_id = run("invoke", function.name, "--async", "--data", '{"n": 7}').strip()
    ended(function, event_id)
    assert event_id in run("events", "ls", function.name)
    assert '"n": 7' in run("events", "show", function.name, event_id)
    replayed = json.loads(run("events", "replay", function.name, "--id", event_id, "--json"))
    again = replayed["ids"][event_id]
    assert ended(function, again).state == "succeeded"
    purged = json.loads(run("events", "purge", function.name, "--all", "--json"))
    assert set(purged["ids"]) == {event_id, again}
    assert json.loads(run("events", "ls", function.name, "--json"))["events"] == []


def test_a_killed_worker_leaves_its_events_to_the_next_one(lab: Lab) -> None:
    function = lab.deploy("import time\ndef handler(event, context): time.sleep(event)")
    function.value(0)
    held = [later(function, 3), later(function, 3)]
    until(lambda: event_client.events(lab.client, function.name).counts.running, "a worker has them")
    before = lab.pids()["worker"]
    os.kill(before, signal.SIGKILL)
    until(lambda: lab.pids().get("worker", before) != before, "another worker is started")
    began = time.monotonic()
    for one in held:
        assert ended(function, one).state == "succeeded"
    assert time.monotonic() - began < 60
