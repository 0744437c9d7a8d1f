"""Functions that are no Python of ours: Node.js, and programs that bring AWS's own clients of the Runtime API.

What a caller, the log and the meter are promised is the same for all of them, in every isolation.
"""

from __future__ import annotations

import base64
import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from samovar.invocation import Outcome
from tests.end_to_end.lab import Function, Lab, lambda_client
from tests.end_to_end.programs import CURL, FLAVOURS, deploy, deploy_files

ARN = "arn:aws:lambda:us-east-1:123456789012:function"
CALLERS = 32
REPORT = re.compile(r"REPORT RequestId: \S+\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 192 MB\t")


COMPONENTS = {"awslambdaric": ("awslambdaric",), "aws-lambda-ric": ("aws-lambda-ric", "node")}


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.component(*COMPONENTS.get(name, ("node",)))) for name in FLAVOURS],
)
def flavour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def function(lab: Lab, flavour: str) -> Function:
    """The function, for the tests that leave it as it was."""
    return deploy(lab, f"does-{re.sub('[^a-z0-9]', '-', flavour)}", flavour, Timeout=30)


def test_an_event_goes_in_and_a_result_comes_out(function: Function) -> None:
    event: dict[str, object] = {
        "do": "echo",
        "text": "žluťoučký 🐎",
        "list": [1, 2.5, None, True, {"a": {}}],
        "empty": "",
    }
    assert function.value(event) == event


def test_six_megabytes_go_both_ways(function: Function) -> None:
    event = {"do": "echo", "text": "x" * 6_000_000}
    assert function.value(event) == event


def test_a_warm_environment_keeps_its_globals(function: Function) -> None:
    first = function.value({"do": "count"})
    assert function.value({"do": "count"}) == first + 1
    assert function.readings()[-1].cold is None


def test_the_context(lab: Lab, function: Function) -> None:
    custom = base64.b64encode(b'{"custom": {"k": "v"}}').decode()
    answer = lambda_client(lab.endpoint).invoke(
        FunctionName=function.name, Payload=b'{"do": "context"}', ClientContext=custom
    )
    seen = json.loads(answer["Payload"].read())
    assert 28_000 < seen.pop("left") <= 30_000
    assert {**seen, "memory": str(seen["memory"])} == {
        "name": function.name,
        "version": "$LATEST",
        "arn": f"{ARN}:{function.name}",
        "memory": "192",
        "id": answer["ResponseMetadata"]["RequestId"],
        "group": f"/aws/lambda/{function.name}",
        "custom": {"k": "v"},
    }


def test_the_variables_are_lambdas_and_none_is_ours(function: Function, flavour: str) -> None:
    seen = function.value({"do": "variables"})
    assert seen["_HANDLER"] == FLAVOURS[flavour].handler
    assert seen["AWS_LAMBDA_FUNCTION_NAME"] == function.name
    assert seen["LAMBDA_TASK_ROOT"] == "/var/task"
    assert not [name for name in seen if "SAMOVAR" in name or "REDIS" in name]
    assert ("AWS_LAMBDA_RUNTIME_API" in seen) == (not flavour.startswith("nodejs"))


def test_the_place(function: Function) -> None:
    assert function.value({"do": "place"}) == ["/var/task", 993, True]


def test_an_error_has_the_languages_name_and_the_functions_words(function: Function, flavour: str) -> None:
    told = function.error({"do": "fail"})
    assert (told["errorType"], told["errorMessage"]) == (FLAVOURS[flavour].error, "no such thing")
    assert told.get("trace") or told.get("stackTrace")
    assert function.readings()[-1].outcome is Outcome.ERROR
    assert function.value({"do": "echo"}) == {"do": "echo"}


def test_what_is_printed_belongs_to_the_invocation(function: Function) -> None:
    answered = function.invoke({"do": "print"})
    assert f"printed for {answered.request_id}" in answered.log
    assert answered.log.splitlines()[0] == f"START RequestId: {answered.request_id} Version: $LATEST"
    assert REPORT.search(answered.log)


def test_an_invocation_is_metered(function: Function) -> None:
    function.value({"do": "burn"})
    reading = function.readings()[-1]
    assert reading.duration_ms >= 190
    assert reading.billed_ms >= reading.duration_ms
    assert reading.cpu_ms > 150
    assert 10 <= reading.peak_mb < 192


def test_a_process_that_exits_fails_its_call_alone(function: Function) -> None:
    function.value({"do": "keep"})
    told = function.error({"do": "exit"})
    assert told["errorType"] == "Runtime.ExitError"
    assert told["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    assert function.value({"do": "kept"}) is True
    assert function.value({"do": "count"}) == 2


@pytest.mark.slow
def test_a_timeout_ends_the_process_and_keeps_tmp(lab: Lab, flavour: str) -> None:
    function = deploy(lab, f"slow-{re.sub('[^a-z0-9]', '-', flavour)}", flavour, Timeout=1)
    function.value({"do": "keep"})
    told = function.error({"do": "hang"})
    assert told["errorType"] == "Sandbox.Timedout"
    assert told["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert function.value({"do": "kept"}) is True
    assert [reading.outcome for reading in function.readings()] == [Outcome.OK, Outcome.TIMEOUT, Outcome.OK]


def test_more_memory_than_the_limit_ends_it(function: Function) -> None:
    assert function.error({"do": "eat"})["errorType"] == "Runtime.OutOfMemory"
    assert function.readings()[-1].outcome is Outcome.OUT_OF_MEMORY
    assert function.value({"do": "echo"}) == {"do": "echo"}


def test_an_answer_over_the_limit_is_an_error(function: Function) -> None:
    told = function.error({"do": "big"})
    assert told["errorType"] == "Function.ResponseSizeTooLarge"
    assert "trace" not in told
    assert "6291556 bytes" in told["errorMessage"]
    assert function.value({"do": "echo"}) == {"do": "echo"}


@pytest.mark.slow
def test_many_callers_at_once_get_their_own_answers(function: Function) -> None:
    def call(number: int) -> object:
        return [function.value({"do": "echo", "number": number * 100 + n})["number"] for n in range(4)]

    with ThreadPoolExecutor(CALLERS) as callers:
        answers = list(callers.map(call, range(CALLERS)))
    assert answers == [[number * 100 + n for n in range(4)] for number in range(CALLERS)]


@pytest.fixture(scope="module")
def shell(lab: Lab) -> Function:
    """A custom runtime of a few lines of shell."""
    return deploy_files(lab, "shell", {"bootstrap": CURL}, Runtime="provided.al2023", Handler="any.thing")


def test_a_shell_script_with_curl_is_a_runtime(shell: Function) -> None:
    answers = [shell.invoke({"n": n}) for n in range(3)]
    assert [json.loads(answered.payload) for answered in answers] == [{"got": {"n": n}} for n in range(3)]
    assert "handled by any.thing\n" in answers[1].log


def test_a_shell_script_can_tell_of_an_error(shell: Function) -> None:
    assert shell.error({"please": "fail"}) == {"errorMessage": "sad", "errorType": "Sad"}
    assert shell.value({}) == {"got": {}}


def test_a_program_that_ends_after_each_answer_fails_no_call(lab: Lab) -> None:
    function = deploy_files(lab, "fleeting", {"bootstrap": CURL}, Runtime="provided.al2023", Handler="any.thing",
                            Environment={"Variables": {"ONCE": "1"}})  # fmt: skip
    assert [function.value({"n": n}) for n in range(4)] == [{"got": {"n": n}} for n in range(4)]
    assert function.error({"please": "fail"}) == {"errorMessage": "sad", "errorType": "Sad"}
    assert function.value({}) == {"got": {}}


def test_an_error_of_initialisation_is_the_answer(lab: Lab) -> None:
    function = deploy_files(lab, "unlucky", {"bootstrap": CURL}, Runtime="provided.al2023", Handler="any.thing",
                            Environment={"Variables": {"INIT": "error"}})  # fmt: skip
    assert function.error({}) == {"errorMessage": "no luck", "errorType": "NoLuck"}
    assert function.readings()[-1].outcome is Outcome.INIT_ERROR


def test_without_a_bootstrap_there_is_nothing_to_start(lab: Lab) -> None:
    function = deploy_files(lab, "empty", {"readme": "nothing"}, Runtime="provided.al2", Handler="any.thing")
    told = function.error({})
    assert told["errorType"] == "Runtime.InvalidEntrypoint"
    assert told["errorMessage"] == "Error: Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
