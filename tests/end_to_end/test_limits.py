"""Lambda's limits on payloads are settings: every door and every runtime keeps to what a platform was given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped] # it has no types

from tests.end_to_end.conftest import SANDBOX
from tests.end_to_end.lab import Lab, laboratory, lambda_client
from tests.end_to_end.programs import PYTHON, deploy

EVENT, ASYNCHRONOUS, ANSWER, STREAM = 300_000, 2000, 200_000, 400_000
STREAMS = """
    def handler(event, context):
        for _ in range(event // 1000):
            yield b"x" * 1000
"""


@pytest.fixture(scope="module", params=[SANDBOX])
def small(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A platform whose limits are none of Lambda's."""
    with laboratory(
        request.param,
        max_payload_bytes=EVENT,
        max_event_bytes=ASYNCHRONOUS,
        max_response_bytes=ANSWER,
        max_stream_bytes=STREAM,
    ) as lab:
        yield lab


def echo(size: int) -> bytes:
    """An event of so many bytes for a function that gives it back."""
    frame = json.dumps({"do": "echo", "text": ""}).encode()
    return frame.replace(b'""', b'"' + b"x" * (size - len(frame)) + b'"')


@pytest.mark.parametrize(
    "flavour",
    [
        "python",
        pytest.param("nodejs20.x", marks=pytest.mark.component("node")),
        pytest.param("awslambdaric", marks=pytest.mark.component("awslambdaric")),
    ],
)
def test_answers_of_every_runtime(small: Lab, flavour: str) -> None:
    is_ours = flavour == "python"
    function = small.deploy(PYTHON) if is_ours else deploy(small, f"echo-{flavour[:6]}", flavour, Timeout=30)
    aws = lambda_client(small.endpoint)
    fits = aws.invoke(FunctionName=function.name, Payload=echo(ANSWER - 1000))
    assert "FunctionError" not in fits
    assert len(fits["Payload"].read()) >= ANSWER - 2000
    answered = aws.invoke(FunctionName=function.name, Payload=echo(ANSWER + 1000))
    assert (answered["StatusCode"], answered["FunctionError"]) == (200, "Unhandled")
    told = json.loads(answered["Payload"].read())
    assert told["errorType"] == "Function.ResponseSizeTooLarge"
    assert f"({ANSWER} bytes)" in told["errorMessage"]


def test_events(small: Lab) -> None:
    function = small.deploy("def handler(event, context): return len(event)")
    aws = lambda_client(small.endpoint)
    quoted = b'"' + b"x" * (EVENT - 2) + b'"'
    assert json.loads(aws.invoke(FunctionName=function.name, Payload=quoted)["Payload"].read()) == EVENT - 2
    for kind, size in (("RequestResponse", EVENT + 1), ("Event", ASYNCHRONOUS + 1)):
        with pytest.raises(ClientError) as refused:
            aws.invoke(FunctionName=function.name, InvocationType=kind, Payload=b" " * (size - 1) + b"0")
        assert refused.value.response["Error"]["Code"] == "RequestTooLargeException"
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
    taken = aws.invoke(FunctionName=function.name, InvocationType="Event", Payload=b" " * (ASYNCHRONOUS - 2) + b'""')
    assert taken["StatusCode"] == 202
    assert httpx.post(function.url, content=b"x" * (EVENT + 1), timeout=30).status_code == 413


def test_a_stream_ends_at_the_limit(small: Lab) -> None:
    function = small.deploy(STREAMS)
    aws = lambda_client(small.endpoint)
    assert _streamed(aws, function.name, STREAM) == (STREAM, None)
    size, ending = _streamed(aws, function.name, STREAM + 100_000)
    assert size <= STREAM
    assert ending == "Function.ResponseSizeTooLarge"
    assert _streamed(aws, function.name, 1000) == (1000, None)


def _streamed(aws: Any, name: str, size: int) -> tuple[int, str | None]:
    events = list(aws.invoke_with_response_stream(FunctionName=name, Payload=str(size))["EventStream"])
    received = sum(len(event["PayloadChunk"]["Payload"]) for event in events if "PayloadChunk" in event)
    return received, events[-1]["InvokeComplete"].get("ErrorCode")
