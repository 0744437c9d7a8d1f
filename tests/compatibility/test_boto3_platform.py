"""What boto3 changes through the control API, the next call meets: on a whole platform."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.compatibility.aws import ARN, SANDBOX, create, package
from tests.platform import Platform
from tests.signing import Signing, root_key

pytestmark = [
    pytest.mark.component("boto3", "valkey"),
    pytest.mark.parametrize("platform", [SANDBOX], indirect=True),
]
MOVES_WITHIN_S = 60.0
ENVIRONMENT = """
    import os

    def handler(event, context):
        return [os.environ.get("POT"), context.memory_limit_in_mb, context.get_remaining_time_in_millis() // 1000]
"""


def result(aws: Any, name: str, event: Any = None) -> Any:
    """What the function returns."""
    answer = aws.invoke(FunctionName=name, Payload=json.dumps(event).encode())
    assert "FunctionError" not in answer
    return json.loads(answer["Payload"].read())


def isolations(platform: Platform, name: str) -> set[str]:
    """Where the function's environments run now, those that are ending left aside."""
    found = httpx.get(f"{platform.endpoint}/samovar/v1/environments", auth=Signing(root_key(platform.data_dir))).json()
    return {one["isolation"] for one in found if one["arn"] == ARN + name and one["state"] in ("idle", "busy")}


def test_new_code_answers_as_soon_as_the_waiter_returns(cloud: Any) -> None:
    made = create(cloud, "tea", 'def handler(event, context): return "old"')
    assert (made["State"], made["StateReasonCode"], made["FunctionArn"]) == ("Pending", "Creating", f"{ARN}tea")
    assert result(cloud, "tea") == "old"
    changed = cloud.update_function_code(
        FunctionName="tea", ZipFile=package('def handler(event, context): return "new"')
    )
    cloud.get_waiter("function_updated_v2").wait(FunctionName="tea")
    assert changed["CodeSha256"] != made["CodeSha256"]
    assert [result(cloud, "tea") for _ in range(20)] == ["new"] * 20


def test_a_new_configuration_reaches_the_function(cloud: Any) -> None:
    made = create(cloud, "tea", ENVIRONMENT)
    assert "Environment" not in made
    assert result(cloud, "tea") == [None, "128", 2]
    cloud.update_function_configuration(
        FunctionName="tea", MemorySize=256, Timeout=30, Environment={"Variables": {"POT": "big"}}
    )
    cloud.get_waiter("function_updated_v2").wait(FunctionName="tea")
    assert result(cloud, "tea") == ["big", "256", 29]
    shown = cloud.get_function_configuration(FunctionName="tea")
    assert (shown["MemorySize"], shown["Timeout"], shown["Environment"]) == (256, 30, {"Variables": {"POT": "big"}})


def test_all_functions_are_listed_over_pages(cloud: Any) -> None:
    names = [f"tea-{number}" for number in range(5)]
    for name in names:
        create(cloud, name, "def handler(event, context): return 1")
    pages = list(cloud.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2}))
    assert [[one["FunctionName"] for one in page["Functions"]] for page in pages] == [names[:2], names[2:4], names[4:]]


def test_a_function_url_answers_by_its_host_name_until_it_is_deleted(cloud: Any, platform: Platform) -> None:
    create(cloud, "tea", 'def handler(event, context): return event["rawPath"] + "?" + event["rawQueryString"]')
    url = cloud.create_function_url_config(FunctionName="tea", AuthType="NONE")["FunctionUrl"]
    assert cloud.get_function_url_config(FunctionName="tea")["FunctionUrl"] == url
    with pytest.raises(cloud.exceptions.ResourceConflictException):
        cloud.create_function_url_config(FunctionName="tea", AuthType="NONE")

    def ask() -> httpx.Response:
        headers = {"Host": urlsplit(url).netloc}
        return httpx.get(f"{platform.endpoint}/a%20b/c?x=1&x=2", headers=headers, timeout=30)

    answer = ask()
    assert (answer.status_code, answer.text) == (200, "/a%20b/c?x=1&x=2")
    cloud.delete_function_url_config(FunctionName="tea")
    with pytest.raises(cloud.exceptions.ResourceNotFoundException):
        cloud.get_function_url_config(FunctionName="tea")
    assert ask().status_code in (403, 404)


def moves(cloud: Any, platform: Platform, isolation: str) -> None:
    """The function answers from there, and from nowhere else, as soon as an environment is ready for it."""
    deadline = time.monotonic() + MOVES_WITHIN_S
    while (result(cloud, "tea"), isolations(platform, "tea")) != (1, {isolation}):
        assert time.monotonic() < deadline, isolations(platform, "tea")


@pytest.mark.component("docker")
def test_tags_choose_the_isolation(cloud: Any, platform: Platform) -> None:
    create(cloud, "tea", "def handler(event, context): return 1", Tags={"team": "kitchen"})
    assert (result(cloud, "tea"), isolations(platform, "tea")) == (1, {"sandbox"})
    cloud.tag_resource(Resource=f"{ARN}tea", Tags={"samovar:isolation": "docker"})
    moves(cloud, platform, "docker")
    cloud.untag_resource(Resource=f"{ARN}tea", TagKeys=["samovar:isolation"])
    moves(cloud, platform, "sandbox")
    assert cloud.list_tags(Resource=f"{ARN}tea")["Tags"] == {"team": "kitchen"}


def test_a_deleted_function_is_not_found_by_anything(cloud: Any) -> None:
    create(cloud, "tea", "def handler(event, context): return 1")
    assert result(cloud, "tea") == 1
    cloud.delete_function(FunctionName="tea")
    for action, resource in (
        (cloud.invoke, f"{ARN}tea:$LATEST"),
        (cloud.get_function, f"{ARN}tea"),
        (cloud.get_function_configuration, f"{ARN}tea"),
        (cloud.delete_function, f"{ARN}tea"),
    ):
        with pytest.raises(cloud.exceptions.ResourceNotFoundException) as error:
            action(FunctionName="tea")
        assert error.value.response["Error"]["Message"] == f"Function not found: {resource}"
