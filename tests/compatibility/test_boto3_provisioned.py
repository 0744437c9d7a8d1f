"""Provisioned concurrency of versions and aliases through boto3, and that an alias moves to what is warm."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types

from tests.compatibility.aws import ARN, SANDBOX, create, package, refusal, without_metadata

pytestmark = pytest.mark.component("boto3", "valkey")
HOW = """
    import os, time
    time.sleep(0.3)

    def handler(event, context):
        return [os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], context.function_version]
"""
PATIENCE_S = 120.0
on_a_platform = pytest.mark.parametrize("platform", [SANDBOX], indirect=True)


def put(aws: Any, qualifier: str, count: int = 1, name: str = "warm") -> dict[str, Any]:
    answer: dict[str, Any] = aws.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier=qualifier, ProvisionedConcurrentExecutions=count
    )
    return answer


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        call()
    return refusal(error)


def settled(aws: Any, qualifier: str, wanted: str) -> dict[str, Any]:
    """GetProvisionedConcurrencyConfig, once it has come to its end."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        answer = aws.get_provisioned_concurrency_config(FunctionName="warm", Qualifier=qualifier)
        if answer["Status"] == wanted:
            return without_metadata(answer)
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)


@pytest.fixture
def function(aws: Any) -> None:
    create(aws, "warm", HOW)
    aws.publish_version(FunctionName="warm")
    aws.create_alias(FunctionName="warm", Name="live", FunctionVersion="1")


@pytest.mark.usefixtures("function")
def test_a_configuration_lives(aws: Any) -> None:
    made = put(aws, "1", 2)
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert made["LastModified"].endswith("+0000")
    assert {name: made[name] for name in made if name.endswith(("Executions", "Status"))} == {
        "RequestedProvisionedConcurrentExecutions": 2,
        "AvailableProvisionedConcurrentExecutions": 0,
        "AllocatedProvisionedConcurrentExecutions": 0,
        "Status": "IN_PROGRESS",
    }
    aws.publish_version(FunctionName="warm")
    listed = aws.list_provisioned_concurrency_configs(FunctionName="warm")["ProvisionedConcurrencyConfigs"]
    assert [(one["FunctionArn"], one["RequestedProvisionedConcurrentExecutions"]) for one in listed] == [
        (f"{ARN}warm:1", 2)
    ]
    for _ in range(2):
        gone = aws.delete_provisioned_concurrency_config(FunctionName="warm", Qualifier="1")
        assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert aws.list_provisioned_concurrency_configs(FunctionName="warm")["ProvisionedConcurrencyConfigs"] == []
    put(aws, "live", 3)
    aws.delete_alias(FunctionName="warm", Name="live")
    assert aws.list_provisioned_concurrency_configs(FunctionName="warm")["ProvisionedConcurrencyConfigs"] == []


@pytest.mark.usefixtures("function")
def test_lists_have_pages(aws: Any) -> None:
    aws.update_function_configuration(FunctionName="warm", Description="another")
    aws.publish_version(FunctionName="warm")
    put(aws, "live")
    put(aws, "2")
    pages = aws.get_paginator("list_provisioned_concurrency_configs").paginate(
        FunctionName="warm", PaginationConfig={"PageSize": 1}
    )
    assert [[one["FunctionArn"] for one in page["ProvisionedConcurrencyConfigs"]] for page in pages] == [
        [f"{ARN}warm:2"], [f"{ARN}warm:live"],
    ]  # fmt: skip


@pytest.mark.usefixtures("function")
def test_what_aws_refuses_is_refused_in_its_words(aws: Any) -> None:
    config = {"FunctionName": "warm", "Qualifier": "1"}
    assert refused(lambda: aws.get_provisioned_concurrency_config(**config)) == (
        "ProvisionedConcurrencyConfigNotFoundException",
        "No Provisioned Concurrency Config found for this function",
    )
    assert refused(lambda: put(aws, "$LATEST")) == (
        "InvalidParameterValueException",
        "Provisioned Concurrency Configs cannot be applied to unpublished function versions.",
    )
    for operation in (aws.get_provisioned_concurrency_config, aws.delete_provisioned_concurrency_config):
        assert refused(partial(operation, FunctionName="warm", Qualifier="$LATEST")) == (
            "InvalidParameterValueException",
            "The function resource provided must be an alias or a published version.",
        )
    missing = {"never": f"Cannot find alias arn: {ARN}warm:never", "10": f"Function not found: {ARN}warm:10"}
    for qualifier, message in missing.items():
        assert refused(partial(put, aws, qualifier)) == ("ResourceNotFoundException", message)
    assert refused(lambda: put(aws, "live", name="never"))[1] == f"Cannot find alias arn: {ARN}never:live"
    put(aws, "1")
    assert refused(lambda: put(aws, "live")) == (
        "ResourceConflictException",
        "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version",
    )
    aws.delete_provisioned_concurrency_config(**config)
    put(aws, "live")
    assert refused(lambda: put(aws, "1")) == (
        "ResourceConflictException",
        "Version is pointed by a Provisioned Concurrency alias",
    )


@pytest.mark.usefixtures("function")
def test_it_counts_among_what_is_reserved_and_what_the_account_has(aws: Any) -> None:
    free = aws.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    assert refused(lambda: put(aws, "1", free + 1))[1] == (
        f"Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [{free}]."
    )
    put(aws, "1", 2)
    assert aws.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == free - 2
    reserve = aws.put_function_concurrency
    assert refused(lambda: reserve(FunctionName="warm", ReservedConcurrentExecutions=1))[1] == (
        " ReservedConcurrentExecutions  1 should not be lower than function's total provisioned concurrency [2]."
    )
    reserve(FunctionName="warm", ReservedConcurrentExecutions=2)
    assert refused(lambda: put(aws, "1", 3))[1] == (
        "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function"
    )


@on_a_platform
def test_environments_are_there_before_the_first_call_and_follow_the_alias(cloud: Any) -> None:
    create(cloud, "warm", HOW)
    cloud.publish_version(FunctionName="warm")
    cloud.create_alias(FunctionName="warm", Name="live", FunctionVersion="1")
    put(cloud, "live", 2)
    ready = settled(cloud, "live", "READY")
    assert (ready["AllocatedProvisionedConcurrentExecutions"], ready["AvailableProvisionedConcurrentExecutions"]) == (
        2, 2,
    )  # fmt: skip
    assert result(cloud, "live") == ["provisioned-concurrency", "1"]

    cloud.update_function_configuration(FunctionName="warm", Description="second")
    cloud.publish_version(FunctionName="warm")
    cloud.update_alias(FunctionName="warm", Name="live", FunctionVersion="2")
    assert settled(cloud, "live", "READY")["AllocatedProvisionedConcurrentExecutions"] == 2
    assert result(cloud, "live")[1] == "2"

    cloud.put_function_concurrency(FunctionName="warm", ReservedConcurrentExecutions=2)
    with pytest.raises(cloud.exceptions.TooManyRequestsException) as error:
        cloud.invoke(FunctionName="warm")
    assert error.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"


@on_a_platform
def test_code_that_cannot_be_initialised_fails_with_awss_reason(cloud: Any) -> None:
    create(cloud, "warm", "raise ValueError('never')")
    cloud.publish_version(FunctionName="warm")
    put(cloud, "1")
    failed = settled(cloud, "1", "FAILED")
    assert (failed["StatusReason"], failed["AllocatedProvisionedConcurrentExecutions"]) == (
        "FUNCTION_ERROR_INIT_FAILURE", 0,
    )  # fmt: skip


@on_a_platform
def test_an_alias_moves_to_what_is_warm(cloud: Any) -> None:
    create(cloud, "warm", HOW)
    cloud.publish_version(FunctionName="warm")
    cloud.create_alias(FunctionName="warm", Name="live", FunctionVersion="1")
    assert result(cloud, "live")[1] == "1"
    cloud.update_function_code(FunctionName="warm", ZipFile=package(HOW.replace("0.3", "0.31")))
    cloud.publish_version(FunctionName="warm")
    cloud.update_alias(FunctionName="warm", Name="live", FunctionVersion="2")
    answer = cloud.invoke(FunctionName="warm", Qualifier="live", LogType="Tail")
    assert json.loads(answer["Payload"].read())[1] == "2"
    assert b"Init Duration" not in base64.b64decode(answer["LogResult"])


def result(cloud: Any, qualifier: str) -> Any:
    answer = cloud.invoke(FunctionName="warm", Qualifier=qualifier)
    assert "FunctionError" not in answer
    return json.loads(answer["Payload"].read())
