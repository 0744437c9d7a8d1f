"""What AWS answers where its published model says otherwise or nothing, through boto3. Source: answers of AWS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types

from gateway.lambda_api.wording import RUNTIMES
from tests.compatibility.aws import HANDLER, create, lambda_client, package, refusal
from tests.gateway.builders import ROLE
from tests.gateway.process import gateway_process
from tests.valkey import Valkey

pytestmark = pytest.mark.component("boto3", "valkey")
ACCOUNT = "arn:aws:lambda:us-east-1:123456789012"
ONE = "1 validation error detected: Value"
BROKE = "failed to satisfy constraint: Member must satisfy"

WORDS: dict[str, tuple[str, dict[str, Any], str]] = {
    "runtimes of layers": (
        "publish_layer_version",
        {"LayerName": "tea", "CompatibleRuntimes": ["ruby1.8"], "CompatibleArchitectures": ["mips"]},
        f"2 validation errors detected: Value '[ruby1.8]' at 'compatibleRuntimes' {BROKE} enum value set: [{RUNTIMES}];"
        f" Value '[mips]' at 'compatibleArchitectures' {BROKE} constraint: "
        "[Member must satisfy enum value set: [x86_64, arm64], Member must not be null]",
    ),
    "layers to find": (
        "list_layers",
        {"CompatibleRuntime": "ruby1.8"},
        f"{ONE} 'ruby1.8' at 'compatibleRuntime' {BROKE} enum value set: [ruby3.5, ruby2.6, dotnetcore1.0, ",
    ),
    "a layer's ARN": (
        "get_layer_version_by_arn",
        {"Arn": f"{ACCOUNT}:layer:tea"},
        rf"{ONE} '{ACCOUNT}:layer:tea' at 'arn' {BROKE} regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:",
    ),
    "a position": (
        "create_event_source_mapping",
        {"FunctionName": "tea", "StartingPosition": "MIDDLE"},
        f"{ONE} 'MIDDLE' at 'startingPosition' {BROKE} enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]",
    ),
    "a resource with tags": (
        "list_tags",
        {"Resource": f"{ACCOUNT}:teapot:tea"},
        r"|layer:([a-zA-Z0-9-_]+)|code-signing-config:csc-[a-z0-9]{17}|event-source-mapping:",
    ),
    "a way to invoke": (
        "create_function_url_config",
        {"FunctionName": "tea", "AuthType": "NONE", "InvokeMode": "SLOW"},
        f"{ONE} 'SLOW' at 'invokeMode' {BROKE} enum value set: [RESPONSE_STREAM, BUFFERED]",
    ),
    "a subnet": (
        "update_function_configuration",
        {"FunctionName": "tea", "VpcConfig": {"SubnetIds": ["net!"]}},
        f"{ONE} '[net!]' at 'vpcConfig.subnetIds' {BROKE} constraint: [Member must have length less than or equal to "
        "1024, Member must have length greater than or equal to 0, Member must satisfy regular expression pattern: "
        "subnet-[0-9a-z]*]",
    ),
}


@pytest.mark.parametrize(("operation", "given", "words"), WORDS.values(), ids=WORDS.keys())
def test_constraints_are_worded_as_awss_answers_word_them(
    aws: Any, operation: str, given: dict[str, Any], words: str
) -> None:
    if operation == "publish_layer_version":
        given = {**given, "Content": {"ZipFile": package(HANDLER)}}
    with pytest.raises(ClientError) as error:
        getattr(aws, operation)(**given)
    kind, message = refusal(error)
    assert kind == "ValidationException"
    assert words in message


def test_what_a_message_says_to_be_allowed_is_allowed(aws: Any) -> None:
    for resource in (f"{ACCOUNT}:layer:none", f"{ACCOUNT}:network-connector:none"):  # of the message, of the model
        with pytest.raises(aws.exceptions.ResourceNotFoundException):
            aws.list_tags(Resource=resource)


def test_lists_leave_out_the_runtimes_version(aws: Any) -> None:
    create(aws, "spoon", HANDLER)
    for answer in (
        aws.update_function_configuration(FunctionName="spoon", Timeout=9),
        aws.update_function_code(FunctionName="spoon", ZipFile=package(HANDLER + "\n")),
    ):
        assert answer["RuntimeVersionConfig"]["RuntimeVersionArn"]
    listed = [one for one in aws.list_functions()["Functions"] if one["FunctionName"] == "spoon"]
    for one in (*listed, *aws.list_versions_by_function(FunctionName="spoon")["Versions"]):
        assert not one.keys() & {"RuntimeVersionConfig", "State", "LastUpdateStatus"}
    aws.delete_function(FunctionName="spoon")


def test_some_refusals_do_not_say_whose_fault_they_are(aws: Any) -> None:
    create(aws, "fork", HANDLER)
    aws.publish_version(FunctionName="fork")
    with pytest.raises(aws.exceptions.InvalidParameterValueException) as weighted:
        aws.create_alias(
            FunctionName="fork",
            Name="live",
            FunctionVersion="$LATEST",
            RoutingConfig={"AdditionalVersionWeights": {"1": 0.5}},
        )
    with pytest.raises(aws.exceptions.InvalidParameterValueException) as reserved:
        aws.put_function_concurrency(FunctionName="fork", ReservedConcurrentExecutions=1_000_000)
    for error in (weighted, reserved):
        assert "Type" not in error.value.response
        assert error.value.response["message"] == error.value.response["Error"]["Message"]
    with pytest.raises(aws.exceptions.InvalidParameterValueException) as usual:
        aws.create_alias(
            FunctionName="fork",
            Name="live",
            FunctionVersion="1",
            RoutingConfig={"AdditionalVersionWeights": {"1": 0.5}},
        )
    assert usual.value.response["Type"] == "User"
    aws.delete_function(FunctionName="fork")


def test_a_layer_of_another_region_is_told_before_a_name_that_is_taken(aws: Any) -> None:
    create(aws, "cup", HANDLER)
    with pytest.raises(aws.exceptions.InvalidParameterValueException) as error:
        create(aws, "cup", HANDLER, Layers=["arn:aws:lambda:eu-west-1:123456789012:layer:tea:1"])
    assert refusal(error)[1] == (
        "Layers are not in the same region as the function. Layers are expected to be in region us-east-1."
    )
    aws.delete_function(FunctionName="cup")


def test_code_of_layers_counts(aws: Any) -> None:
    before = aws.get_account_settings()["AccountUsage"]["TotalCodeSize"]
    content = package(HANDLER + "\n# milk")
    for number in (1, 2):  # each version counts, whatever it shares with others
        aws.publish_layer_version(LayerName="milk", Content={"ZipFile": content})
        used = aws.get_account_settings()["AccountUsage"]["TotalCodeSize"]
        assert used - before == number * len(content)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """boto3's client of a gateway that takes packages of 4 KB."""
    with (
        Valkey() as store,
        gateway_process(tmp_path_factory.mktemp("data"), redis_url=store.url, max_upload_bytes="4096") as gateway,
        lambda_client(gateway.address) as client,
    ):
        yield client


def test_a_request_over_the_limit_has_the_name_and_the_words_aws_has_for_it(narrow: Any) -> None:
    with pytest.raises(ClientError) as error:
        narrow.create_function(
            FunctionName="pot",
            Role=ROLE,
            Runtime="python3.11",
            Handler="app.handler",
            Code={"ZipFile": package(HANDLER)},
            Environment={"Variables": {"A": "x" * 300_000}},
        )
    kind, message = refusal(error)
    assert kind == "RequestEntityTooLargeException"
    limit = 5462 + 256 * 1024  # 4 KB as base64, and what else is in a request
    assert message == f"Request must be smaller than {limit} bytes for the CreateFunction operation"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
