"""Requests that are checked and not carried out."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.component("valkey")
ROLE = "arn:aws:iam::123456789012:role/r"
FUNCTION = {
    "FunctionName": "tea", "Role": ROLE, "Runtime": "python3.11", "Handler": "a.b", "Code": {"ZipFile": ""},
}  # fmt: skip
SCHEDULE = {
    "Name": "s", "ScheduleExpression": "rate(1 day)", "FlexibleTimeWindow": {"Mode": "OFF"},
    "Target": {"Arn": "arn:aws:lambda:us-east-1:123456789012:function:tea", "RoleArn": ROLE},
}  # fmt: skip
MAPPING = {"FunctionName": "tea", "EventSourceArn": "arn:aws:sqs:us-east-1:123456789012:q", "BatchSize": 10}


@pytest.mark.parametrize(
    ("service", "operation", "members", "says"),
    [
        ("lambda", "CreateFunction", FUNCTION, ""),
        ("lambda", "CreateFunction", FUNCTION | {"Timeout": 9000}, "Value '9000' at 'timeout' failed to satisfy"),
        ("lambda", "CreateFunction", FUNCTION | {"MemorySize": 1}, "at 'memorySize' failed to satisfy constraint"),
        ("lambda", "CreateFunction", FUNCTION | {"Runtime": "cobol"}, "cobol"),
        ("lambda", "CreateFunction", FUNCTION | {"Environment": {"Variables": {"AWS_REGION": "x"}}}, "AWS_REGION"),
        ("lambda", "CreateFunction", FUNCTION | {"Tags": {"aws:x": "1"}}, "the prefix aws: is reserved"),
        ("lambda", "CreateFunction", FUNCTION | {"Layers": ["arn:aws:lambda:us-east-1:1:layer:x:1"]}, "layer"),
        ("lambda", "CreateFunction", {}, "at 'functionName' failed to satisfy constraint: Member must not be null"),
        ("lambda", "CreateEventSourceMapping", MAPPING, ""),
        ("lambda", "CreateEventSourceMapping", MAPPING | {"BatchSize": 20}, "Maximum batch window in seconds must be"),
        ("lambda", "MakeTea", {}, "there is no operation MakeTea of lambda"),
        ("scheduler", "CreateSchedule", SCHEDULE, ""),
        (
            "scheduler",
            "CreateSchedule",
            SCHEDULE | {"ScheduleExpression": "often"},
            "Invalid Schedule Expression",
        ),
        ("sqs", "CreateQueue", {"QueueName": "q", "Attributes": {"DelaySeconds": "900"}}, ""),
        ("sqs", "CreateQueue", {"QueueName": "q", "Attributes": {"DelaySeconds": "901"}}, "DelaySeconds"),
        ("sqs", "CreateQueue", {"QueueName": "q", "Attributes": {"FifoQueue": "maybe"}}, "FifoQueue"),
    ],
)
async def test_what_would_be_refused_is_told(
    api: httpx.AsyncClient, service: str, operation: str, members: dict[str, Any], says: str
) -> None:
    asked = {"requests": [{"service": service, "operation": operation, "request": members}]}
    (problem,) = (await api.post("/samovar/v1/checks", json=asked)).json()
    assert says in problem
    assert bool(problem) == bool(says)
    assert (await api.get("/2015-03-31/functions")).json()["Functions"] == []


async def test_requests_are_answered_in_their_order(api: httpx.AsyncClient) -> None:
    wrong = FUNCTION | {"Timeout": 0}
    asked = [{"service": "lambda", "operation": "CreateFunction", "request": one} for one in (wrong, FUNCTION, wrong)]
    answered = (await api.post("/samovar/v1/checks", json={"requests": asked})).json()
    assert [bool(problem) for problem in answered] == [True, False, True]
    too_many = await api.post("/samovar/v1/checks", json={"requests": asked * 100})
    assert too_many.status_code == 400
