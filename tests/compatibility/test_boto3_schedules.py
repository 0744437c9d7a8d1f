"""EventBridge Scheduler through boto3: schedules and groups, made, told, listed, changed, removed and refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3  # type: ignore[import-untyped]  # it ships no types
import pytest
from botocore.config import Config  # type: ignore[import-untyped]  # it ships no types
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types

from tests.compatibility.aws import ARN, HANDLER, create, refusal
from tests.signing import key_for

pytestmark = pytest.mark.component("boto3", "valkey")

ROLE = "arn:aws:iam::123456789012:role/samovar"
OFF = {"Mode": "OFF"}
QUEUE = "arn:aws:sqs:us-east-1:123456789012:work"


@pytest.fixture
def scheduler(endpoint: str, aws: Any) -> Iterator[Any]:
    """boto3's client, and a function `report`; schedules and groups are removed at the end."""
    create(aws, "report", HANDLER)
    key = key_for(endpoint)
    client = boto3.client(
        "scheduler",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=key.key_id,
        aws_secret_access_key=key.secret,
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
    )
    yield client
    for one in client.list_schedules()["Schedules"]:
        client.delete_schedule(Name=one["Name"], GroupName=one["GroupName"])
    for group in client.list_schedule_groups()["ScheduleGroups"]:
        if group["Name"] != "default":
            client.delete_schedule_group(Name=group["Name"])
    client.close()


def made(scheduler: Any, name: str = "nightly", **members: Any) -> dict[str, Any]:
    usual = {
        "ScheduleExpression": "cron(0 3 * * ? *)",
        "Target": {"Arn": f"{ARN}report", "RoleArn": ROLE},
        "FlexibleTimeWindow": OFF,
    }
    answer: dict[str, Any] = scheduler.create_schedule(Name=name, **(usual | members))
    return answer


def told(scheduler: Any, name: str = "nightly", **members: Any) -> dict[str, Any]:
    answer: dict[str, Any] = scheduler.get_schedule(Name=name, **members)
    del answer["ResponseMetadata"]
    return answer


def test_a_schedule_is_told_as_it_was_made(scheduler: Any) -> None:
    target = {
        "Arn": f"{ARN}report",
        "RoleArn": ROLE,
        "Input": json.dumps({"what": "all"}),
        "RetryPolicy": {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 2},
        "DeadLetterConfig": {"Arn": QUEUE},
    }
    given: dict[str, Any] = {
        "ScheduleExpressionTimezone": "Europe/Berlin",
        "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15},
        "StartDate": datetime(2030, 1, 1, tzinfo=UTC),
        "EndDate": datetime(2031, 1, 1, tzinfo=UTC),
        "State": "DISABLED",
        "Description": "every night",
        "ActionAfterCompletion": "DELETE",
        "Target": target,
    }
    arn = made(scheduler, **given)["ScheduleArn"]
    assert arn == "arn:aws:scheduler:us-east-1:123456789012:schedule/default/nightly"
    found = told(scheduler)
    created, modified = found.pop("CreationDate"), found.pop("LastModificationDate")
    assert created == modified
    assert found == {
        **given,
        "Arn": arn,
        "Name": "nightly",
        "GroupName": "default",
        "ScheduleExpression": "cron(0 3 * * ? *)",
    }


def test_an_update_is_the_whole_schedule_anew(scheduler: Any) -> None:
    made(scheduler, Description="every night")
    before = told(scheduler)
    scheduler.update_schedule(
        Name="nightly",
        ScheduleExpression="rate(5 minutes)",
        Target={"Arn": QUEUE, "RoleArn": ROLE, "Input": "plain"},
        FlexibleTimeWindow=OFF,
    )
    after = told(scheduler)
    assert (after["ScheduleExpression"], after["Target"]["Arn"]) == ("rate(5 minutes)", QUEUE)
    assert "Description" not in after
    assert after["CreationDate"] == before["CreationDate"]
    assert after["LastModificationDate"] > before["LastModificationDate"]


def test_lists_by_group_prefix_state_and_page(scheduler: Any) -> None:
    scheduler.create_schedule_group(Name="reports")
    for number in range(3):
        made(scheduler, f"a-{number}")
    made(scheduler, "b", GroupName="reports", State="DISABLED")

    def names(**members: Any) -> list[str]:
        pages = scheduler.get_paginator("list_schedules").paginate(**members)
        return [one["Name"] for page in pages for one in page["Schedules"]]

    assert names() == ["a-0", "a-1", "a-2", "b"]
    assert names(PaginationConfig={"PageSize": 2}) == ["a-0", "a-1", "a-2", "b"]
    assert names(GroupName="reports") == names(State="DISABLED") == names(NamePrefix="b") == ["b"]
    assert names(NamePrefix="a-1") == ["a-1"]
    summary = scheduler.list_schedules(NamePrefix="b")["Schedules"][0]
    assert (summary["GroupName"], summary["Target"], summary["State"]) == (
        "reports",
        {"Arn": f"{ARN}report"},
        "DISABLED",
    )


def test_a_request_that_is_sent_again_is_answered_as_the_first(scheduler: Any) -> None:
    first = made(scheduler, ClientToken="once")
    assert made(scheduler, ClientToken="once")["ScheduleArn"] == first["ScheduleArn"]
    with pytest.raises(scheduler.exceptions.ConflictException):
        made(scheduler, ClientToken="once", Description="another")
    group = scheduler.create_schedule_group(Name="once", ClientToken="once")
    assert (
        scheduler.create_schedule_group(Name="once", ClientToken="once")["ScheduleGroupArn"]
        == group["ScheduleGroupArn"]
    )
    with pytest.raises(scheduler.exceptions.ConflictException):
        scheduler.create_schedule_group(Name="once")


def test_groups_are_listed_in_pages(scheduler: Any) -> None:
    for number in range(3):
        scheduler.create_schedule_group(Name=f"g-{number}")
    pages = scheduler.get_paginator("list_schedule_groups").paginate(PaginationConfig={"PageSize": 2})
    names = [[group["Name"] for group in page["ScheduleGroups"]] for page in pages]
    assert names == [["default", "g-0"], ["g-1", "g-2"]]


def test_groups_hold_schedules_and_take_them_along(scheduler: Any) -> None:
    arn = scheduler.create_schedule_group(Name="reports")["ScheduleGroupArn"]
    assert arn == "arn:aws:scheduler:us-east-1:123456789012:schedule-group/reports"
    assert scheduler.get_schedule_group(Name="reports")["State"] == "ACTIVE"
    assert [one["Name"] for one in scheduler.list_schedule_groups()["ScheduleGroups"]] == ["default", "reports"]
    made(scheduler, GroupName="reports")
    made(scheduler)  # of the same name, in another group
    scheduler.delete_schedule_group(Name="reports")
    assert [one["GroupName"] for one in scheduler.list_schedules()["Schedules"]] == ["default"]


@pytest.mark.parametrize(
    ("members", "code", "words"),
    [
        (
            {"ScheduleExpression": "rate(0 minutes)"},
            "ValidationException",
            "Invalid Schedule Expression rate(0 minutes).",
        ),
        (
            {"ScheduleExpression": "cron(0 0 * * *)"},
            "ValidationException",
            "Invalid Schedule Expression cron(0 0 * * *).",
        ),
        ({"ScheduleExpressionTimezone": "Mars/Olympus"}, "ValidationException", "'Mars/Olympus' does not exist"),
        ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}}, "ValidationException", "MaximumWindowInMinutes"),
        ({"FlexibleTimeWindow": {"Mode": "SOON"}}, "ValidationException", "enum value set"),
        ({"FlexibleTimeWindow": None}, "ValidationException", "flexibleTimeWindow"),
        ({"Target": {"Arn": f"{ARN}report", "RoleArn": ROLE, "Input": "{"}}, "ValidationException", "Input"),
        ({"Target": {"Arn": "arn:aws:sns:us-east-1:123456789012:x", "RoleArn": ROLE}}, "ValidationException", "sns"),
        (
            {"Target": {"Arn": f"{ARN}report", "RoleArn": ROLE, "EcsParameters": {"TaskDefinitionArn": "arn:x"}}},
            "ValidationException",
            "Ecs",
        ),
        ({"GroupName": "nobody"}, "ResourceNotFoundException", "nobody"),
        ({"EndDate": datetime(2020, 1, 1, tzinfo=UTC)}, "ValidationException", "EndDate"),
    ],
)
def test_what_makes_no_sense_is_refused(scheduler: Any, members: dict[str, Any], code: str, words: str) -> None:
    with pytest.raises(ClientError) as error:
        made(scheduler, **members)
    assert refusal(error)[0] == code
    said = refusal(error)[1]
    assert words == said if words.startswith("Invalid Schedule Expression") else words in said
    assert scheduler.list_schedules()["Schedules"] == []


def test_what_a_schedule_starts_need_not_be_there_yet(scheduler: Any) -> None:
    made(scheduler, Target={"Arn": f"{ARN}nobody", "RoleArn": ROLE})
    assert scheduler.get_schedule(Name="nightly")["Target"]["Arn"] == f"{ARN}nobody"


def test_groups_have_tags(scheduler: Any) -> None:
    arn = scheduler.create_schedule_group(Name="reports", Tags=[{"Key": "team", "Value": "a"}])["ScheduleGroupArn"]
    scheduler.tag_resource(ResourceArn=arn, Tags=[{"Key": "team", "Value": "b"}, {"Key": "cost", "Value": "1"}])
    tags = scheduler.list_tags_for_resource(ResourceArn=arn)["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "b", "cost": "1"}
    scheduler.untag_resource(ResourceArn=arn, TagKeys=["team", "nobody"])
    assert scheduler.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "cost", "Value": "1"}]
    scheduler.delete_schedule_group(Name="reports")
    for call, members in (
        (scheduler.list_tags_for_resource, {}),
        (scheduler.tag_resource, {"Tags": [{"Key": "team", "Value": "a"}]}),
    ):
        with pytest.raises(scheduler.exceptions.ResourceNotFoundException):
            call(ResourceArn=arn, **members)
    scheduler.create_schedule_group(Name="reports")
    assert scheduler.list_tags_for_resource(ResourceArn=arn)["Tags"] == []


def test_twice_the_same_name_and_none(scheduler: Any) -> None:
    made(scheduler)
    with pytest.raises(scheduler.exceptions.ConflictException):
        made(scheduler)
    for call in (scheduler.get_schedule, scheduler.delete_schedule):
        with pytest.raises(scheduler.exceptions.ResourceNotFoundException):
            call(Name="nobody")
    with pytest.raises(scheduler.exceptions.ConflictException):
        scheduler.create_schedule_group(Name="default")
    with pytest.raises(scheduler.exceptions.ValidationException):
        scheduler.delete_schedule_group(Name="default")
