"""Versions, aliases and regions through boto3, on a whole platform."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types

from tests.compatibility.aws import ARN, SANDBOX, create, lambda_client, package
from tests.platform import Platform

pytestmark = [
    pytest.mark.component("boto3", "valkey"),
    pytest.mark.parametrize("platform", [SANDBOX], indirect=True),
]
SELF = """
    import os
    calls = 0

    def handler(event, context):
        global calls
        calls += 1
        return ["{said}", context.function_version, context.invoked_function_arn, calls, os.getenv("POT")]
"""


def call(aws: Any, name: str, **members: Any) -> tuple[str, Any]:
    """The version that was executed, and what it returned."""
    answer = aws.invoke(FunctionName=name, **members)
    assert "FunctionError" not in answer
    return answer["ExecutedVersion"], json.loads(answer["Payload"].read())


def change(aws: Any, said: str, **members: Any) -> dict[str, Any]:
    """Give the function `tea` other code."""
    changed: dict[str, Any] = aws.update_function_code(
        FunctionName="tea", ZipFile=package(SELF.replace("{said}", said)), **members
    )
    return changed


@pytest.fixture
def tea(cloud: Any) -> Any:
    """boto3's client of a platform with a function that has versions 1 and 2, and other code than those."""
    create(cloud, "tea", SELF.replace("{said}", "one"), Environment={"Variables": {"POT": "small"}})
    cloud.publish_version(FunctionName="tea")
    change(cloud, "two", Publish=True)
    change(cloud, "three")
    cloud.update_function_configuration(FunctionName="tea", Environment={"Variables": {"POT": "big"}})
    cloud.get_waiter("published_version_active").wait(FunctionName="tea", Qualifier="2")
    return cloud


def test_versions_answer_side_by_side_as_they_were(tea: Any) -> None:
    for name, members, executed, said, seen, pot in (
        ("tea", {}, "$LATEST", "three", f"{ARN}tea", "big"),
        ("tea:$LATEST", {}, "$LATEST", "three", f"{ARN}tea:$LATEST", "big"),
        ("tea:1", {}, "1", "one", f"{ARN}tea:1", "small"),
        (f"{ARN}tea:2", {}, "2", "two", f"{ARN}tea:2", "small"),
        ("123456789012:function:tea", {"Qualifier": "1"}, "1", "one", f"{ARN}tea:1", "small"),
    ):
        version, result = call(tea, name, **members)
        assert (version, result[:3], result[4]) == (executed, [said, executed, seen], pot)


def test_a_deployment_leaves_the_environments_of_versions_alone(tea: Any) -> None:
    assert [call(tea, "tea:1")[1][3] for _ in range(3)] == [1, 2, 3]
    change(tea, "four")
    tea.put_function_concurrency(FunctionName="tea", ReservedConcurrentExecutions=5)
    assert call(tea, "tea")[1][0] == "four"
    assert call(tea, "tea:1")[1][3] == 4


def test_an_alias_moves_between_two_calls(tea: Any, platform: Platform) -> None:
    alias = tea.create_alias(FunctionName="tea", Name="live", FunctionVersion="1")
    assert alias["AliasArn"] == f"{ARN}tea:live"
    for version, said in (("1", "one"), ("2", "two"), ("$LATEST", "three"), ("1", "one")):
        tea.update_alias(FunctionName="tea", Name="live", FunctionVersion=version)
        executed, result = call(tea, "tea", Qualifier="live")
        assert (executed, result[:3]) == (version, [said, version, f"{ARN}tea:live"])
        assert httpx.get(f"{platform.endpoint}/fn/tea:live/", timeout=30).json()[:3] == result[:3]
    with pytest.raises(tea.exceptions.ResourceConflictException, match="following aliases reference it: \\[live\\]"):
        tea.delete_function(FunctionName="tea", Qualifier="1")
    tea.delete_alias(FunctionName="tea", Name="live")
    with pytest.raises(tea.exceptions.ResourceNotFoundException, match=f"{ARN}tea:live"):
        call(tea, "tea:live")
    assert httpx.get(f"{platform.endpoint}/fn/tea:live/").json()["Message"] == f"Function not found: {ARN}tea:live"
    tea.delete_function(FunctionName="tea", Qualifier="1")
    with pytest.raises(tea.exceptions.ResourceNotFoundException, match=f"{ARN}tea:1"):
        call(tea, "tea:1")


def test_the_url_of_an_alias_leads_to_its_version(tea: Any, platform: Platform) -> None:
    tea.create_alias(FunctionName="tea", Name="live", FunctionVersion="1")
    made = tea.create_function_url_config(FunctionName="tea", Qualifier="live", AuthType="NONE")
    assert made["FunctionArn"] == f"{ARN}tea:live"
    host = made["FunctionUrl"].split("/")[2]
    for version, said in (("1", "one"), ("2", "two")):
        tea.update_alias(FunctionName="tea", Name="live", FunctionVersion=version)
        answer = httpx.get(platform.endpoint, headers={"Host": host}, timeout=30)
        assert answer.json()[:3] == [said, version, f"{ARN}tea:live"]
    assert (
        tea.list_function_url_configs(FunctionName="tea")["FunctionUrlConfigs"][0]["FunctionUrl"] == made["FunctionUrl"]
    )
    tea.delete_alias(FunctionName="tea", Name="live")
    assert httpx.get(platform.endpoint, headers={"Host": host}).status_code == 403


def test_weights_share_calls_out(tea: Any) -> None:
    tea.create_alias(
        FunctionName="tea",
        Name="live",
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.3}},
    )
    with ThreadPoolExecutor(4) as pool:
        taken = Counter(pool.map(lambda _: call(tea, "tea:live")[0], range(300)))
    assert taken.total() == 300
    assert 42 < taken["2"] < 138, taken  # 90 expected; six standard deviations either way
    tea.update_alias(FunctionName="tea", Name="live", RoutingConfig={"AdditionalVersionWeights": {"2": 1.0}})
    assert {call(tea, "tea:live")[0] for _ in range(20)} == {"2"}
    tea.update_alias(FunctionName="tea", Name="live", RoutingConfig={})
    assert {call(tea, "tea:live")[0] for _ in range(20)} == {"1"}


def test_a_function_that_is_off_is_off_in_all_its_versions(tea: Any) -> None:
    tea.create_alias(FunctionName="tea", Name="live", FunctionVersion="2")
    assert call(tea, "tea:live")[0] == "2"
    tea.put_function_concurrency(FunctionName="tea", ReservedConcurrentExecutions=0)
    for name in ("tea", "tea:1", "tea:live"):
        with pytest.raises(tea.exceptions.TooManyRequestsException) as refused:
            call(tea, name)
        assert refused.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    tea.delete_function_concurrency(FunctionName="tea")
    assert call(tea, "tea:live")[0] == "2"


def test_lists_have_pages(tea: Any) -> None:
    for number in range(5):
        tea.create_alias(FunctionName="tea", Name=f"a{number}", FunctionVersion="1")

    def pages(operation: str, member: str, key: str, **members: Any) -> list[list[str]]:
        paginated = tea.get_paginator(operation).paginate(**members, PaginationConfig={"PageSize": 2})
        return [[one[key] for one in page[member]] for page in paginated]

    assert pages("list_versions_by_function", "Versions", "Version", FunctionName="tea") == [["$LATEST", "1"], ["2"]]
    assert pages("list_aliases", "Aliases", "Name", FunctionName="tea") == [["a0", "a1"], ["a2", "a3"], ["a4"]]
    everything = pages("list_functions", "Functions", "FunctionArn", FunctionVersion="ALL")
    assert everything == [[f"{ARN}tea:$LATEST", f"{ARN}tea:1"], [f"{ARN}tea:2"]]


def test_account_settings_are_those_of_this_platform(tea: Any) -> None:
    before = tea.get_account_settings()
    assert before["AccountUsage"]["FunctionCount"] == 1
    sizes = [one["CodeSize"] for one in tea.list_functions(FunctionVersion="ALL")["Functions"]]
    for layer in tea.list_layers()["Layers"]:  # of other tests: they count, too
        for published in tea.list_layer_versions(LayerName=layer["LayerName"])["LayerVersions"]:
            found = tea.get_layer_version(LayerName=layer["LayerName"], VersionNumber=published["Version"])
            sizes.append(found["Content"]["CodeSize"])
    assert before["AccountUsage"]["TotalCodeSize"] == sum(sizes)
    limit = before["AccountLimit"]
    assert limit["TotalCodeSize"] > sum(sizes)
    assert limit["CodeSizeUnzipped"] == 250 * 2**20
    tea.put_function_concurrency(FunctionName="tea", ReservedConcurrentExecutions=7)
    after = tea.get_account_settings()["AccountLimit"]
    assert after["ConcurrentExecutions"] == limit["ConcurrentExecutions"]
    assert after["UnreservedConcurrentExecutions"] == limit["ConcurrentExecutions"] - 7


def test_every_region_is_a_namespace(tea: Any, platform: Platform) -> None:
    with lambda_client(platform.endpoint, "eu-central-1") as frankfurt:
        with pytest.raises(frankfurt.exceptions.ResourceNotFoundException, match="lambda:eu-central-1:"):
            call(frankfurt, "tea")
        made = create(frankfurt, "tea", SELF.replace("{said}", "frankfurt"), Role="arn:aws:iam::999999999999:role/a/b")
        arn = "arn:aws:lambda:eu-central-1:123456789012:function:tea"
        assert (made["FunctionArn"], made["Role"]) == (arn, "arn:aws:iam::999999999999:role/a/b")
        assert call(frankfurt, "tea")[1][:3] == ["frankfurt", "$LATEST", arn]
        assert call(frankfurt, arn)[1][0] == "frankfurt"
        assert call(tea, "tea")[1][0] == "three"
        with pytest.raises(ClientError) as away:
            call(tea, arn)
        assert away.value.response["Error"]["Code"] == "ResourceNotFoundException"
        url = frankfurt.create_function_url_config(FunctionName="tea", AuthType="NONE")["FunctionUrl"]
        host = url.split("/")[2]
        assert ".lambda-url.eu-central-1.localhost" in host
        assert httpx.get(platform.endpoint, headers={"Host": host}, timeout=30).json()[0] == "frankfurt"
        misplaced = host.replace("eu-central-1", "us-east-1")
        assert httpx.get(platform.endpoint, headers={"Host": misplaced}).status_code == 403
        assert [one["FunctionName"] for one in frankfurt.list_functions()["Functions"]] == ["tea"]
    assert call(tea, "tea:1")[1][0] == "one"  # its namesake was deleted, in its own region
