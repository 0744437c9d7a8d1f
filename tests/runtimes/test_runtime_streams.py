"""Answers that a runtime posts in parts, and runtimes that take several events at once."""

from __future__ import annotations

import base64
import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from samovar.link import wire
from tests.runtimes.carried import Runtime, keeper, write_program
from tests.runtimes.peer import Peer, Worker
from tests.runtimes.test_runtime_api import ADDRESS, given, result_of

STREAMING = {"Lambda-Runtime-Function-Response-Mode": "streaming", "Transfer-Encoding": "chunked"}


@pytest.fixture
def peer(socket_dir: Path) -> Iterator[Peer]:
    with keeper(socket_dir, "provided") as started:
        yield started


@pytest.fixture
def worker(peer: Peer, tmp_path: Path) -> Worker:
    write_program(tmp_path, ADDRESS)
    return peer.spawn("any.handler", tmp_path)


@pytest.fixture
def ready(worker: Worker, tmp_path: Path) -> Iterator[Runtime]:
    runtime = Runtime(worker, tmp_path)
    runtime.begin("GET", "/invocation/next")
    assert "error" not in worker.wait_ready().head
    yield runtime
    runtime.close()


def begin_stream(runtime: Runtime, request_id: str, **headers: str) -> http.client.HTTPConnection:
    return begin_post(runtime, request_id, STREAMING | {name.replace("_", "-"): headers[name] for name in headers})


def begin_post(runtime: Runtime, request_id: str, headers: Mapping[str, str]) -> http.client.HTTPConnection:
    connection = runtime._http
    connection.putrequest("POST", f"/2018-06-01/runtime/invocation/{request_id}/response")
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    return connection


def ask_for_more(worker: Worker, runtime: Runtime) -> None:
    runtime.begin("GET", "/invocation/next")
    rested = worker.receive()
    assert rested is not None
    assert rested.kind == wire.RESTED


def trailers(error_type: str, body: bytes) -> bytes:
    return (
        f"Lambda-Runtime-Function-Error-Type: {error_type}\r\n"
        f"Lambda-Runtime-Function-Error-Body: {base64.b64encode(body).decode()}\r\n\r\n"
    ).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def test_parts_are_passed_on_as_they_arrive(worker: Worker, ready: Runtime) -> None:
    request_id = given(worker, ready, streaming=True)
    connection = begin_stream(ready, request_id, Content_Type="text/plain")
    connection.send(chunk(b"first"))
    frame = worker.receive_frame()
    assert (frame.kind, frame.ends_message, frame.body) == (wire.RESULT, False, b"first")
    assert json.loads(frame.head) == {"streaming": True, "content_type": "text/plain"}
    connection.send(chunk(b"second"))
    frame = worker.receive_frame()
    assert (frame.kind, frame.ends_message, frame.body) == (wire.CHUNK, False, b"second")
    connection.send(b"0\r\n\r\n")
    frame = worker.receive_frame()
    assert (frame.kind, frame.ends_message, frame.body) == (wire.CHUNK, True, b"")
    assert json.loads(frame.head) == {"rests": True}
    assert ready.read().status == 202
    ask_for_more(worker, ready)
    assert given(worker, ready) == "request-2"


@pytest.mark.parametrize("before", [b"some", b""], ids=["after a part", "before any part"])
def test_an_error_comes_in_trailers(worker: Worker, ready: Runtime, before: bytes) -> None:
    request_id = given(worker, ready, streaming=True)
    connection = begin_stream(ready, request_id, Trailer="Lambda-Runtime-Function-Error-Type")
    told = b'{"errorType": "TypeError", "errorMessage": "no"}'
    connection.send((chunk(before) if before else b"") + b"0\r\n" + trailers("Function.TypeError", told))
    if before:
        first = worker.receive_frame()
        assert (first.kind, first.body) == (wire.RESULT, before)
    last = worker.receive_frame()
    assert (last.kind, last.ends_message, last.body) == (wire.CHUNK if before else wire.RESULT, True, told)
    assert json.loads(last.head) == {"error": "Function.TypeError", "rests": True}
    assert ready.read().status == 202


def test_who_takes_no_parts_gets_the_whole(worker: Worker, ready: Runtime) -> None:
    request_id = given(worker, ready)
    connection = begin_stream(ready, request_id)
    connection.send(chunk(b"first,") + chunk(b"second") + b"0\r\n\r\n")
    message = result_of(worker)
    assert (message.head, message.body) == ({"rests": True}, b"first,second")
    assert ready.read().status == 202


def test_who_takes_no_parts_gets_no_more_than_an_answer_may_have(worker: Worker, ready: Runtime) -> None:
    request_id = given(worker, ready)
    connection = begin_stream(ready, request_id)
    for _ in range(7):
        connection.send(chunk(b"x" * 2**20))
    connection.send(b"0\r\n\r\n")
    assert result_of(worker).head == {"error": "Function.ResponseSizeTooLarge", "ends": True}
    assert ready.read().status == 413


def test_a_connection_that_breaks_off_is_an_error(worker: Worker, ready: Runtime) -> None:
    request_id = given(worker, ready, streaming=True)
    connection = begin_stream(ready, request_id)
    connection.send(chunk(b"half"))
    assert worker.receive_frame().body == b"half"
    connection.sock.shutdown(socket.SHUT_RDWR)
    last = worker.receive_frame()
    assert (last.ends_message, json.loads(last.head)) == (True, {"error": "Runtime.TruncatedResponse", "rests": True})


def test_an_unknown_mode_is_refused_and_told(worker: Worker, ready: Runtime) -> None:
    request_id = given(worker, ready)
    path, mode = f"/invocation/{request_id}/response", {"Lambda_Runtime_Function_Response_Mode": "dreaming"}
    said = ready.ask("POST", path, b"1", **mode)
    assert said.status == 400
    assert said.json() == {
        "errorMessage": "Invalid function response mode", "errorType": "InvalidFunctionResponseMode",
    }  # fmt: skip
    assert result_of(worker).head == {"error": "Runtime.InvalidResponseModeHeader", "rests": True}


CHUNKED = {"Transfer-Encoding": "chunked", "Trailer": "Lambda-Runtime-Function-Error-Type"}
"""AWS's client for Go says nothing of streams: it sends whatever it has in chunks, with the trailers of an error."""


def test_chunks_without_a_word_are_parts_for_who_takes_parts(worker: Worker, ready: Runtime) -> None:
    request_id = given(worker, ready, streaming=True)
    connection = begin_post(ready, request_id, {**CHUNKED, "Content-Type": "application/octet-stream"})
    connection.send(chunk(b"first"))
    frame = worker.receive_frame()
    assert (frame.kind, frame.ends_message, frame.body) == (wire.RESULT, False, b"first")
    connection.send(b"0\r\n" + trailers("errorString", b'{"errorType": "errorString"}'))
    last = worker.receive_frame()
    assert (last.kind, last.ends_message, last.body) == (wire.CHUNK, True, b'{"errorType": "errorString"}')
    assert json.loads(last.head) == {"error": "Runtime.Unknown", "rests": True}
    assert ready.read().status == 202


@pytest.mark.parametrize("streaming", [True, False])
def test_json_in_chunks_without_a_word_is_a_result_and_trailers_make_it_an_error(
    worker: Worker, ready: Runtime, streaming: bool
) -> None:
    request_id = given(worker, ready, streaming=streaming)
    connection = begin_post(ready, request_id, {**CHUNKED, "Content-Type": "application/json"})
    connection.send(chunk(b'{"n"') + chunk(b": 1}") + b"0\r\n\r\n")
    message = result_of(worker)
    assert (message.head, message.body) == ({"rests": True}, b'{"n": 1}')
    assert ready.read().status == 202
    ask_for_more(worker, ready)
    request_id = given(worker, ready, streaming=streaming)
    connection = begin_post(ready, request_id, {**CHUNKED, "Content-Type": "application/json"})
    connection.send(chunk(b'{"n"') + b"0\r\n" + trailers("Function.Broke", b'{"errorType": "Broke"}'))
    message = result_of(worker)
    assert (message.head, message.body) == ({"error": "Function.Broke", "rests": True}, b'{"errorType": "Broke"}')


def test_another_invocations_stream_is_refused(worker: Worker, ready: Runtime) -> None:
    given(worker, ready)
    begin_stream(ready, "another").send(chunk(b"x") + b"0\r\n\r\n")
    assert ready.read().status == 400


class Shared:
    """A runtime of several workers, each with a connection."""

    def __init__(self, peer: Peer, folder: Path, workers: int) -> None:
        write_program(folder, ADDRESS)
        self.worker = peer.spawn("any.handler", folder, {"AWS_LAMBDA_MAX_CONCURRENCY": "3"})
        self.runtimes = [Runtime(self.worker, folder) for _ in range(workers)]

    def wait(self) -> None:
        for runtime in self.runtimes:
            runtime.begin("GET", "/invocation/next")


@pytest.fixture
def shared(peer: Peer, tmp_path: Path) -> Iterator[Shared]:
    runtimes = Shared(peer, tmp_path, 3)
    yield runtimes
    for runtime in runtimes.runtimes:
        runtime.close()


def test_each_poll_gets_another_event_and_answers_come_in_any_order(shared: Shared) -> None:
    shared.wait()
    assert shared.worker.wait_ready().head["concurrency"] == 3
    for n in range(3):
        shared.worker.send(b"%d" % n)
    got = {runtime.read().headers["Lambda-Runtime-Aws-Request-Id"]: runtime for runtime in shared.runtimes}
    assert set(got) == {"request-1", "request-2", "request-3"}
    for request_id in ("request-3", "request-1", "request-2"):
        said = got[request_id].ask("POST", f"/invocation/{request_id}/response", request_id.encode())
        assert said.status == 202
        message = result_of(shared.worker)
        assert (f"request-{message.stream}", message.body) == (request_id, request_id.encode())
        again = got[request_id].ask("POST", f"/invocation/{request_id}/error", b"{}")
        assert (again.status, again.json()["errorType"]) == (400, "InvalidRequestID")


def test_it_is_ready_with_the_first_poll_and_the_second_error_of_initialisation_is_refused(shared: Shared) -> None:
    first, second, third = shared.runtimes
    error = {"Lambda_Runtime_Function_Error_Type": "Runtime.ImportError"}
    assert first.ask("POST", "/init/error", b"{}", **error).status == 202
    assert second.ask("POST", "/init/error", b"{}", **error).status == 403
    assert third.next().status == 403
    assert shared.worker.wait_ready().head["error"] == "Runtime.ImportError"


def test_one_of_several_streams_can_be_held_up(shared: Shared) -> None:
    shared.wait()
    shared.worker.wait_ready()
    for _ in range(2):
        shared.worker.send(b"1", streaming=True)
    ids = {runtime: runtime.read().headers["Lambda-Runtime-Aws-Request-Id"] for runtime in shared.runtimes[:2]}
    slow, quick = shared.runtimes[:2]
    begin_stream(slow, ids[slow]).send(chunk(b"slow"))
    assert shared.worker.receive_frame().body == b"slow"
    shared.worker.hold(int(ids[slow].removeprefix("request-")), paused=True)
    begin_stream(quick, ids[quick]).send(chunk(b"quick"))
    assert shared.worker.receive_frame().body == b"quick"  # by then it has been told to wait
    slow._http.send(chunk(b"more"))
    quick._http.send(chunk(b"quicker"))
    assert shared.worker.receive_frame().body == b"quicker"
    shared.worker.hold(int(ids[slow].removeprefix("request-")), paused=False)
    assert shared.worker.receive_frame().body == b"more"
