"""Invoke through boto3, from the zip in memory to what the function answers, in both isolations."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types

from tests.compatibility.aws import ARN, DOCKER, SANDBOX, create, refusal
from tests.platform import Platform

pytestmark = [
    pytest.mark.component("boto3", "valkey"),
    pytest.mark.parametrize("platform", [SANDBOX, DOCKER], indirect=True),
]
ECHO = "def handler(event, context): return event"
FAILING = """
    import sys, time

    def handler(event, context):
        if event == "raise":
            raise KeyError("no such cup")
        if event == "exit":
            sys.exit(3)
        if event == "set":
            return {1, 2}
        time.sleep(30)
"""


def invoke(aws: Any, name: str, event: Any, **members: Any) -> tuple[dict[str, Any], Any]:
    """Invoke's answer, and its payload as a value."""
    answer: dict[str, Any] = aws.invoke(FunctionName=name, Payload=json.dumps(event).encode(), **members)
    return answer, json.loads(answer["Payload"].read())


def test_a_call_has_its_result_its_version_and_the_tail_of_its_log(cloud: Any) -> None:
    create(cloud, "tea", 'def handler(event, context):\n    print("brewing", event)\n    return context.aws_request_id')
    answer, result = invoke(cloud, "tea", {"cups": 2}, InvocationType="RequestResponse", LogType="Tail")
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert (answer["StatusCode"], answer["ExecutedVersion"], result) == (200, "$LATEST", request_id)
    assert "FunctionError" not in answer
    start, said, end, report = base64.b64decode(answer["LogResult"]).decode().splitlines()
    assert start == f"START RequestId: {request_id} Version: $LATEST"
    assert said == "brewing {'cups': 2}"
    assert end == f"END RequestId: {request_id}"
    assert re.match(
        rf"REPORT RequestId: {request_id}\tDuration: .+ ms\tBilled Duration: \d+ ms\tMemory Size: 128", report
    )
    assert "LogResult" not in invoke(cloud, "tea", {})[0]


def test_a_dry_run_answers_204_and_runs_nothing(cloud: Any) -> None:
    create(cloud, "tea", "calls = []\ndef handler(event, context):\n    calls.append(1)\n    return len(calls)")
    dry = cloud.invoke(FunctionName="tea", InvocationType="DryRun")
    assert (dry["StatusCode"], dry["Payload"].read()) == (204, b"")
    assert "ExecutedVersion" not in dry
    assert invoke(cloud, "tea", {})[1] == 1


def test_an_event_of_any_type_comes_back_as_it_went(cloud: Any) -> None:
    create(cloud, "echo", ECHO)
    for event in ({"a": [1, {"b": None}]}, [], ["ü", 2], "text é 😀", "", 7, -1.5, 1e300, True, False, None):
        assert invoke(cloud, "echo", event)[1] == event
    assert json.loads(cloud.invoke(FunctionName="echo")["Payload"].read()) == {}
    for form in (ARN + "echo", "123456789012:function:echo", "echo:$LATEST"):
        assert invoke(cloud, form, 1)[1] == 1
    assert invoke(cloud, "echo", 1, Qualifier="$LATEST")[0]["ExecutedVersion"] == "$LATEST"


def test_the_older_way_to_hand_over_an_event(cloud: Any, platform: Platform) -> None:
    create(cloud, "old", "def handler(event, context): print('poured', event)")
    answer = cloud.invoke_async(FunctionName="old", InvokeArgs=b'{"tea": 1}')
    assert answer["Status"] == 202
    request_id = answer["ResponseMetadata"]["RequestId"]
    deadline = time.monotonic() + 30
    while f"REPORT RequestId: {request_id}" not in (shown := platform.cli("logs", "old").stdout):
        assert time.monotonic() < deadline, shown
    assert "poured {'tea': 1}" in shown
    with pytest.raises(ClientError) as error:
        cloud.invoke_async(FunctionName="old", InvokeArgs=b'"' + b"x" * 256 * 1024 + b'"')
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert refusal(error)[0] == "RequestTooLargeException"
    with pytest.raises(cloud.exceptions.InvalidRequestContentException):
        cloud.invoke_async(FunctionName="old", InvokeArgs=b"tea")
    with pytest.raises(cloud.exceptions.ResourceNotFoundException):
        cloud.invoke_async(FunctionName="never", InvokeArgs=b"{}")


def test_six_megabytes_pass_both_ways_and_no_more(cloud: Any) -> None:
    create(cloud, "echo", ECHO, MemorySize=256)
    text = "x" * (6 * 2**20 - 2)
    assert invoke(cloud, "echo", text)[1] == text
    with pytest.raises(cloud.exceptions.RequestTooLargeException) as error:
        invoke(cloud, "echo", text + "xx")
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        ("raise", "KeyError", "'no such cup'"),
        ("exit", "Runtime.ExitError", "RequestId: ID Error: Runtime exited with error: exit status 3"),
        ("set", "Runtime.MarshalError", "Unable to marshal response: Object of type set is not JSON serializable"),
        ("sleep", "Sandbox.Timedout", "RequestId: ID Error: Task timed out after 1.00 seconds"),
    ],
)
def test_a_function_that_fails_is_an_answer_not_an_error(cloud: Any, event: str, kind: str, message: str) -> None:
    create(cloud, "broken", FAILING, Timeout=1)
    answer, told = invoke(cloud, "broken", event)
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert (told["errorType"], told["errorMessage"]) == (kind, message.replace("ID", request_id, 1))
    if kind == "KeyError":
        assert told["requestId"] == request_id
        assert "in handler" in told["stackTrace"][-1]


def test_a_module_that_does_not_load_is_a_function_error(cloud: Any) -> None:
    create(cloud, "broken", "import nowhere")
    answer, told = invoke(cloud, "broken", {})
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert told["errorType"] == "Runtime.ImportModuleError"
    assert told["errorMessage"] == "Unable to import module 'app': No module named 'nowhere'"


def test_what_cannot_be_called_has_awss_names_and_words(cloud: Any) -> None:
    create(cloud, "echo", ECHO)
    with pytest.raises(cloud.exceptions.ResourceNotFoundException) as unknown:
        cloud.invoke(FunctionName="nobody")
    assert unknown.value.response["Error"]["Message"] == f"Function not found: {ARN}nobody:$LATEST"
    assert (unknown.value.response["Type"], unknown.value.response["ResponseMetadata"]["HTTPStatusCode"]) == (
        "User",
        404,
    )
    with pytest.raises(cloud.exceptions.InvalidRequestContentException) as malformed:
        cloud.invoke(FunctionName="echo", Payload=b"{no json")
    assert malformed.value.response["Error"]["Message"].startswith("Could not parse request body into json: ")
    with pytest.raises(ClientError) as badly_named:
        cloud.invoke(FunctionName="no name at all")
    assert badly_named.value.response["Error"]["Code"] == "ValidationException"


def test_a_function_that_reserves_nothing_is_switched_off(cloud: Any) -> None:
    create(cloud, "echo", ECHO)
    assert invoke(cloud, "echo", 1)[1] == 1
    cloud.put_function_concurrency(FunctionName="echo", ReservedConcurrentExecutions=0)
    with pytest.raises(cloud.exceptions.TooManyRequestsException) as refused:
        cloud.invoke(FunctionName="echo")
    told = refused.value.response
    assert (told["Error"]["Code"], told["Error"]["Message"]) == ("TooManyRequestsException", "Rate Exceeded.")
    assert (told["Reason"], told["Type"]) == ("ReservedFunctionConcurrentInvocationLimitExceeded", "User")
    assert told["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert "retryAfterSeconds" not in told, "no time will help"
    cloud.delete_function_concurrency(FunctionName="echo")
    assert invoke(cloud, "echo", 1)[1] == 1
