"""The Extensions API as an extension finds it; the test plays the function's program and an internal extension."""

from __future__ import annotations

import http.client
import json
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from samovar.link import wire
from tests.runtimes.carried import Runtime, Said, keeper, write_program
from tests.runtimes.peer import ARN, PATIENCE_S, Peer, Worker

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


def test_an_extension_learns_of_the_account_if_it_asks_for_that(peer: Peer, tmp_path: Path) -> None:
    write_program(tmp_path, PROGRAM)
    extension = Runtime(peer.spawn("any.handler", tmp_path, account_id="123456789012"), tmp_path)
    asked = {"Lambda_Extension_Name": "one", "Lambda_Extension_Accept_Feature": "accountId"}
    said = extension.ask("POST", f"{PREFIX}/register", b'{"events": []}', **asked)
    extension.close()
    assert said.json()["accountId"] == "123456789012"


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


class Listener:
    """Where an extension takes telemetry: what is posted there, or comes a line each by TCP."""

    def __init__(self, status: bytes = b"200 OK") -> None:
        self.status = status
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(PATIENCE_S)
        self.port = self._listening.getsockname()[1]

    def posted(self) -> list[dict[str, Any]]:
        """The next batch that is posted, answered with `status`."""
        connection, _ = self._listening.accept()
        with connection, connection.makefile("rwb") as said:
            assert said.readline().startswith(b"POST /in?a=1 HTTP/1.1")
            size = int(http.client.parse_headers(said)["Content-Length"])
            batch: list[dict[str, Any]] = json.loads(said.read(size))
            said.write(b"HTTP/1.1 " + self.status + b"\r\nContent-Length: 0\r\n\r\n")
        return batch

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listening = Listener()
    yield listening
    listening.close()


def wish(listener: Listener, **changes: Any) -> bytes:
    destination = {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{listener.port}/in?a=1"}
    usual = {"schemaVersion": "2022-12-13", "types": ["platform"], "destination": destination}
    return json.dumps({**usual, "buffering": {"timeoutMs": 25}, **changes}).encode()


def subscribe(extension: Runtime, body: bytes, who: dict[str, str], path: str = "/2022-07-01/telemetry") -> Said:
    return extension.ask("PUT", path, body, **who)


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"schemaVersion": None}, "schemaVersion None is none of 2022-07-01, 2022-12-13, 2025-01-29"),
    ({"schemaVersion": "2020-08-15"}, "schemaVersion '2020-08-15' is none of"),
    ({"types": []}, "types should not be empty"),
    ({"types": ["platform", "other"]}, "type 'other' is none of platform, function, extension"),
    ({"destination": None}, "destination is not provided"),
    ({"destination": {"protocol": "UDP", "URI": "http://sandbox:1"}}, "protocol 'UDP' is none of HTTP, TCP"),
    ({"destination": {"protocol": "HTTP"}}, "URI is not provided"),
    ({"destination": {"protocol": "HTTP", "URI": "http://sandbox"}}, "URI port is not provided"),
    ({"destination": {"protocol": "HTTP", "URI": "http://sandbox:9001"}}, "port 9001 cannot be used"),
    ({"destination": {"protocol": "HTTP", "URI": "http://sandbox:x"}}, "URI 'http://sandbox:x': "),
    ({"destination": {"protocol": "HTTP", "URI": "https://sandbox:1"}}, "URI scheme must be http"),
    ({"destination": {"protocol": "HTTP", "URI": "http://example.com:1"}}, "URI host must be sandbox.localdomain"),
    ({"buffering": 1}, "buffering must be an object"),
    ({"buffering": {"maxItems": 999}}, "maxItems must be between 1000 and 10000"),
    ({"buffering": {"maxBytes": 1_048_577}}, "maxBytes must be between 262144 and 1048576"),
    ({"buffering": {"timeoutMs": "25"}}, "timeoutMs must be between 25 and 30000"),
]


def test_what_breaks_a_subscriptions_rules_is_named(extension: Runtime, listener: Listener) -> None:
    who = identified(register(extension))
    for changes, problem in BROKEN:
        said = subscribe(extension, wish(listener, **changes), who)
        assert (said.status, said.json()["errorType"]) == (400, "ValidationError")
        assert said.json()["errorMessage"].startswith(problem)


def test_all_rules_that_are_broken_are_named_together(extension: Runtime) -> None:
    who = identified(register(extension))
    said = subscribe(extension, b'{"schemaVersion": "2022-07-01", "destination": {"protocol": "HTTP"}}', who)
    assert said.status == 400
    assert said.json() == {
        "errorType": "ValidationError",
        "errorMessage": "URI is not provided; types should not be empty",
    }
    assert subscribe(extension, b"?", who).json()["errorType"] == "ValidationError"
    assert subscribe(extension, b"{}", {}).status == 403


def test_what_is_not_taken_is_sent_again(
    worker: Worker, runtime: Runtime, extension: Runtime, listener: Listener
) -> None:
    who = identified(register(extension))
    assert subscribe(extension, wish(listener), who).body == b'"OK"'
    listener.status = b"500 Oh"
    first = listener.posted()
    listener.status = b"200 OK"
    assert listener.posted()[: len(first)] == first
    assert [event["type"] for event in first] == ["platform.initStart", "platform.telemetrySubscription"]
    extension.begin("GET", f"{PREFIX}/event/next", None, **who)
    runtime.begin("GET", "/invocation/next")
    worker.wait_ready()
    told = listener.posted()
    assert [event["type"] for event in told] == [
        "platform.initRuntimeDone",
        "platform.initReport",
        "platform.extension",
    ]
    assert told[-1]["record"] == {"name": "inside", "state": "Ready", "events": ["INVOKE"]}
    log = worker.log()
    assert "TELEMETRY\tName: inside\tState: Subscribed\tTypes: [Platform]\n" in log
    assert "EXTENSION\tName: inside\tState: Ready\tEvents: [INVOKE]\n" in log


def test_the_logs_api_has_its_own_events_and_tcp_has_a_line_each(
    worker: Worker, runtime: Runtime, extension: Runtime
) -> None:
    who = identified(register(extension))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE_S)
        destination = {"protocol": "TCP", "port": listening.getsockname()[1]}
        asked = {"types": ["platform", "function"], "destination": destination, "buffering": {"timeoutMs": 25}}
        body = json.dumps(asked).encode()
        assert subscribe(extension, body, who, "/2020-08-15/logs").status == 200
        other = subscribe(extension, json.dumps({**asked, "schemaVersion": "2022-07-01"}).encode(), who)
        assert other.status == 400
        connection, _ = listening.accept()
        with connection, connection.makefile("rb") as lines:
            assert json.loads(lines.readline())["type"] == "platform.logsSubscription"
            extension.begin("GET", f"{PREFIX}/event/next", None, **who)
            runtime.begin("GET", "/invocation/next")
            worker.wait_ready()
            worker.send(b"1")
            runtime.read()
            runtime.ask("POST", "/invocation/request-1/response", b"done")
            told = [json.loads(lines.readline())["type"] for _ in range(4)]
    assert told == ["platform.extension", "platform.start", "platform.end", "platform.report"]


def test_nobody_subscribes_after_initialisation(worker: Worker, runtime: Runtime, extension: Runtime) -> None:
    who = identified(register(extension))
    runtime.begin("GET", "/invocation/next")
    while (said := subscribe(extension, b"{}", who)).status == 400:  # the other request may still be on its way
        continue
    assert error_of(said) == "Telemetry.SubscriptionClosed"
