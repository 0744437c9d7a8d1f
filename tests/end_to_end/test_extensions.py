"""External extensions out of a layer: they hear of events and of the end, and read telemetry."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Any, NamedTuple

import pytest

from samovar.answers import Answered
from samovar.errors import TooManyRequests
from tests.end_to_end.lab import RUNTIME, Function, Lab, lambda_client
from tests.end_to_end.programs import CURL, archive, deploy_files

EXTENSION = '''
    #!/usr/bin/python3
    """Prints what it hears, one JSON object a line."""
    import http.client, json, os, socket, threading

    api = os.environ["AWS_LAMBDA_RUNTIME_API"]

    def ask(method, path, body=None, **headers):
        named = {"Lambda-Extension-" + name.capitalize(): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(api)
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        return answer.headers, json.loads(answer.read())

    def tell(what, **more):
        print(json.dumps({"extension": what, **more}), flush=True)

    def listen():
        while True:
            connection = listener.accept()[0]
            said = connection.makefile("rwb")
            head = http.client.parse_headers(said) if said.readline() else None
            for event in json.loads(said.read(int(head["Content-Length"]))):
                if event["type"] != "extension":  # it would hear itself
                    tell("telemetry", event=event)
            said.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
            said.close()
            connection.close()

    listener = socket.create_server(("sandbox.localdomain", 4243))
    threading.Thread(target=listen, daemon=True).start()
    events = b'{"events": ["INVOKE", "SHUTDOWN"]}'
    headers, function = ask("POST", "/2020-01-01/extension/register", events, name="watcher")
    who = headers["Lambda-Extension-Identifier"]
    tell("registered", function=function)
    wish = {"schemaVersion": "2022-12-13", "types": ["platform", "function", "extension"],
            "buffering": {"maxItems": 1000, "maxBytes": 262144, "timeoutMs": 25},
            "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:4243"}}
    tell("subscribed", answer=ask("PUT", "/2022-07-01/telemetry", json.dumps(wish).encode(), identifier=who)[1])
    while True:
        event = ask("GET", "/2020-01-01/extension/event/next", identifier=who)[1]
        tell("event", event=event)
        if event["eventType"] == "SHUTDOWN":
            break
'''
FOUND_WITHIN_S = 60.0


def layer(lab: Lab, name: str, extension: str) -> str:
    """A layer with one extension; its ARN."""
    package = archive({"extensions/watcher": extension}, executable="extensions/watcher")
    published = lambda_client(lab.endpoint).publish_layer_version(LayerName=name, Content={"ZipFile": package})
    return str(published["LayerVersionArn"])


PYTHON = """
    import time

    def handler(event, context):
        if "please" in event: raise LookupError("sad")
        time.sleep(event.get("sleep", 0))
        print("handled by app.handler")
        return {"got": event}
"""
JAVASCRIPT = """
    export const handler = async (event) => {
      if (event.please) throw new RangeError("sad");
      process.stdout.write("handled by index.handler\\n");
      return { got: event };
    };
"""


class Language(NamedTuple):
    """One way to write the function."""

    runtime: str
    handler: str
    file: str
    source: str
    error: str


LANGUAGES = {
    "provided": Language("provided.al2023", "any.thing", "bootstrap", CURL, "Function.Sad"),
    "python": Language(RUNTIME, "app.handler", "app.py", PYTHON, "LookupError"),
    "nodejs": Language("nodejs22.x", "index.handler", "index.mjs", JAVASCRIPT, "RangeError"),
}
WITH_NODE = [
    name if name != "nodejs" else pytest.param(name, marks=pytest.mark.component("node")) for name in LANGUAGES
]


def deployed(lab: Lab, name: str, extension: str, language: str = "python", **parameters: Any) -> Function:
    """A function with an extension beside it."""
    known = LANGUAGES[language]
    usual = {"Runtime": known.runtime, "Handler": known.handler, "Layers": [layer(lab, name, extension)]}
    return deploy_files(lab, name, {known.file: known.source}, **usual | parameters)


def answered(function: Function, event: Any) -> Answered:
    """What comes of a call, once its environment has come to be.

    On a busy host that can take longer than the lab gives initialisation.
    """
    deadline = time.monotonic() + FOUND_WITHIN_S
    while True:
        try:
            told = function.invoke(event)
        except TooManyRequests:
            assert time.monotonic() < deadline
            continue
        if "Task timed out" not in told.payload.decode() or function.readings()[-1].duration_ms:
            return told
        assert time.monotonic() < deadline, told


def said(function: Function) -> list[dict[str, Any]]:
    """What the extension has printed."""
    texts = [record.text for record in function.lab.client.logs(function.name)]
    return [json.loads(text) for text in texts if text.startswith('{"extension"')]


def of_the_newest(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the one in the environment that was started last has printed."""
    starts = [place for place, line in enumerate(lines) if line["extension"] == "registered"]
    return lines[starts[-1] :]


def said_with(function: Function, *wanted: str) -> list[dict[str, Any]]:
    """The same, once a line of it has all those words."""
    deadline = time.monotonic() + FOUND_WITHIN_S
    while True:
        lines = said(function)
        if any(all(words in json.dumps(line) for words in wanted) for line in lines):
            return lines
        assert time.monotonic() < deadline, lines
        time.sleep(0.02)


def farewell(function: Function) -> dict[str, Any]:
    """The event that told the extension of the end."""
    lines = said_with(function, "shutdownReason")
    return next(dict(line["event"]) for line in lines if "shutdownReason" in line.get("event", ()))


@pytest.mark.slow
@pytest.mark.parametrize("language", WITH_NODE)
def test_an_extension_hears_of_events_and_reads_telemetry(lab: Lab, language: str) -> None:
    known, name = LANGUAGES[language], f"watched-{language}"
    function = deployed(lab, name, EXTENSION, language)
    # In one environment, however long its extension takes to ask for the next event.
    lambda_client(lab.endpoint).put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    first = answered(function, {"n": 1})
    assert json.loads(first.payload) == {"got": {"n": 1}}
    second = answered(function, {"please": "fail"})
    lines = of_the_newest(said_with(function, "platform.report", second.request_id))
    assert [line["function"] for line in lines if line["extension"] == "registered"] == [
        {"functionName": name, "functionVersion": "$LATEST", "handler": known.handler}
    ]
    assert [line["answer"] for line in lines if line["extension"] == "subscribed"] == ["OK"]
    events = [line["event"] for line in lines if line["extension"] == "event"]
    assert [event["requestId"] for event in events] == [first.request_id, second.request_id]
    assert {event["eventType"] for event in events} == {"INVOKE"}

    telemetry = [line["event"] for line in lines if line["extension"] == "telemetry"]
    assert Counter(event["type"] for event in telemetry) == {
        "platform.initStart": 1, "platform.telemetrySubscription": 1, "platform.initRuntimeDone": 1,
        "platform.extension": 1, "platform.initReport": 1, "platform.start": 2, "platform.runtimeDone": 2,
        "platform.report": 2, "function": 1 if language == "provided" else 2,
    }  # fmt: skip
    records = {event["type"]: event["record"] for event in reversed(telemetry)}
    texts = [record.text for record in lab.client.logs(name)]
    assert "EXTENSION\tName: watcher\tState: Ready\tEvents: [INVOKE,SHUTDOWN]" in texts
    assert "TELEMETRY\tName: watcher\tState: Subscribed\tTypes: [Extension, Function, Platform]" in texts
    assert [span["name"] for span in records["platform.runtimeDone"]["spans"]] == [
        "responseLatency",
        "responseDuration",
    ]
    assert records["function"] == f"handled by {known.handler}"
    assert records["platform.initStart"]["functionName"] == name
    assert records["platform.start"]["requestId"] == first.request_id
    done = records["platform.runtimeDone"]
    assert (done["requestId"], done["status"], done["metrics"]["producedBytes"]) == (
        first.request_id,
        "success",
        len(first.payload),
    )
    metrics = records["platform.report"]["metrics"]
    assert metrics["memorySizeMB"] == 192
    assert metrics["initDurationMs"] > 0
    assert metrics["billedDurationMs"] >= metrics["durationMs"] + metrics["initDurationMs"]
    assert 1 <= metrics["maxMemoryUsedMB"] < 192
    last = [event["record"] for event in telemetry if event["type"] == "platform.report"][-1]
    assert (last["status"], last["errorType"]) == ("error", known.error)
    assert "initDurationMs" not in last["metrics"]


@pytest.mark.slow
def test_an_extension_is_told_of_the_end_and_has_time_for_it(lab: Lab) -> None:
    function = deployed(lab, "ending", EXTENSION)
    answered(function, {})
    before = time.time()
    newer = archive({"app.py": "# other"})
    lambda_client(lab.endpoint).update_function_code(FunctionName=function.name, ZipFile=newer)
    event = farewell(function)
    assert event["shutdownReason"] == "SPINDOWN"
    assert before <= event["deadlineMs"] / 1000 <= time.time() + 2


@pytest.mark.slow
def test_an_extension_is_told_of_a_timeout(lab: Lab) -> None:
    function = deployed(lab, "late", EXTENSION, Timeout=1)
    assert b"timed out after 1.00 seconds" in answered(function, {"sleep": 30}).payload
    assert farewell(function)["shutdownReason"] == "TIMEOUT"
    told = [line["event"] for line in said_with(function, "platform.report") if line["extension"] == "telemetry"]
    assert [event["record"]["status"] for event in told if event["type"] == "platform.report"] == ["timeout"]


def test_an_extension_that_ends_takes_the_environment_with_it(lab: Lab) -> None:
    told = answered(deployed(lab, "crashing", "#!/bin/sh\nexit 4\n"), {})
    assert json.loads(told.payload) == {
        "errorType": "Extension.Crash",
        "errorMessage": "Error: extension watcher ended: exit status 4",
    }


SLOW = """
    #!/bin/sh
    api="http://$AWS_LAMBDA_RUNTIME_API/2020-01-01/extension"
    name='Lambda-Extension-Name: watcher'
    head="$(curl -sS -D - -o /dev/null -H "$name" -d '{"events": ["INVOKE"]}' "$api/register")"
    id="$(echo "$head" | grep -i identifier | tr -d '\\r' | cut -d' ' -f2)"
    while true; do
        curl -sS -o /dev/null -H "Lambda-Extension-Identifier: $id" "$api/event/next"
        sleep 60
        echo "extension has ended its work"
    done
"""


@pytest.mark.slow
def test_a_call_neither_waits_for_an_extension_after_its_answer_nor_behind_one(lab: Lab) -> None:
    function = deployed(lab, "resting", SLOW, Timeout=4)
    for number in range(2):
        told = answered(function, {"n": number})
        assert json.loads(told.payload) == {"got": {"n": number}}
    assert "ended its work" not in "".join(record.text for record in lab.client.logs(function.name))
