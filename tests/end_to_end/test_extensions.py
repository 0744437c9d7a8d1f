"""External extensions out of a layer: they hear of events and of the end, and read telemetry."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Any

import pytest

from tests.end_to_end.lab import Function, Lab, lambda_client
from tests.end_to_end.programs import CURL, archive, deploy_files

EXTENSION = '''
    #!/usr/bin/python3
    """Prints what it hears, one JSON object a line."""
    import http.server, json, os, threading, urllib.request

    api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"]

    def ask(method, path, body=None, **headers):
        named = {"Lambda-Extension-" + name.capitalize(): value for name, value in headers.items()}
        request = urllib.request.Request(api + path, body, named, method=method)
        with urllib.request.urlopen(request) as answer:
            return answer.headers, json.loads(answer.read())

    def tell(what, **more):
        print(json.dumps({"extension": what, **more}), flush=True)

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            for event in json.loads(self.rfile.read(int(self.headers["Content-Length"]))):
                if event["type"] != "extension":  # it would hear itself
                    tell("telemetry", event=event)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *words):
            pass

    listener = http.server.HTTPServer(("127.0.0.1", 4243), Listener)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
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


def watched(lab: Lab, name: str, **parameters: Any) -> Function:
    """A shell function with the extension beside it."""
    usual = {"Runtime": "provided.al2023", "Handler": "any.thing", "Layers": [layer(lab, name, EXTENSION)]}
    return deploy_files(lab, name, {"bootstrap": CURL}, **usual | parameters)


def said(function: Function) -> list[dict[str, Any]]:
    """What the extension has printed."""
    texts = [record.text for record in function.lab.client.logs(function.name)]
    return [json.loads(text) for text in texts if text.startswith('{"extension"')]


def said_with(function: Function, *wanted: str) -> list[dict[str, Any]]:
    """The same, once a line of it has all those words."""
    deadline = time.monotonic() + FOUND_WITHIN_S
    while True:
        lines = said(function)
        if any(all(words in json.dumps(line) for words in wanted) for line in lines):
            return lines
        assert time.monotonic() < deadline, lines
        time.sleep(0.02)


@pytest.mark.slow
def test_an_extension_hears_of_events_and_reads_telemetry(lab: Lab) -> None:
    function = watched(lab, "watched")
    first = function.invoke({"n": 1})
    assert json.loads(first.payload) == {"got": {"n": 1}}
    second = function.invoke({"please": "fail"})
    lines = said_with(function, "platform.report", second.request_id)
    assert [line["function"] for line in lines if line["extension"] == "registered"] == [
        {"functionName": "watched", "functionVersion": "$LATEST", "handler": "any.thing"}
    ]
    assert [line["answer"] for line in lines if line["extension"] == "subscribed"] == ["OK"]
    events = [line["event"] for line in lines if line["extension"] == "event"]
    assert [event["requestId"] for event in events] == [first.request_id, second.request_id]
    assert {event["eventType"] for event in events} == {"INVOKE"}

    telemetry = [line["event"] for line in lines if line["extension"] == "telemetry"]
    assert Counter(event["type"] for event in telemetry) == {
        "platform.initStart": 1, "platform.telemetrySubscription": 1, "platform.initRuntimeDone": 1,
        "platform.initReport": 1, "platform.start": 2, "platform.runtimeDone": 2, "platform.report": 2, "function": 1,
    }  # fmt: skip
    records = {event["type"]: event["record"] for event in reversed(telemetry)}
    assert records["function"] == "handled by any.thing"
    assert records["platform.initStart"]["functionName"] == "watched"
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
    assert (last["status"], last["errorType"]) == ("error", "Function.Sad")
    assert "initDurationMs" not in last["metrics"]


@pytest.mark.slow
def test_an_extension_is_told_of_the_end_and_has_time_for_it(lab: Lab) -> None:
    function = watched(lab, "ending")
    function.value({})
    before = time.time()
    deploy_files_again(lab, function)
    event = next(line["event"] for line in said_with(function, "SHUTDOWN") if "SHUTDOWN" in json.dumps(line))
    assert event["shutdownReason"] == "SPINDOWN"
    assert before <= event["deadlineMs"] / 1000 <= time.time() + 2


def deploy_files_again(lab: Lab, function: Function) -> None:
    """Other code, so that the environment that runs is not needed any more."""
    package = archive({"bootstrap": CURL + "\n# newer\n"})
    lambda_client(lab.endpoint).update_function_code(FunctionName=function.name, ZipFile=package)


@pytest.mark.slow
def test_an_extension_is_told_of_a_timeout(lab: Lab) -> None:
    bootstrap = CURL.replace('echo "handled', 'sleep 30; echo "handled')
    usual = {
        "Runtime": "provided.al2023",
        "Handler": "any.thing",
        "Layers": [layer(lab, "late", EXTENSION)],
        "Timeout": 1,
    }
    function = deploy_files(lab, "late", {"bootstrap": bootstrap}, **usual)
    assert function.error({})["errorType"] == "Sandbox.Timedout"
    event = next(line["event"] for line in said_with(function, "SHUTDOWN") if "SHUTDOWN" in json.dumps(line))
    assert event["shutdownReason"] == "TIMEOUT"


def test_an_extension_that_ends_takes_the_environment_with_it(lab: Lab) -> None:
    usual = {"Runtime": "provided.al2023", "Handler": "any.thing"}
    crashing = layer(lab, "crashing", "#!/bin/sh\nexit 4\n")
    told = deploy_files(lab, "crashing", {"bootstrap": CURL}, Layers=[crashing], **usual).error({})
    assert told == {
        "errorType": "Extension.Crash",
        "errorMessage": "Error: extension watcher ended: exit status 4",
    }
