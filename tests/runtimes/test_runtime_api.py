"""The Runtime API as a runtime finds it: what is asked and answered, in which order, and what the invoker is told."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from samovar.link import wire
from tests.runtimes.carried import Runtime, keeper, write_program
from tests.runtimes.peer import ARN, PATIENCE_S, Message, Peer, Worker

ADDRESS = """
    echo "$AWS_LAMBDA_RUNTIME_API" > "$LAMBDA_TASK_ROOT/address"
    exec sleep 1000
"""
"""A program that leaves being the runtime to the test."""


ONE_ANSWER = """
import http.client, os, sys
api = http.client.HTTPConnection(sys.argv[1])
api.request("GET", "/2018-06-01/runtime/invocation/next")
event = api.getresponse()
event.read()
request_id = event.headers["Lambda-Runtime-Aws-Request-Id"]
api.request("POST", f"/2018-06-01/runtime/invocation/{request_id}/error", b"oh no")
api.getresponse().read()
os._exit(3)
"""


@pytest.fixture
def peer(socket_dir: Path) -> Iterator[Peer]:
    with keeper(socket_dir, "provided") as started:
        yield started


@pytest.fixture
def worker(peer: Peer, tmp_path: Path) -> Worker:
    """A worker whose program has started and asked for nothing yet."""
    write_program(tmp_path, ADDRESS)
    return peer.spawn("any.handler", tmp_path)


@pytest.fixture
def runtime(worker: Worker, tmp_path: Path) -> Iterator[Runtime]:
    """The runtime, which has said nothing yet."""
    started = Runtime(worker, tmp_path)
    yield started
    started.close()


@pytest.fixture
def ready(worker: Worker, runtime: Runtime) -> Runtime:
    """A runtime that waits for its first event."""
    runtime.begin("GET", "/invocation/next")
    assert "error" not in worker.wait_ready().head
    return runtime


def given(worker: Worker, runtime: Runtime, event: object = None, **head: Any) -> str:
    """Give an event to a runtime that waits; its request id."""
    worker.send(json.dumps(event).encode(), **head)
    return runtime.read().headers["Lambda-Runtime-Aws-Request-Id"]


def result_of(worker: Worker) -> Message:
    message = worker.receive()
    assert message is not None
    assert message.kind == wire.RESULT
    return message


def test_an_event_arrives_with_the_headers_aws_sends(worker: Worker, ready: Runtime) -> None:
    context = json.dumps({"client": {"app_title": "žluť"}, "custom": {"a": 1}})
    worker.send(b'{"a": [1, 2]}', deadline_ms=1234567890123, client_context=context, trace_id="Root=1-a-b")
    said = ready.read()
    assert (said.status, said.body) == (200, b'{"a": [1, 2]}')
    headers = said.headers
    assert json.loads(headers.pop("Lambda-Runtime-Client-Context")) == json.loads(context)
    assert headers.pop("Date")
    assert headers.pop("Lambda-Runtime-Invocation-Id")
    assert headers == {
        "Content-Type": "application/json",
        "Content-Length": "13",
        "Lambda-Runtime-Aws-Request-Id": "request-1",
        "Lambda-Runtime-Deadline-Ms": "1234567890123",
        "Lambda-Runtime-Invoked-Function-Arn": ARN,
        "Lambda-Runtime-Trace-Id": "Root=1-a-b",
    }


def test_an_event_without_a_trace_gets_one_and_has_no_header_for_what_is_not_there(
    worker: Worker, ready: Runtime
) -> None:
    worker.send(b"null")
    headers = ready.read().headers
    assert re.fullmatch(
        r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0", headers["Lambda-Runtime-Trace-Id"]
    )
    assert not {"Lambda-Runtime-Client-Context", "Lambda-Runtime-Cognito-Identity"} & headers.keys()


@pytest.mark.parametrize("body", [b'{"b": 2}', b"", b"\x00\xff not json"])
def test_a_response_is_passed_on_as_it_is(worker: Worker, ready: Runtime, body: bytes) -> None:
    request_id = given(worker, ready)
    said = ready.ask("POST", f"/invocation/{request_id}/response", body)
    assert (said.status, said.json(), said.headers["Content-Type"]) == (202, {"status": "OK"}, "application/json")
    message = result_of(worker)
    assert (message.head, message.body, message.stream) == ({"rests": True}, body, 1)


def test_an_error_is_passed_on_with_its_type(worker: Worker, ready: Runtime) -> None:
    request_id = given(worker, ready)
    body = b'{"errorMessage": "no", "errorType": "MyError", "stackTrace": []}'
    kind = {"Lambda_Runtime_Function_Error_Type": "Runtime.MyReason"}
    assert ready.ask("POST", f"/invocation/{request_id}/error", body, **kind).status == 202
    message = result_of(worker)
    assert (message.head, message.body) == ({"error": "Runtime.MyReason", "rests": True}, body)


@pytest.mark.parametrize(
    ("given_type", "counted"),
    [("", "Runtime.Unknown"), ("Odd", "Runtime.Unknown"), ("Function.x", "Function.Unknown")],
)
def test_an_error_of_no_known_type_is_counted_as_unknown(
    worker: Worker, ready: Runtime, given_type: str, counted: str
) -> None:
    request_id = given(worker, ready)
    ready.ask("POST", f"/invocation/{request_id}/error", b"{}", Lambda_Runtime_Function_Error_Type=given_type)
    assert result_of(worker).head["error"] == counted


def test_another_invocations_id_is_refused(worker: Worker, ready: Runtime) -> None:
    given(worker, ready)
    for what in ("response", "error"):
        said = ready.ask("POST", f"/invocation/another/{what}", b"1")
        assert said.status == 400
        assert said.json() == {"errorMessage": "Invalid request ID", "errorType": "InvalidRequestID"}


def test_an_invocation_is_answered_once(worker: Worker, ready: Runtime) -> None:
    request_id = given(worker, ready)
    ready.ask("POST", f"/invocation/{request_id}/response", b"1")
    said = ready.ask("POST", f"/invocation/{request_id}/error", b"2")
    assert said.status == 403
    assert said.json() == {
        "errorType": "InvalidStateTransition",
        "errorMessage": "State transition from RuntimeResponseSentState to InvocationErrorResponse failed for runtime. "
        "Error: State transition is not allowed",
    }
    assert result_of(worker).body == b"1"


def test_the_next_event_waits_until_the_runtime_has_asked_for_it(worker: Worker, ready: Runtime) -> None:
    request_id = given(worker, ready)
    ready.ask("POST", f"/invocation/{request_id}/response", b"1")
    assert result_of(worker).head == {"rests": True}
    ready.begin("GET", "/invocation/next")
    rested = worker.receive()
    assert rested is not None
    assert rested.kind == wire.RESTED


def test_a_program_that_ends_after_its_answer_has_asked_for_nothing(peer: Peer, tmp_path: Path) -> None:
    # AWS's client for Go ends its process so after a panic.
    write_program(tmp_path, f"exec {sys.executable} -c '{ONE_ANSWER}' $AWS_LAMBDA_RUNTIME_API")
    worker = peer.spawn("any.handler", tmp_path)
    assert "error" not in worker.wait_ready().head
    worker.send(b"{}")
    message = result_of(worker)
    assert (message.head, message.body) == ({"error": "Runtime.Unknown", "rests": True}, b"oh no")
    assert peer.exited().head == {"status": 3}


def test_asked_twice_the_same_event_is_given_again(worker: Worker, ready: Runtime) -> None:
    first = given(worker, ready, {"n": 1})
    again = ready.next()
    assert (again.headers["Lambda-Runtime-Aws-Request-Id"], again.json()) == (first, {"n": 1})
    assert again.headers["Lambda-Runtime-Invocation-Id"] == ready.next().headers["Lambda-Runtime-Invocation-Id"]


def test_a_runtime_that_has_hung_up_while_it_waited_loses_no_event(
    worker: Worker, ready: Runtime, tmp_path: Path
) -> None:
    ready.close()
    anew = Runtime(worker, tmp_path)
    anew.begin("GET", "/invocation/next")
    # A second connection is answered after the first has been noticed to be gone.
    other = Runtime(worker, tmp_path)
    assert other.ask("GET", "/nothing").status == 404
    assert given(worker, anew, "still there") == "request-1"
    anew.close()
    other.close()


def test_an_answer_over_the_limit_is_refused_and_told(worker: Worker, ready: Runtime) -> None:
    limit = 6 * 1024 * 1024 + 100
    request_id = given(worker, ready)
    said = ready.ask("POST", f"/invocation/{request_id}/response", b"x" * (limit + 1))
    assert said.status == 413
    assert said.json() == {
        "errorType": "RequestEntityTooLarge",
        "errorMessage": f"Exceeded maximum allowed payload size ({limit} bytes).",
    }
    message = result_of(worker)
    assert message.head == {"error": "Function.ResponseSizeTooLarge", "ends": True}
    assert message.json() == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": f"Response payload size exceeded maximum allowed payload size ({limit} bytes).",
    }
    ready.begin("GET", "/invocation/next")
    assert given(worker, ready) == "request-2"


def test_six_megabytes_go_both_ways(worker: Worker, ready: Runtime) -> None:
    event = "x" * 6_000_000
    worker.send(json.dumps(event).encode())
    said = ready.read()
    assert said.json() == event
    ready.ask("POST", f"/invocation/{said.headers['Lambda-Runtime-Aws-Request-Id']}/response", said.body)
    assert result_of(worker).json() == event


def test_a_chunked_response_is_put_together(worker: Worker, ready: Runtime) -> None:
    request_id = given(worker, ready)
    ready._http.request("POST", f"/2018-06-01/runtime/invocation/{request_id}/response", iter([b"[1,", b"2]"]),
                        {"Transfer-Encoding": "chunked"}, encode_chunked=True)  # fmt: skip
    assert ready.read().status == 202
    assert result_of(worker).body == b"[1,2]"


def test_an_error_of_initialisation_is_what_the_worker_is_ready_with(worker: Worker, runtime: Runtime) -> None:
    body = b'{"errorMessage": "no module", "errorType": "ImportError"}'
    said = runtime.ask("POST", "/init/error", body, Lambda_Runtime_Function_Error_Type="Runtime.ImportError")
    assert (said.status, said.json()) == (202, {"status": "OK"})
    ready = worker.wait_ready()
    assert (ready.head["error"], ready.body) == ("Runtime.ImportError", body)
    second = runtime.ask("POST", "/init/error", body)
    assert second.status == 403
    assert "State transition from InitError to InitError failed" in second.json()["errorMessage"]


def test_after_it_has_waited_for_an_event_a_runtime_has_been_initialised(worker: Worker, ready: Runtime) -> None:
    given(worker, ready)
    assert ready.ask("POST", "/init/error", b"{}").status == 403


def test_what_is_no_http_is_refused(worker: Worker, runtime: Runtime) -> None:
    host, port = runtime._http.host, runtime._http.port
    with socket.create_connection((host, port), 20) as raw:
        raw.sendall(b"no http\r\n\r\n")
        with raw.makefile("rb") as answer:
            assert answer.read().startswith(b"HTTP/1.1 400 ")  # and then the connection ends


def test_a_client_may_send_its_answer_and_ask_for_more_in_one_go(worker: Worker, tmp_path: Path) -> None:
    runtime = Runtime(worker, tmp_path)
    runtime.close()
    host, port = (tmp_path / "address").read_text().strip().split(":")
    ask = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: runtime\r\n\r\n"
    answer = b"POST /2018-06-01/runtime/invocation/request-%d/response HTTP/1.1\r\nHost: runtime\r\n"
    with (
        socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection,
        connection.makefile("rb") as said,
    ):

        def read() -> tuple[bytes, bytes]:
            status = said.readline().split(b" ")[1]
            headers = http.client.parse_headers(said)
            return status, said.read(int(headers["Content-Length"] or 0))

        connection.sendall(ask)
        worker.wait_ready()
        for number in (1, 2):
            worker.send(b"%d" % number)
            assert read() == (b"200", b"%d" % number)
            connection.sendall((answer % number) + b"Content-Length: 4\r\n\r\ndone" + ask)
            assert read()[0] == b"202"
            assert result_of(worker).body == b"done"
        worker.send(b"3")
        assert read() == (b"200", b"3")
        connection.sendall((answer % 3) + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert said.readline().startswith(b"HTTP/1.1 100 ")
        assert said.readline() == b"\r\n"
        connection.sendall(b"done")
        assert read()[0] == b"202"
    assert result_of(worker).body == b"done"


def test_the_program_sees_its_environment_its_place_and_nothing_of_ours(peer: Peer, tmp_path: Path) -> None:
    write_program(tmp_path, 'pwd; env | cut -d= -f1 | sort | tr "\\n" " "; echo err >&2; exit 3')
    worker = peer.spawn("any.handler", tmp_path, {"TABLE": "orders"})
    assert peer.exited().head == {"status": 3}
    said = worker.last_words().splitlines()
    assert said[0] == str(tmp_path)
    assert {"AWS_LAMBDA_RUNTIME_API", "TABLE", "LAMBDA_TASK_ROOT"} <= set(said[1].split())
    assert "SAMOVAR" not in said[1]


@pytest.mark.parametrize(
    ("lines", "end"),
    [
        ("exit 0", {"status": 0}),
        ("exit 7", {"status": 7}),
        ("kill -9 $$", {"signal": 9}),
        ("kill -11 $$", {"signal": 11}),
    ],
)
def test_the_worker_ends_as_its_program_does(peer: Peer, tmp_path: Path, lines: str, end: dict[str, int]) -> None:
    write_program(tmp_path, lines)
    peer.spawn("any.handler", tmp_path)
    assert peer.exited().head == end


def test_a_killed_worker_leaves_nothing_of_its_program(peer: Peer, tmp_path: Path) -> None:
    write_program(tmp_path, "sleep 1000 & echo $! > pid; echo ok > address; wait")
    worker = peer.spawn("any.handler", tmp_path)
    Runtime(worker, tmp_path)
    child = int((tmp_path / "pid").read_text())
    assert peer.kill(worker).head == {"signal": int(signal.SIGKILL)}
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_without_a_bootstrap_initialisation_fails_as_on_aws(peer: Peer, tmp_path: Path) -> None:
    ready = peer.spawn("any.handler", tmp_path).wait_ready()
    assert ready.json() == {
        "errorType": "Runtime.InvalidEntrypoint",
        "errorMessage": f"Error: Couldn't find valid bootstrap(s): [{tmp_path}/bootstrap /opt/bootstrap]",
    }


@pytest.mark.parametrize(
    ("mode", "text", "why"),
    [
        (0o644, "#!/bin/sh", "permission denied"),
        (0o755, "what?", "exec format error"),
        (0o755, "#!/no/shell", "no such file or directory"),
    ],
)
def test_a_bootstrap_that_cannot_be_started_says_why(
    peer: Peer, tmp_path: Path, mode: int, text: str, why: str
) -> None:
    (tmp_path / "bootstrap").write_text(text + "\n")
    (tmp_path / "bootstrap").chmod(mode)
    ready = peer.spawn("any.handler", tmp_path).wait_ready()
    assert ready.json()["errorType"] == "Runtime.InvalidEntrypoint"
    assert ready.json()["errorMessage"] == f"Error: fork/exec {tmp_path}/bootstrap: {why}"
