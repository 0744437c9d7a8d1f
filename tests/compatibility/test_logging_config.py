"""`LoggingConfig` obeyed: JSON lines as Lambda writes them, levels, and a log group of the caller's choice."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import boto3  # type: ignore[import-untyped]  # it ships no types
import pytest

from tests.compatibility.aws import DOCKER, SANDBOX, create, lambda_client, package
from tests.platform import Platform
from tests.signing import root_key

pytestmark = [
    pytest.mark.component("boto3", "valkey"),
    pytest.mark.parametrize("platform", [SANDBOX, DOCKER], indirect=True),
]
GROUP = "/shop/all"
SOURCE = """
    import json, logging, os

    log = logging.getLogger("tea")

    def handler(event, context):
        log.debug("leaves")
        log.info("steeping %s", event["cups"])
        log.error({"spilled": True})
        print("as it is")
        print(json.dumps({"level": "debug", "own": 1}))
        print(json.dumps({"level": "error", "own": 2}))
        if event.get("fail"):
            raise ValueError("no water")
        names = "AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_LOG_LEVEL", "AWS_LAMBDA_LOG_GROUP_NAME"
        return [os.environ.get(name) for name in names] + [context.log_group_name]
"""
NODE = """
    exports.handler = async () => {
        console.debug("leaves");
        console.warn("steeping", 2);
    };
"""


@pytest.fixture
def logs(platform: Platform) -> Iterator[Any]:
    key = root_key(platform.data_dir)
    client = boto3.Session(key.key_id, key.secret, region_name="us-east-1").client(
        "logs", endpoint_url=platform.endpoint
    )
    yield client
    client.close()


@pytest.fixture
def functions(platform: Platform) -> Iterator[Any]:
    with lambda_client(platform.endpoint) as client:
        yield client


def events(logs: Any, group: str, name: str, wanted: str) -> list[str]:
    """What is in a group, by whom it was written, once a line holds what is wanted."""
    deadline = time.monotonic() + 30
    while True:
        try:
            found = logs.filter_log_events(logGroupName=group)["events"]
        except logs.exceptions.ResourceNotFoundException:
            found = []
        mine = [one["message"].rstrip("\n") for one in found if f"/{name}[" in one["logStreamName"]]
        if any(wanted in message for message in mine):
            return mine
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_json_levels_and_a_group_of_ones_own(functions: Any, logs: Any) -> None:
    config = {"LogFormat": "JSON", "SystemLogLevel": "DEBUG", "LogGroup": GROUP}
    made = create(functions, "tea-json", SOURCE, LoggingConfig=config)
    assert made["LoggingConfig"] == config | {"ApplicationLogLevel": "INFO"}
    answer = functions.invoke(FunctionName="tea-json", Payload=b'{"cups": 2}', LogType="Tail")
    assert json.load(answer["Payload"]) == ["JSON", "INFO", GROUP, GROUP]
    request = answer["ResponseMetadata"]["RequestId"]
    written = events(logs, GROUP, "tea-json", "platform.report")
    assert "as it is" in written
    records = [json.loads(line) for line in written if line.startswith("{")]
    assert [one.get("type", one.get("level")) for one in records] == [
        "platform.initStart", "platform.start", "INFO", "ERROR", "error", "platform.runtimeDone", "platform.report",
    ]  # fmt: skip
    init, start, info, error, own, done, report = records
    assert (init["record"]["phase"], init["record"]["functionName"]) == ("init", "tea-json")
    assert start["record"] == {"requestId": request, "version": "$LATEST"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", start["time"])
    assert {name: info[name] for name in ("message", "logger", "requestId")} == {
        "message": "steeping 2", "logger": "tea", "requestId": request,
    }  # fmt: skip
    assert error["message"] == {"spilled": True}
    assert own == {"level": "error", "own": 2}
    assert (done["record"]["requestId"], done["record"]["status"]) == (request, "success")
    metrics = report["record"]["metrics"]
    assert set(metrics) == {
        "durationMs", "billedDurationMs", "memorySizeMB", "maxMemoryUsedMB", "initDurationMs",
    }  # fmt: skip
    assert metrics["memorySizeMB"] == 128


def test_levels_leave_out_what_is_less(functions: Any, logs: Any) -> None:
    config = {"LogFormat": "JSON", "SystemLogLevel": "WARN", "ApplicationLogLevel": "ERROR", "LogGroup": GROUP}
    create(functions, "tea-errors", SOURCE, LoggingConfig=config)
    assert "FunctionError" not in functions.invoke(FunctionName="tea-errors", Payload=b'{"cups": 3}')
    answer = functions.invoke(FunctionName="tea-errors", Payload=b'{"cups": 4, "fail": true}')
    assert answer["FunctionError"] == "Unhandled"
    written = events(logs, GROUP, "tea-errors", "platform.report")
    records = [json.loads(line) for line in written if line.startswith("{")]
    told = [one.get("type", one.get("level")) for one in records]
    well, failed = ["ERROR", "error"], ["ERROR", "error", "ERROR", "platform.runtimeDone", "platform.report"]
    assert told == well + failed
    assert (records[4]["errorType"], records[4]["errorMessage"]) == ("ValueError", "no water")
    assert {one["record"]["status"] for one in records[-2:]} == {"error"}


def test_node_and_a_change_back_to_text(functions: Any, logs: Any) -> None:
    code = {"ZipFile": package(NODE, "index.js")}
    members = {"Runtime": "nodejs22.x", "Handler": "index.handler", "Code": code}
    create(functions, "tea-node", "", LoggingConfig={"LogFormat": "JSON", "LogGroup": GROUP}, **members)
    assert "FunctionError" not in functions.invoke(FunctionName="tea-node", Payload=b"{}")
    written = [json.loads(line) for line in events(logs, GROUP, "tea-node", "platform.report")]
    (record,) = [one for one in written if "level" in one]
    assert (record["level"], record["message"]) == ("WARN", "steeping 2")
    usual = {"LogFormat": "Text", "LogGroup": "/aws/lambda/tea-node"}
    functions.update_function_configuration(FunctionName="tea-node", LoggingConfig=usual)
    functions.get_waiter("function_updated_v2").wait(FunctionName="tea-node")
    functions.invoke(FunctionName="tea-node", Payload=b"{}")
    deadline = time.monotonic() + 30
    while not (found := logs.filter_log_events(logGroupName="/aws/lambda/tea-node", filterPattern="REPORT")["events"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert found[0]["message"].startswith("REPORT RequestId: ")
