"""Configurations of asynchronous calls through boto3."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types

from tests.compatibility.aws import ARN, HANDLER, create, refusal

pytestmark = pytest.mark.component("boto3", "valkey")
QUEUE = "arn:aws:sqs:us-east-1:123456789012:failed"


@pytest.fixture(autouse=True)
def functions(aws: Any) -> None:
    create(aws, "shop", HANDLER)
    create(aws, "ledger", HANDLER)


def test_a_configuration_lives(aws: Any) -> None:
    destinations = {"OnSuccess": {"Destination": f"{ARN}ledger"}, "OnFailure": {"Destination": QUEUE}}
    made = aws.put_function_event_invoke_config(
        FunctionName="shop", MaximumRetryAttempts=0, MaximumEventAgeInSeconds=21_600, DestinationConfig=destinations
    )
    assert datetime.now(UTC) - made["LastModified"] < timedelta(minutes=5)
    expected = {
        "FunctionArn": f"{ARN}shop:$LATEST",
        "MaximumRetryAttempts": 0,
        "MaximumEventAgeInSeconds": 21_600,
        "DestinationConfig": destinations,
    }
    assert made.items() >= expected.items()
    assert aws.get_function_event_invoke_config(FunctionName="shop", Qualifier="$LATEST").items() >= expected.items()
    changed = aws.update_function_event_invoke_config(
        FunctionName="shop", MaximumEventAgeInSeconds=60, DestinationConfig={"OnSuccess": {}}
    )
    expected |= {
        "MaximumEventAgeInSeconds": 60,
        "DestinationConfig": {"OnSuccess": {}, "OnFailure": {"Destination": QUEUE}},
    }
    assert changed.items() >= expected.items(), "what is not given stays"
    [listed] = aws.list_function_event_invoke_configs(FunctionName="shop")["FunctionEventInvokeConfigs"]
    assert listed == {name: changed[name] for name in listed}
    replaced = aws.put_function_event_invoke_config(FunctionName="shop", MaximumRetryAttempts=2)
    assert (replaced["DestinationConfig"], "MaximumEventAgeInSeconds" in replaced) == (
        {"OnSuccess": {}, "OnFailure": {}},
        False,
    )
    aws.delete_function_event_invoke_config(FunctionName="shop")
    assert aws.list_function_event_invoke_configs(FunctionName="shop")["FunctionEventInvokeConfigs"] == []


def test_what_is_not_there_is_told_as_aws_does(aws: Any) -> None:
    missing = "The function {} doesn't have an EventInvokeConfig"
    for name in ("shop", "never"):
        for act in (aws.get_function_event_invoke_config, aws.delete_function_event_invoke_config):
            with pytest.raises(aws.exceptions.ResourceNotFoundException) as error:
                act(FunctionName=name)
            assert refusal(error)[1] == missing.format(f"{ARN}{name}:$LATEST")
    with pytest.raises(aws.exceptions.ResourceNotFoundException) as error:
        aws.update_function_event_invoke_config(FunctionName="shop", MaximumRetryAttempts=1)
    assert refusal(error)[1] == missing.format(f"{ARN}shop:$LATEST")
    for act, members in (
        (aws.put_function_event_invoke_config, {"MaximumRetryAttempts": 1}),
        (aws.list_function_event_invoke_configs, {}),
    ):
        with pytest.raises(aws.exceptions.ResourceNotFoundException) as error:
            act(FunctionName="never", **members)
        assert refusal(error)[1] == "The function doesn't exist."


def test_impossible_configurations_are_refused_in_awss_words(aws: Any) -> None:
    def refused(**members: Any) -> tuple[str, str]:
        with pytest.raises(ClientError) as error:
            aws.put_function_event_invoke_config(FunctionName="shop", **members)
        return refusal(error)

    def to(arn: str) -> dict[str, Any]:
        return {"DestinationConfig": {"OnSuccess": {"Destination": arn}}}

    assert refused()[1] == "You must specify at least one of error handling or destination setting."
    assert refused(MaximumRetryAttempts=3)[0] == "ValidationException"
    assert refused(**to("arn:aws:_-/!lambda:x"))[0] == "ValidationException"
    assert refused(**to(f"{ARN}shop"))[1] == "You can't specify the function as a destination for itself."
    assert refused(**to(f"{ARN}never"))[1] == f"The destination ARN {ARN}never is invalid."
    assert refused(**to(f"{ARN}shop".replace(":lambda:", ":iam:"))) == (
        "InvalidParameterValueException",
        "The provided destination config DestinationConfig(onSuccess=OnSuccess(destination="
        "arn:aws:iam:us-east-1:123456789012:function:shop), onFailure=null) is invalid.",
    )
    assert aws.list_function_event_invoke_configs(FunctionName="shop")["FunctionEventInvokeConfigs"] == []
