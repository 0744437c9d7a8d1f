"""What a function has beside its code, through boto3; and what is not offered."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types

from tests.compatibility.aws import ARN, HANDLER, create, refusal, without_metadata

pytestmark = pytest.mark.component("boto3", "valkey")
PROFILE = "arn:aws:signer:us-east-1:123456789012:/signing-profiles/tea"
CONFIG = "arn:aws:lambda:us-east-1:123456789012:code-signing-config:csc-0123456789abcdefg"


@pytest.fixture(autouse=True)
def function(aws: Any) -> None:
    create(aws, "shop", HANDLER)


def test_mappings_have_tags_as_functions_have(aws: Any, sqs: Any) -> None:
    sqs.create_queue(QueueName="tagged")
    made = aws.create_event_source_mapping(
        FunctionName="shop", EventSourceArn="arn:aws:sqs:us-east-1:123456789012:tagged"
    )
    for arn in (f"{ARN}shop", made["EventSourceMappingArn"]):
        aws.tag_resource(Resource=arn, Tags={"a": "1", "b": "2"})
        aws.tag_resource(Resource=arn, Tags={"b": "3"})
        assert aws.list_tags(Resource=arn)["Tags"] == {"a": "1", "b": "3"}
        aws.untag_resource(Resource=arn, TagKeys=["a", "never"])
        assert aws.list_tags(Resource=arn)["Tags"] == {"b": "3"}
        with pytest.raises(aws.exceptions.InvalidParameterValueException) as error:
            aws.tag_resource(Resource=arn, Tags={f"t{number}": "" for number in range(51)})
        assert refusal(error)[1].startswith("Number of tags exceeds resource tag limit.")
    aws.delete_event_source_mapping(UUID=made["UUID"])
    for arn in (made["EventSourceMappingArn"], CONFIG):
        with pytest.raises(aws.exceptions.ResourceNotFoundException):
            aws.list_tags(Resource=arn)


def test_the_runtimes_updates_are_a_choice_that_is_kept(aws: Any) -> None:
    assert without_metadata(aws.get_runtime_management_config(FunctionName="shop")) == {
        "UpdateRuntimeOn": "Auto",
        "FunctionArn": f"{ARN}shop",
    }
    aws.put_runtime_management_config(FunctionName="shop", UpdateRuntimeOn="FunctionUpdate")
    assert aws.get_runtime_management_config(FunctionName="shop")["UpdateRuntimeOn"] == "FunctionUpdate"
    with pytest.raises(aws.exceptions.InvalidParameterValueException) as error:
        aws.put_runtime_management_config(FunctionName="shop", UpdateRuntimeOn="Manual")
    assert refusal(error)[1] == "RuntimeVersionArn must be set when UpdateRuntimeOn is set to Manual."
    manual = {"FunctionName": "shop", "UpdateRuntimeOn": "Manual"}
    other = "arn:aws:lambda:us-east-1::runtime:" + "0" * 64
    with pytest.raises(aws.exceptions.InvalidParameterValueException) as error:
        aws.put_runtime_management_config(**manual, RuntimeVersionArn=other)
    assert "the one version this host has" in refusal(error)[1]
    version = aws.get_function_configuration(FunctionName="shop")["RuntimeVersionConfig"]["RuntimeVersionArn"]
    aws.put_runtime_management_config(**manual, RuntimeVersionArn=version)
    assert without_metadata(aws.get_runtime_management_config(FunctionName="shop")) == {
        "UpdateRuntimeOn": "Manual",
        "FunctionArn": f"{ARN}shop",
        "RuntimeVersionArn": version,
    }
    with pytest.raises(aws.exceptions.InvalidParameterValueException) as error:
        aws.put_runtime_management_config(FunctionName="shop", UpdateRuntimeOn="Auto", RuntimeVersionArn=version)
    assert "can only be set when UpdateRuntimeOn is set to Manual" in refusal(error)[1]
    with pytest.raises(aws.exceptions.ResourceNotFoundException):
        aws.get_runtime_management_config(FunctionName="never")


def test_recursion_is_a_choice_that_is_kept(aws: Any) -> None:
    assert aws.get_function_recursion_config(FunctionName="shop")["RecursiveLoop"] == "Terminate"
    assert aws.put_function_recursion_config(FunctionName="shop", RecursiveLoop="Allow")["RecursiveLoop"] == "Allow"
    assert aws.get_function_recursion_config(FunctionName="shop")["RecursiveLoop"] == "Allow"
    with pytest.raises(ClientError) as error:
        aws.put_function_recursion_config(FunctionName="shop", RecursiveLoop="Sometimes")
    assert refusal(error)[0] == "ValidationException"


def test_code_signing_is_refused_and_no_configuration_is_ever_found(aws: Any) -> None:
    with pytest.raises(aws.exceptions.InvalidParameterValueException) as error:
        aws.create_code_signing_config(AllowedPublishers={"SigningProfileVersionArns": [PROFILE]})
    assert "CreateCodeSigningConfig is not offered by Samovar" in refusal(error)[1]
    assert aws.list_code_signing_configs()["CodeSigningConfigs"] == []
    for act in (
        aws.get_code_signing_config,
        aws.update_code_signing_config,
        aws.delete_code_signing_config,
        aws.list_functions_by_code_signing_config,
    ):
        with pytest.raises(aws.exceptions.ResourceNotFoundException) as error:
            act(CodeSigningConfigArn=CONFIG)
        assert refusal(error)[1] == f"The Lambda code signing configuration {CONFIG} can not be found."
    with pytest.raises(aws.exceptions.CodeSigningConfigNotFoundException):
        aws.put_function_code_signing_config(FunctionName="shop", CodeSigningConfigArn=CONFIG)
    assert aws.get_function_code_signing_config(FunctionName="shop")["CodeSigningConfigArn"] == ""
    aws.delete_function_code_signing_config(FunctionName="shop")
    with pytest.raises(aws.exceptions.ResourceNotFoundException) as error:
        aws.get_function_code_signing_config(FunctionName="never")
    assert refusal(error)[1] == f"Function not found: {ARN}never"


def test_what_is_not_offered_says_so_in_awss_shape(aws: Any) -> None:
    durable = "arn:aws:lambda:us-east-1:123456789012:function:shop:1/durable-execution/name/0123"
    for act, members, why in (
        (aws.list_capacity_providers, {}, "no managed instances"),
        (aws.get_durable_execution, {"DurableExecutionArn": durable}, "durable functions"),
    ):
        with pytest.raises(aws.exceptions.InvalidParameterValueException) as error:
            act(**members)
        message = refusal(error)[1]
        assert "is not offered by Samovar" in message
        assert why in message
