"""CloudWatch Logs as people use it: boto3 and both `aws` commands find every line of every invocation."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # it ships no types
import pytest
from botocore.config import Config  # type: ignore[import-untyped]  # it ships no types

from tests.compatibility.aws import DOCKER, SANDBOX, create
from tests.platform import Platform
from tests.signing import root_key

pytestmark = [
    pytest.mark.component("boto3", "valkey"),
    pytest.mark.parametrize("platform", [SANDBOX, DOCKER], indirect=True),
]
GROUP = "/aws/lambda/tea"
GROUP_ARN = f"arn:aws:logs:us-east-1:123456789012:log-group:{GROUP}"
SAYS = """
    import json, os

    def handler(event, context):
        print(event["say"])
        print(json.dumps({"level": event.get("level", "INFO"), "request": context.aws_request_id}))
        return os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
"""
FOUND_WITHIN_S = 1.0
SHOWN_WITHIN_S = 90.0
"""`aws logs tail` asks every five seconds, and takes its time to start."""


@pytest.fixture
def logs(platform: Platform) -> Iterator[Any]:
    """boto3's client of CloudWatch Logs, without what other tests have left there: logs outlive their functions."""
    key = root_key(platform.data_dir)
    client = boto3.client(
        "logs",
        endpoint_url=platform.endpoint,
        region_name="us-east-1",
        aws_access_key_id=key.key_id,
        aws_secret_access_key=key.secret,
        config=Config(retries={"total_max_attempts": 1}, inject_host_prefix=False),
    )
    for page in client.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            client.delete_log_group(logGroupName=group["logGroupName"])
    yield client
    client.close()


def say(cloud: Any, text: str, **event: str) -> tuple[str, str]:
    """One invocation that prints something: its request id and its log stream."""
    answer = cloud.invoke(FunctionName="tea", Payload=json.dumps({"say": text, **event}))
    assert "FunctionError" not in answer
    return answer["ResponseMetadata"]["RequestId"], json.loads(answer["Payload"].read())


def messages(logs: Any, **request: Any) -> list[str]:
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=GROUP, **request)
    return [event["message"] for page in pages for event in page["events"]]


def report_found_after(logs: Any, stream: str, request_id: str) -> float:
    """Seconds from now until the last line of an invocation is found."""
    answered = time.monotonic()
    while not any(f"REPORT RequestId: {request_id}" in line for line in messages(logs, logStreamNames=[stream])):
        assert time.monotonic() < answered + SHOWN_WITHIN_S
    return time.monotonic() - answered


def test_every_line_of_an_invocation_is_found_within_a_second(cloud: Any, logs: Any) -> None:
    create(cloud, "tea", SAYS)
    began = time.time()
    request_id, stream = say(cloud, "first cup")
    took = [report_found_after(logs, stream, request_id)]
    first, start, said, structured, end, report = messages(logs, logStreamNames=[stream])
    version = cloud.get_function_configuration(FunctionName="tea")["RuntimeVersionConfig"]["RuntimeVersionArn"]
    assert first == f"INIT_START Runtime Version: python:3.11\tRuntime Version ARN: {version}\n"
    assert start == f"START RequestId: {request_id} Version: $LATEST\n"
    assert said == "first cup\n"
    assert json.loads(structured)["request"] == request_id
    assert end == f"END RequestId: {request_id}\n"
    assert report.startswith(f"REPORT RequestId: {request_id}\tDuration: ")

    event = logs.filter_log_events(logGroupName=GROUP, filterPattern='"first cup"')["events"][0]
    assert event["logStreamName"] == stream
    assert event["timestamp"] == event["ingestionTime"]
    assert began * 1000 - 1 <= event["timestamp"] <= time.time() * 1000

    while min(took) > FOUND_WITHIN_S and len(took) < 5:  # a busy machine delays some, not all
        request_id, stream = say(cloud, "another cup")
        took.append(report_found_after(logs, stream, request_id))
    assert min(took) < FOUND_WITHIN_S


def test_groups_and_streams_are_described(cloud: Any, logs: Any) -> None:
    create(cloud, "tea", SAYS)
    before_ms = int(time.time() * 1000)
    _, stream = say(cloud, "one")
    (group,) = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/te")["logGroups"]
    assert group["logGroupName"] == GROUP
    assert (group["arn"], group["logGroupArn"]) == (f"{GROUP_ARN}:*", GROUP_ARN)
    assert group["storedBytes"] > 0
    assert "retentionInDays" not in group
    assert logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/x")["logGroups"] == []
    assert logs.describe_log_groups(logGroupNamePattern="TEA")["logGroups"] == [group]

    cloud.update_function_configuration(FunctionName="tea", Description="makes a new environment", Timeout=5)
    cloud.get_waiter("function_updated_v2").wait(FunctionName="tea")
    _, other = say(cloud, "two")
    assert other != stream
    by_time = logs.describe_log_streams(logGroupName=GROUP, orderBy="LastEventTime", descending=True)["logStreams"]
    assert [each["logStreamName"] for each in by_time] == [other, stream]
    assert by_time[0]["arn"] == f"{GROUP_ARN}:log-stream:{other}"
    assert before_ms - 1000 <= by_time[1]["firstEventTimestamp"] <= by_time[1]["lastEventTimestamp"]
    pages = logs.get_paginator("describe_log_streams").paginate(
        logGroupIdentifier=GROUP_ARN, PaginationConfig={"PageSize": 1}
    )
    names = [[each["logStreamName"] for each in page["logStreams"]] for page in pages]
    assert names == [[name] for name in sorted((stream, other))]
    only = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=other)["logStreams"]
    assert [each["logStreamName"] for each in only] == [other]

    logs.delete_log_stream(logGroupName=GROUP, logStreamName=stream)
    assert {event["logStreamName"] for event in logs.filter_log_events(logGroupName=GROUP)["events"]} == {other}
    with pytest.raises(logs.exceptions.ResourceNotFoundException, match="log stream does not exist"):
        logs.get_log_events(logGroupName=GROUP, logStreamName=stream)


def test_a_stream_is_read_in_both_directions(cloud: Any, logs: Any) -> None:
    create(cloud, "tea", SAYS)
    for number in range(4):
        _, stream = say(cloud, f"cup {number}")
    whole = logs.get_log_events(logGroupName=GROUP, logStreamName=stream, startFromHead=True)
    assert len(whole["events"]) == 21, "five lines a call, and one of the environment"
    named = {"logGroupName": GROUP, "logStreamName": stream, "limit": 7}

    def read(token: str, **first: bool) -> list[list[dict[str, Any]]]:
        pages: list[list[dict[str, Any]]] = []
        request = named | first
        while True:
            page = logs.get_log_events(**request)
            if page[token] == request.get("nextToken"):
                assert page["events"] == []
                return pages
            pages.append(page["events"])
            request = named | {"nextToken": page[token]}

    forwards = read("nextForwardToken", startFromHead=True)
    assert [event for page in forwards for event in page] == whole["events"]
    backwards = read("nextBackwardToken")
    assert [event for page in backwards[::-1] for event in page] == whole["events"]

    last = logs.get_log_events(logGroupName=GROUP, logStreamName=stream)
    say(cloud, "later")
    newer = logs.get_log_events(logGroupName=GROUP, logStreamName=stream, nextToken=last["nextForwardToken"])
    assert [event["message"] for event in newer["events"]][1] == "later\n"
    middle = whole["events"][5]["timestamp"]
    bounded = logs.get_log_events(logGroupName=GROUP, logStreamName=stream, startTime=middle, endTime=middle + 1)
    assert bounded["events"] == [event for event in whole["events"] if event["timestamp"] == middle]


def test_events_are_filtered_by_pattern_and_time_page_by_page(cloud: Any, logs: Any) -> None:
    create(cloud, "tea", SAYS)
    for number in range(3):
        say(cloud, f"cup {number}", level="ERROR" if number == 1 else "INFO")
    between = int(time.time() * 1000) + 1
    time.sleep(0.005)
    request_id, stream = say(cloud, "cup 3", level="ERROR")
    assert messages(logs, filterPattern="cup -2") == ["cup 0\n", "cup 1\n", "cup 3\n"]
    assert messages(logs, filterPattern='?"cup 0" ?"cup 3"') == ["cup 0\n", "cup 3\n"]
    assert messages(logs, filterPattern="%^cup [0-2]$%") == ["cup 0\n", "cup 1\n", "cup 2\n"]
    assert len(messages(logs, filterPattern='{ $.level = "ERROR" }')) == 2
    (found,) = messages(logs, filterPattern=f'{{ $.level = ERR* && $.request = "{request_id}" }}')
    assert json.loads(found)["request"] == request_id
    assert messages(logs, filterPattern="[what=cup, number>1]") == ["cup 2\n", "cup 3\n"]
    assert messages(logs, filterPattern="cup", startTime=between) == ["cup 3\n"]
    assert messages(logs, filterPattern="cup", endTime=between) == ["cup 0\n", "cup 1\n", "cup 2\n"]
    assert messages(logs, filterPattern="cup", logStreamNames=[stream])[-1] == "cup 3\n"
    assert messages(logs, filterPattern="cup", logStreamNamePrefix="1999/") == []
    with pytest.raises(logs.exceptions.InvalidParameterException, match="Invalid filter pattern"):
        messages(logs, filterPattern="{ $.level")

    events, request = [], {"logGroupName": GROUP, "limit": 3}
    while True:
        page = logs.filter_log_events(**request)
        events += page["events"]
        assert len(page["events"]) <= 3
        if "nextToken" not in page:
            break
        request["nextToken"] = page["nextToken"]
    assert len(events) == len({event["eventId"] for event in events}) == 21
    assert events == logs.filter_log_events(logGroupName=GROUP)["events"]
    with pytest.raises(logs.exceptions.InvalidParameterException, match="nextToken is invalid"):
        logs.filter_log_events(logGroupName=GROUP, filterPattern="other", nextToken=request["nextToken"])


def test_groups_are_made_kept_tagged_and_deleted(cloud: Any, logs: Any) -> None:
    logs.create_log_group(logGroupName=GROUP, tags={"team": "tea"})
    with pytest.raises(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_group(logGroupName=GROUP)
    for pattern in ("lambda/tea", "^/aws/lambda", "never|^/aws"):
        (listed,) = logs.list_log_groups(logGroupNamePattern=pattern)["logGroups"]
        assert listed == {"logGroupName": GROUP, "logGroupArn": GROUP_ARN, "logGroupClass": "STANDARD"}
    for pattern in ("^tea", "LAMBDA"):
        assert logs.list_log_groups(logGroupNamePattern=pattern)["logGroups"] == []
    longest = "/tea/" + "x" * 507
    logs.create_log_group(logGroupName=longest)
    assert [each["logGroupName"] for each in logs.list_log_groups()["logGroups"]] == [GROUP, longest]
    logs.delete_log_group(logGroupName=longest)
    with pytest.raises(logs.exceptions.InvalidParameterException, match="length less than or equal to 512"):
        logs.create_log_group(logGroupName=f"{longest}x")
    logs.tag_resource(resourceArn=GROUP_ARN, tags={"a": "b"})
    logs.untag_resource(resourceArn=GROUP_ARN, tagKeys=["team"])
    assert logs.list_tags_for_resource(resourceArn=GROUP_ARN)["tags"] == {"a": "b"}
    logs.put_retention_policy(logGroupName=GROUP, retentionInDays=7)
    assert logs.describe_log_groups()["logGroups"][0]["retentionInDays"] == 7
    with pytest.raises(logs.exceptions.InvalidParameterException):
        logs.put_retention_policy(logGroupName=GROUP, retentionInDays=8)
    logs.delete_retention_policy(logGroupName=GROUP)
    assert "retentionInDays" not in logs.describe_log_groups()["logGroups"][0]

    create(cloud, "tea", SAYS)
    say(cloud, "before")
    logs.delete_log_group(logGroupName=GROUP)
    for gone in (logs.delete_log_group, logs.filter_log_events, logs.describe_log_streams):
        with pytest.raises(logs.exceptions.ResourceNotFoundException, match="log group does not exist"):
            gone(logGroupName=GROUP)
    say(cloud, "after")
    assert [message for message in messages(logs) if "\t" not in message][1] == "after\n"


def test_a_live_tail_shows_events_as_they_come(cloud: Any, logs: Any) -> None:
    create(cloud, "tea", SAYS)
    say(cloud, "before")
    stream = logs.start_live_tail(logGroupIdentifiers=[GROUP_ARN], logEventFilterPattern="cup")["responseStream"]
    events = iter(stream)
    assert "sessionId" in next(events)["sessionStart"]
    say(cloud, "a cup")
    for event in events:
        results = event["sessionUpdate"]["sessionResults"]
        if results:
            assert [(each["message"], each["logGroupIdentifier"]) for each in results] == [("a cup\n", GROUP_ARN)]
            break
    stream.close()


@contextmanager
def aws_shows(platform: Platform, home: Path, *command: str) -> Iterator[Callable[[str], None]]:
    """Run an `aws` command; the block is given a function that waits for a text in what it prints."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "AWS_ENDPOINT_URL": platform.endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_SHARED_CREDENTIALS_FILE": str(platform.data_dir / "credentials"),
        "AWS_PROFILE": "samovar",
        "PYTHONUNBUFFERED": "1",
    }
    shown: list[str] = []
    arrived = threading.Condition()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as aws:
        assert aws.stdout is not None
        output = aws.stdout

        def collect() -> None:
            for line in output:
                with arrived:
                    shown.append(line)
                    arrived.notify_all()

        reader = threading.Thread(target=collect, daemon=True)
        reader.start()

        def wait_for(text: str) -> None:
            with arrived:
                assert arrived.wait_for(lambda: any(text in line for line in shown), SHOWN_WITHIN_S), shown

        try:
            yield wait_for
        finally:
            aws.kill()
            reader.join(SHOWN_WITHIN_S)


@pytest.mark.component("aws cli v2")
def test_aws_logs_tail_follows(cloud: Any, logs: Any, platform: Platform, tmp_path: Path) -> None:
    create(cloud, "tea", SAYS)
    request_id, stream = say(cloud, "before")
    tail = ("/usr/bin/aws", "logs", "tail", GROUP, "--follow", "--endpoint-url", platform.endpoint)
    with aws_shows(platform, tmp_path, *tail) as wait_for:
        wait_for(f"{stream} before")
        wait_for(f"REPORT RequestId: {request_id}")
        later, _ = say(cloud, "later")
        wait_for(f"{stream} later")
        wait_for(f"REPORT RequestId: {later}")


@pytest.mark.component("aws cli")
def test_aws_logs_filter_log_events(cloud: Any, logs: Any, platform: Platform, tmp_path: Path) -> None:
    create(cloud, "tea", SAYS)
    say(cloud, "before")
    aws = str(Path(sys.executable).parent / "aws")
    search = (aws, "logs", "filter-log-events", "--log-group-name", GROUP, "--filter-pattern", "before")
    with aws_shows(platform, tmp_path, *search) as wait_for:
        wait_for('"message": "before')
