"""Layers through boto3: published, listed, given to functions, and found by them in /opt."""

from __future__ import annotations

import ctypes.util
import io
import json
import urllib.request
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types

from gateway.lambda_api.validation import ARCHITECTURE
from tests.compatibility.aws import DOCKER, HANDLER, SANDBOX, create, refusal, without_metadata
from tests.gateway.builders import zip_of

pytestmark = pytest.mark.component("boto3", "valkey")
LAYER = "arn:aws:lambda:us-east-1:123456789012:layer:"
USES_LAYERS = """
    import ctypes, os, subprocess, sys, time
    import brew, cup

    def handler(event, context):
        time.sleep(0.2)
        return {
            "words": [brew.WORD, cup.WORD],
            "tool": subprocess.run(["pour"], capture_output=True, text=True).stdout,
            "library": ctypes.CDLL("libtea.so").zlibVersion() != 0,
            "path": [place for place in sys.path if place.startswith(("/var/task", "/opt"))],
            "stream": context.log_stream_name,
        }
"""


def publish(aws: Any, name: str, files: dict[str, bytes] | None = None, **members: Any) -> dict[str, Any]:
    package = zip_of(files or {"python/x.py": name.encode()})
    made: dict[str, Any] = aws.publish_layer_version(LayerName=name, Content={"ZipFile": package}, **members)
    return made


def with_programs(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o100755 << 16
            archive.writestr(info, content)
    return buffer.getvalue()


def a_library() -> bytes:
    """Any shared object of this host, under a name that only a layer has."""
    name = ctypes.util.find_library("z")
    assert name is not None
    ctypes.CDLL(name)  # the loader finds it at once; a search of the disk takes seconds
    maps = Path("/proc/self/maps").read_text().splitlines()
    return next(Path(line.split()[-1]) for line in maps if "/libz.so" in line).read_bytes()


def test_a_layer_lives(aws: Any) -> None:
    described = {"Description": "leaves", "LicenseInfo": "MIT", "CompatibleRuntimes": ["python3.11"]}
    package = zip_of({"python/x.py": b"x = 1"})
    made = aws.publish_layer_version(
        LayerName="lives", Content={"ZipFile": package}, CompatibleArchitectures=[ARCHITECTURE], **described
    )
    assert made.items() >= described.items()
    assert (made["ResponseMetadata"]["HTTPStatusCode"], made["Version"]) == (201, 1)
    assert (made["LayerArn"], made["LayerVersionArn"]) == (f"{LAYER}lives", f"{LAYER}lives:1")
    assert made["Content"]["CodeSize"] == len(package)
    with urllib.request.urlopen(made["Content"]["Location"], timeout=10) as found:
        assert found.read() == package
    assert publish(aws, "lives")["Version"] == 2

    def shown(answer: Any) -> Any:
        """Links are signed anew each time."""
        content = {name: value for name, value in answer["Content"].items() if name != "Location"}
        return {**without_metadata(answer), "Content": content}

    assert shown(aws.get_layer_version(LayerName="lives", VersionNumber=1)) == shown(made)
    assert shown(aws.get_layer_version(LayerName=f"{LAYER}lives", VersionNumber=1)) == shown(made)
    assert shown(aws.get_layer_version_by_arn(Arn=f"{LAYER}lives:1")) == shown(made)
    assert [one["Version"] for one in aws.list_layer_versions(LayerName="lives")["LayerVersions"]] == [2, 1]

    aws.delete_layer_version(LayerName="lives", VersionNumber=2)
    with pytest.raises(aws.exceptions.ResourceNotFoundException) as error:
        aws.get_layer_version(LayerName="lives", VersionNumber=2)
    assert refusal(error)[1] == "The resource you requested does not exist."
    assert publish(aws, "lives")["Version"] == 3, "numbers are never given out twice"
    aws.delete_layer_version(LayerName="lives", VersionNumber=2)  # it is gone already, which is no error
    assert aws.list_layer_versions(LayerName="never")["LayerVersions"] == []


def test_versions_published_at_once_have_a_number_each(aws: Any) -> None:
    with ThreadPoolExecutor(8) as callers:
        numbers = list(callers.map(lambda _: publish(aws, "crowded")["Version"], range(16)))
    assert sorted(numbers) == list(range(1, 17))


def test_layers_are_listed_with_their_latest_version_that_matches(aws: Any) -> None:
    publish(aws, "listed-a", CompatibleRuntimes=["python3.11"], CompatibleArchitectures=["x86_64"])
    publish(aws, "listed-a", CompatibleRuntimes=["python3.12"], CompatibleArchitectures=["arm64"])
    publish(aws, "listed-b")

    def listed(**members: Any) -> list[tuple[str, int]]:
        pages = aws.get_paginator("list_layers").paginate(PaginationConfig={"PageSize": 1}, **members)
        layers = [layer for page in pages for layer in page["Layers"] if layer["LayerName"].startswith("listed")]
        return [(layer["LayerName"], layer["LatestMatchingVersion"]["Version"]) for layer in layers]

    assert listed() == [("listed-a", 2), ("listed-b", 1)]
    assert listed(CompatibleRuntime="python3.11") == [("listed-a", 1)]
    assert listed(CompatibleArchitecture="arm64", CompatibleRuntime="python3.12") == [("listed-a", 2)]
    assert listed(CompatibleRuntime="nodejs22.x") == []
    pages = aws.get_paginator("list_layer_versions").paginate(LayerName="listed-a", PaginationConfig={"PageSize": 1})
    assert [one["Version"] for page in pages for one in page["LayerVersions"]] == [2, 1]


def test_what_is_wrong_with_a_layer_is_told_as_aws_does(aws: Any) -> None:
    with pytest.raises(aws.exceptions.InvalidParameterValueException) as error:
        aws.get_layer_version(LayerName="wrong", VersionNumber=0)
    assert refusal(error)[1] == "Layer Version Cannot be less than 1"
    with pytest.raises(ClientError) as error:
        aws.get_layer_version_by_arn(Arn=f"{LAYER}wrong")
    code, message = refusal(error)
    assert (code, "at 'arn' failed to satisfy constraint" in message) == ("ValidationException", True)
    with pytest.raises(aws.exceptions.InvalidParameterValueException) as error:
        aws.publish_layer_version(LayerName="wrong", Content={"S3Bucket": "leaves", "S3Key": "l.zip"})
    assert "S3 Error Code: NoSuchBucket." in refusal(error)[1]
    with pytest.raises(aws.exceptions.InvalidParameterValueException) as error:
        aws.publish_layer_version(LayerName="wrong", Content={"ZipFile": b"no zip"})
    assert "Could not unzip" in refusal(error)[1]
    assert aws.list_layer_versions(LayerName="wrong")["LayerVersions"] == []


def test_the_policy_of_a_layer_version_lives(aws: Any) -> None:
    publish(aws, "shared")
    where = {"LayerName": "shared", "VersionNumber": 1}
    with pytest.raises(aws.exceptions.ResourceNotFoundException) as error:
        aws.get_layer_version_policy(**where)
    assert refusal(error)[1] == "No policy is associated with the given resource."
    first = aws.add_layer_version_permission(
        **where, StatementId="s1", Action="lambda:GetLayerVersion", Principal="*", OrganizationId="o-0123456789"
    )
    expected = {
        "Sid": "s1",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "lambda:GetLayerVersion",
        "Resource": f"{LAYER}shared:1",
        "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-0123456789"}},
    }
    assert json.loads(first["Statement"]) == expected
    found = aws.get_layer_version_policy(**where)
    assert json.loads(found["Policy"]) == {"Version": "2012-10-17", "Id": "default", "Statement": [expected]}
    assert found["RevisionId"] == first["RevisionId"]
    account = {**where, "Action": "lambda:GetLayerVersion", "Principal": "210987654321"}
    with pytest.raises(aws.exceptions.ResourceConflictException):
        aws.add_layer_version_permission(**account, StatementId="s1")
    with pytest.raises(aws.exceptions.PreconditionFailedException) as error:
        aws.add_layer_version_permission(**account, StatementId="s2", RevisionId="stale")
    assert "Call the GetLayerPolicy API" in refusal(error)[1]
    second = aws.add_layer_version_permission(**account, StatementId="s2", RevisionId=found["RevisionId"])
    assert json.loads(second["Statement"])["Principal"] == {"AWS": "arn:aws:iam::210987654321:root"}
    aws.remove_layer_version_permission(**where, StatementId="s1")
    with pytest.raises(aws.exceptions.ResourceNotFoundException) as error:
        aws.remove_layer_version_permission(**where, StatementId="s1")
    assert refusal(error)[1] == "Statement s1 is not found in resource policy."
    with pytest.raises(aws.exceptions.ResourceNotFoundException) as error:
        aws.get_layer_version_policy(LayerName="shared", VersionNumber=9)
    assert refusal(error)[1] == f"Layer version {LAYER}shared:9 does not exist."


def test_a_function_has_layers_until_it_is_given_others(aws: Any) -> None:
    one, two = publish(aws, "one"), publish(aws, "two")
    arns = [one["LayerVersionArn"], two["LayerVersionArn"]]
    made = create(aws, "uses", HANDLER, Layers=arns)
    expected = [{"Arn": made["LayerVersionArn"], "CodeSize": made["Content"]["CodeSize"]} for made in (one, two)]
    assert made["Layers"] == expected
    aws.delete_layer_version(LayerName="one", VersionNumber=1)
    assert aws.get_function_configuration(FunctionName="uses")["Layers"] == expected
    assert aws.update_function_configuration(FunctionName="uses", Timeout=9)["Layers"] == expected
    assert aws.update_function_configuration(FunctionName="uses", Layers=arns[1:])["Layers"] == expected[1:]
    assert "Layers" not in aws.update_function_configuration(FunctionName="uses", Layers=[])


def test_layers_a_function_cannot_have_are_refused_in_awss_words(aws: Any) -> None:
    arns = [publish(aws, f"many-{number}")["LayerVersionArn"] for number in range(6)]
    newer = publish(aws, "many-0")["LayerVersionArn"]
    create(aws, "refused", HANDLER)

    def refused(*layers: str) -> str:
        with pytest.raises(aws.exceptions.InvalidParameterValueException) as error:
            aws.update_function_configuration(FunctionName="refused", Layers=layers)
        return refusal(error)[1]

    assert refused(*arns) == "Cannot reference more than 5 layers."
    assert refused(f"{LAYER}never:1") == f"Layer version {LAYER}never:1 does not exist."
    assert refused(arns[0], newer) == (
        "Two different versions of the same layer are not allowed to be referenced in the same function. "
        f"{arns[0]} and {newer} are versions of the same layer."
    )
    assert refused(arns[0].replace("us-east-1", "eu-west-1")) == (
        "Layers are not in the same region as the function. Layers are expected to be in region us-east-1."
    )
    assert "Layers" not in aws.get_function_configuration(FunctionName="refused")


def test_code_and_layers_together_are_limited(aws: Any) -> None:
    half = bytes(130 * 2**20)
    arns = [publish(aws, f"large-{name}", {f"{name}.bin": half})["LayerVersionArn"] for name in "ab"]
    create(aws, "large", HANDLER, Layers=arns[:1])
    with pytest.raises(aws.exceptions.InvalidParameterValueException) as error:
        aws.update_function_configuration(FunctionName="large", Layers=arns)
    assert refusal(error)[1].startswith(
        "Function code combined with layers exceeds the maximum allowed size of 262144000 bytes. The actual size is 27"
    )
    with pytest.raises(aws.exceptions.InvalidParameterValueException) as error:
        aws.update_function_code(FunctionName="large", ZipFile=zip_of({"app.py": b"", "more.bin": half}))
    assert "combined with layers" in refusal(error)[1]


@pytest.mark.parametrize("platform", [SANDBOX, DOCKER], indirect=True)
def test_environments_find_what_their_layers_hold(cloud: Any) -> None:
    base = {
        "python/brew.py": b"WORD = 'weak'",
        "python/cup.py": b"WORD = 'cup'",
        "python/lib/python3.11/site-packages/brew.py": b"WORD = 'for 3.11'",
        "lib/libtea.so": a_library(),
    }
    lower = publish(cloud, "lower", base)["LayerVersionArn"]
    upper = cloud.publish_layer_version(
        LayerName="upper",
        Content={"ZipFile": with_programs({"bin/pour": b"#!/bin/sh\nprintf poured", "python/cup.py": b"WORD = 'mug'"})},
    )["LayerVersionArn"]

    def called(name: str) -> dict[str, Any]:
        answer = cloud.invoke(FunctionName=name)
        payload = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, payload
        found: dict[str, Any] = payload
        return found

    create(cloud, "brewer", USES_LAYERS, Layers=[lower, upper], Timeout=30, MemorySize=256)
    with ThreadPoolExecutor(4) as callers:
        answers = list(callers.map(called, ["brewer"] * 12))
    assert len({answer.pop("stream") for answer in answers}) > 1, "several environments, most of them forked"
    opt = "/opt/python"
    assert answers == [
        {
            "words": ["for 3.11", "mug"],
            "tool": "poured",
            "library": True,
            "path": ["/var/task", f"{opt}/lib/python3.11/site-packages", opt],
        }
    ] * len(answers)

    cloud.update_function_configuration(FunctionName="brewer", Layers=[upper, lower])
    cloud.get_waiter("function_updated_v2").wait(FunctionName="brewer")
    assert called("brewer")["words"] == ["for 3.11", "cup"], "the last layer is on top"


@pytest.mark.component("node")
@pytest.mark.parametrize("platform", [SANDBOX], indirect=True)
def test_node_functions_find_modules_of_their_layers(cloud: Any) -> None:
    layer = publish(cloud, "cups", {"nodejs/node_modules/cup/index.js": b"exports.word = 'cup'"})["LayerVersionArn"]
    source = b"const cup = require('cup'); exports.handler = async () => cup.word"
    create(
        cloud,
        "pourer",
        "",
        Runtime="nodejs22.x",
        Handler="index.handler",
        Code={"ZipFile": zip_of({"index.js": source})},
        Layers=[layer],
    )
    assert json.loads(cloud.invoke(FunctionName="pourer")["Payload"].read()) == "cup"
