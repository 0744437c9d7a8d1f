"""What AWS's own clients of the Runtime API do besides one event after the other: several at once, and streams."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from samovar.invocation import Outcome
from tests.end_to_end.lab import Function, Lab, lambda_client
from tests.end_to_end.programs import deploy_files, files_of

MEETING = """
    import os, time

    def handler(event, context):
        print("plain words of", event["n"])
        if event.get("exit"):
            os._exit(5)
        if event.get("hang"):
            time.sleep(60)
        open(f"/tmp/{event['round']}-{event['n']}", "w").close()
        while len([name for name in os.listdir("/tmp") if name.startswith(f"{event['round']}-")]) < event["of"]:
            time.sleep(0.01)
        end = time.process_time() + event.get("burn", 0)
        while time.process_time() < end: pass
        return os.getpid()
"""
"""Answers when all of a round are there: only if they run beside each other, and see the same /tmp."""
TEA = """
    export const handler = awslambda.streamifyResponse(async (event, out) => {
      const head = { statusCode: 201, headers: { "x-tea": "green", "content-type": "text/plain" }, cookies: ["a=b"] };
      out = awslambda.HttpResponseStream.from(out, head);
      out.write("first,");
      await new Promise((resolve) => setTimeout(resolve, 200));
      if ((event.rawPath ?? event) === "/fail") throw new TypeError("no tea");
      out.write("second");
      out.end();
    });
"""


@pytest.fixture(scope="module")
def meeting(lab: Lab) -> Function:
    """Four at once in one environment."""
    files = files_of("awslambdaric") | {"app.py": MEETING}
    several = {"Variables": {"AWS_LAMBDA_MAX_CONCURRENCY": "4"}}
    return deploy_files(lab, "meeting", files, Runtime="provided.al2023", Handler="app.handler", MemorySize=512,
                        Timeout=8, Environment=several)  # fmt: skip


def together(function: Function, round_: str, events: list[dict[str, Any]]) -> list[Any]:
    given = [{"n": n, "round": round_, "of": len(events), **event} for n, event in enumerate(events)]
    with ThreadPoolExecutor(len(given)) as callers:
        return list(callers.map(function.invoke, given))


@pytest.mark.component("awslambdaric")
def test_several_run_in_one_environment_each_with_its_own_lines_and_cpu_time(meeting: Function) -> None:
    answers = together(meeting, "first", [{"burn": 0.3}, {}, {}, {}])
    assert [answered.function_error for answered in answers] == [None] * 4
    assert len({json.loads(answered.payload) for answered in answers}) == 4, "a process for each"
    assert len(meeting.environments()) == 1
    for n, answered in enumerate(answers):
        printed = [line for line in answered.log.splitlines() if line.startswith("plain words")]
        assert printed == [f"plain words of {n}"]
    readings = {reading.request_id: reading for reading in meeting.readings()}
    assert 290 < sum(readings[answered.request_id].cpu_ms for answered in answers) < 2000
    assert {reading.environment for reading in readings.values()} == set(meeting.environments())


@pytest.mark.component("awslambdaric")
def test_one_that_times_out_fails_alone_and_the_environment_is_made_good(meeting: Function) -> None:
    answers = together(meeting, "second", [{"hang": True}, {"of": 1}])
    assert json.loads(answers[0].payload)["errorType"] == "Sandbox.Timedout"
    assert answers[1].function_error is None
    again = together(meeting, "third", [{}, {}, {}, {}])
    assert [answered.function_error for answered in again] == [None] * 4
    assert len(meeting.environments()) == 1


@pytest.mark.component("awslambdaric")
def test_a_process_that_ends_fails_its_call_at_once_and_is_replaced(meeting: Function) -> None:
    """Its client only waits for the processes it has forked, and starts no other."""
    answers = together(meeting, "fourth", [{"exit": True}, {"of": 1}])
    told = json.loads(answers[0].payload)
    assert told["errorType"] == "Runtime.ExitError"
    assert told["errorMessage"].startswith(f"RequestId: {answers[0].request_id} Error: Runtime exited")
    assert answers[1].function_error is None
    assert {reading.request_id: reading.outcome for reading in meeting.readings()}[
        answers[0].request_id
    ] is Outcome.EXIT
    again = together(meeting, "fifth", [{}, {}, {}, {}])
    assert [answered.function_error for answered in again] == [None] * 4
    assert len(meeting.environments()) == 1


@pytest.mark.component("aws-lambda-ric", "node")
def test_a_stream_of_awss_client_for_node_arrives_in_parts(lab: Lab) -> None:
    files = files_of("aws-lambda-ric") | {"index.mjs": TEA}
    deploy_files(lab, "tea", files, Runtime="provided.al2023", Handler="index.handler", MemorySize=256, Timeout=10)
    cloud = lambda_client(lab.endpoint)
    frames = list(cloud.invoke_with_response_stream(FunctionName="tea", Payload=b'"/"')["EventStream"])
    parts = [frame["PayloadChunk"]["Payload"] for frame in frames if "PayloadChunk" in frame]
    head, _, body = b"".join(parts).partition(b"\0" * 8)
    assert (json.loads(head)["statusCode"], body) == (201, b"first,second")
    assert parts[-1] == b"second"
    failed = list(cloud.invoke_with_response_stream(FunctionName="tea", Payload=b'"/fail"')["EventStream"])
    assert failed[-1]["InvokeComplete"]["ErrorCode"] == "TypeError"
    assert json.loads(failed[-1]["InvokeComplete"]["ErrorDetails"])["errorMessage"] == "no tea"

    url = cloud.create_function_url_config(FunctionName="tea", AuthType="NONE", InvokeMode="RESPONSE_STREAM")
    host = {"host": urlsplit(url["FunctionUrl"]).netloc}
    with httpx.stream("GET", lab.endpoint, headers=host) as answer:
        assert (answer.status_code, answer.headers["x-tea"], answer.headers["set-cookie"]) == (201, "green", "a=b")
        assert list(answer.iter_bytes())[-1] == b"second"
    with httpx.stream("GET", f"{lab.endpoint}/fail", headers=host) as answer, pytest.raises(httpx.RemoteProtocolError):
        answer.read()
