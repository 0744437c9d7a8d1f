"""The Extensions API as an extension finds it; the test plays the function's program and an internal extension."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from samovar import wire
from tests.runtimes.carried import Runtime, Said, keeper, write_program
from tests.runtimes.peer import ARN, Peer, Worker

PREFIX = "/2020-01-01/extension"
PROGRAM = """
    trap 'echo told to end; exit 0' TERM
    echo "$AWS_LAMBDA_RUNTIME_API" > "$LAMBDA_TASK_ROOT/address"
    while true; do sleep 0.01; done
"""


@pytest.fixture
def peer(socket_dir: Path) -> Iterator[Peer]:
    with keeper(socket_dir, "provided") as started:
        yield started


@pytest.fixture
def worker(peer: Peer, tmp_path: Path) -> Worker:
    write_program(tmp_path, PROGRAM)
    return peer.spawn("any.handler", tmp_path)


@pytest.fixture
def runtime(worker: Worker, tmp_path: Path) -> Iterator[Runtime]:
    started = Runtime(worker, tmp_path)
    yield started
    started.close()


@pytest.fixture
def extension(worker: Worker, tmp_path: Path) -> Iterator[Runtime]:
    """A connection of its own for an extension."""
    started = Runtime(worker, tmp_path)
    yield started
    started.close()


def register(extension: Runtime, name: str = "inside", events: object = ("INVOKE",)) -> Said:
    body = json.dumps({"events": events}).encode()
    return extension.ask("POST", f"{PREFIX}/register", body, Lambda_Extension_Name=name)


def identified(said: Said) -> dict[str, str]:
    assert said.status == 200, said.body
    return {"Lambda_Extension_Identifier": said.headers["Lambda-Extension-Identifier"]}


def error_of(said: Said) -> str:
    assert said.status == 403
    return str(said.json()["errorType"])


def test_an_extension_learns_of_the_function_it_is_in(extension: Runtime) -> None:
    said = register(extension)
    assert said.json() == {"functionName": "orders", "functionVersion": "$LATEST", "handler": ""}
    assert uuid.UUID(identified(said)["Lambda_Extension_Identifier"]).version == 4


def test_the_function_is_ready_when_its_extension_is_too(worker: Worker, runtime: Runtime, extension: Runtime) -> None:
    who = identified(register(extension))
    assert runtime.ask("GET", "/nothing").status == 404
    runtime.begin("GET", "/invocation/next")
    # Refused from the moment the runtime asks for its first event.
    assert error_of(register(extension, "late")) == "Extension.RegistrationClosed"
    assert not worker._connection.pending()
    extension.begin("GET", f"{PREFIX}/event/next", None, **who)
    assert worker.wait_ready().head["farewell_s"] == 0.5


def test_it_hears_of_an_event_and_holds_the_next_one_back_until_it_is_done(
    worker: Worker, runtime: Runtime, extension: Runtime
) -> None:
    who = identified(register(extension))
    extension.begin("GET", f"{PREFIX}/event/next", None, **who)
    runtime.begin("GET", "/invocation/next")
    worker.wait_ready()
    worker.send(b"1", trace_id="Root=1-a-b", deadline_ms=123)
    heard = extension.read()
    assert heard.headers["Lambda-Extension-Event-Identifier"]
    assert heard.json() == {
        "eventType": "INVOKE",
        "deadlineMs": 123,
        "requestId": "request-1",
        "invokedFunctionArn": ARN,
        "tracing": {"type": "X-Amzn-Trace-Id", "value": "Root=1-a-b"},
    }
    assert runtime.read().body == b"1"
    runtime.ask("POST", "/invocation/request-1/response", b"done")
    result = worker.receive()
    assert result is not None
    assert result.body == b"done"
    runtime.begin("GET", "/invocation/next")
    worker.send(b"2")
    extension.begin("GET", f"{PREFIX}/event/next", None, **who)
    assert extension.read().json()["requestId"] == "request-2"
    assert runtime.read().body == b"2"


def test_what_is_asked_wrongly_is_refused_as_on_aws(extension: Runtime) -> None:
    assert error_of(register(extension, "")) == "Extension.InvalidExtensionName"
    assert error_of(register(extension, "x", ["SHUTDOWN"])) == "Extension.InvalidEventType"
    assert (
        error_of(extension.ask("POST", f"{PREFIX}/register", b"?", Lambda_Extension_Name="x")) == "InvalidRequestFormat"
    )
    register(extension, "twice")
    assert error_of(register(extension, "twice")) == "Extension.InvalidExtensionState"
    wrong: list[tuple[dict[str, str], str]] = [
        ({}, "Extension.MissingExtensionIdentifier"),
        ({"Lambda_Extension_Identifier": "?"}, "Extension.InvalidExtensionIdentifier"),
        ({"Lambda_Extension_Identifier": str(uuid.uuid4())}, "Extension.UnknownExtensionIdentifier"),
    ]
    for given, error in wrong:
        assert error_of(extension.ask("GET", f"{PREFIX}/event/next", None, **given)) == error


def test_there_are_ten_at_most(extension: Runtime) -> None:
    assert [register(extension, f"e{n}").status for n in range(10)] == [200] * 10
    said = register(extension, "one-more")
    assert error_of(said) == "Extension.TooManyExtensions"
    assert said.json()["errorMessage"] == "Extension limit (10) reached"


def test_an_extension_that_cannot_start_is_an_error_of_initialisation(
    peer: Peer, worker: Worker, extension: Runtime
) -> None:
    who = identified(register(extension, "broken"))
    assert error_of(extension.ask("POST", f"{PREFIX}/init/error", b"{}", **who)) == "Extension.MissingHeader"
    said = extension.ask("POST", f"{PREFIX}/init/error", b"{}", Lambda_Extension_Function_Error_Type="My.Reason", **who)
    assert (said.status, said.json()) == (202, {"status": "OK"})
    ready = worker.wait_ready()
    assert ready.head["error"] == "Extension.InitError"
    assert ready.json()["errorMessage"] == "Error: extension broken reported My.Reason"
    assert peer.exited().head == {"status": 1}


def test_before_the_end_the_program_is_asked_to_end_itself(
    peer: Peer, worker: Worker, runtime: Runtime, extension: Runtime
) -> None:
    who = identified(register(extension))
    extension.begin("GET", f"{PREFIX}/event/next", None, **who)
    runtime.begin("GET", "/invocation/next")
    worker.wait_ready()
    worker._connection.send(wire.SHUTDOWN, 1, {"reason": "SPINDOWN"})
    assert peer.exited().head == {"status": 0}
    assert "told to end\n" in worker.last_words()
