"""What the control API refuses, and in which words."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.lambda_api.runtimes import Runtimes
from gateway.lambda_api.validation import ARCHITECTURE
from gateway.lambda_api.wording import RUNTIMES
from samovar.clock import ManualClock
from samovar.errors import InvalidParameterValue
from tests.gateway.builders import RecordingLink, creation, zip_of

pytestmark = pytest.mark.component("valkey")
PATH = "/2015-03-31/functions"
VALUE, VALIDATION, TYPE = "InvalidParameterValueException", "ValidationException", "SerializationException"
OTHER_ARCHITECTURE = {"x86_64": "arm64", "arm64": "x86_64"}[ARCHITECTURE]

REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "memory below": (
        {"MemorySize": 64},
        VALIDATION,
        "1 validation error detected: Value '64' at 'memorySize' failed to satisfy constraint: "
        "Member must have value greater than or equal to 128",
    ),
    "memory above": ({"MemorySize": 10241}, VALUE, "less than or equal to 10240"),
    "timeout below": ({"Timeout": 0}, VALIDATION, "Value '0' at 'timeout'"),
    "timeout above": ({"Timeout": 901}, VALUE, "less than or equal to 900"),
    "several at once": ({"Timeout": 0, "MemorySize": 1}, VALIDATION, "2 validation errors detected: Value '0'"),
    "storage": ({"EphemeralStorage": {"Size": 100}}, VALIDATION, "ephemeralStorage.size"),
    "role": ({"Role": "me"}, VALIDATION, r"Value 'me' at 'role' failed to satisfy constraint: Member must satisfy "),
    "handler": ({"Handler": "app handler"}, VALIDATION, "Value 'app handler' at 'handler'"),
    "long handler": ({"Handler": "a" * 129}, VALIDATION, "have length less than or equal to 128"),
    "no handler": ({"Handler": None}, VALUE, "Runtime and Handler are mandatory parameters"),
    "no runtime": ({"Runtime": None}, VALUE, "Runtime and Handler are mandatory parameters"),
    "description": ({"Description": "x" * 257}, VALIDATION, "at 'description'"),
    "no code": ({"Code": {}}, VALUE, "Please provide a source for function code."),
    "code from S3": ({"Code": {"S3Bucket": "bucket", "S3Key": "k"}}, VALUE, "S3 Error Code: NoSuchBucket"),
    "image and runtime": ({"PackageType": "Image"}, VALUE, "Please don't provide handler or runtime or layer when"),
    "image config of a zip file": ({"ImageConfig": {"Command": ["x"]}}, VALUE, "only be given for functions of"),
    "publish to": ({"PublishTo": "LATEST_PUBLISHED"}, VALUE, 'PublishTo = "LATEST_PUBLISHED" is not offered'),
    "layers": ({"Layers": ["arn:aws:lambda:us-east-1:123456789012:layer:l:1"]}, VALUE, "layer:l:1 does not exist."),
    "package by reference": (
        {"Code": {"S3Bucket": "bucket", "S3Key": "k", "S3ObjectStorageMode": "REFERENCE"}},
        VALUE,
        'S3ObjectStorageMode = "REFERENCE" is not offered by Samovar: COPY is what is done',
    ),
    "vpc": ({"VpcConfig": {"SubnetIds": ["subnet-1"]}}, VALUE, "samovar:network"),
    "dead letters": (
        {"DeadLetterConfig": {"TargetArn": "arn:aws:sns:us-east-1:123456789012:t"}},
        VALUE,
        "name a queue",
    ),
    "levels of text logs": ({"LoggingConfig": {"SystemLogLevel": "WARN"}}, VALUE, "can only be set when LogFormat"),
    "log format": ({"LoggingConfig": {"LogFormat": "XML"}}, VALIDATION, "Value 'XML' at 'loggingConfig.logFormat'"),
    "log group": ({"LoggingConfig": {"LogGroup": "a b"}}, VALIDATION, "Value 'a b' at 'loggingConfig.logGroup'"),
    "long log group": ({"LoggingConfig": {"LogGroup": "g" * 513}}, VALIDATION, "less than or equal to 512"),
    "tracing": ({"TracingConfig": {"Mode": "Sometimes"}}, VALIDATION, "enum value set: [Active, PassThrough]"),
    "architecture": (
        {"Architectures": ["riscv"]},
        VALIDATION,
        "1 validation error detected: Value '[riscv]' at 'architectures' failed to satisfy constraint: Member must "
        "satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]",
    ),
    "two architectures": (
        {"Architectures": ["x86_64", "arm64"]},
        VALIDATION,
        "Value '[x86_64, arm64]' at 'architectures' failed to satisfy constraint: "
        "Member must have length less than or equal to 1",
    ),
    "other architecture": ({"Architectures": [OTHER_ARCHITECTURE]}, VALUE, "this host has"),
    "reserved variable": ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, VALUE, "reserved keys"),
    "variable's name": (
        {"Environment": {"Variables": {"1": "secret"}}},
        VALIDATION,
        "1 validation error detected: Value at 'environment.variables' failed to satisfy constraint: Map keys must "
        "satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]",
    ),
    "large environment": ({"Environment": {"Variables": {"AA": "x" * 4096}}}, VALUE, "exceeded the 4KB limit"),
    "unknown runtime": (
        {"Runtime": "cobol"},
        VALUE,
        "Value cobol at 'runtime' failed to satisfy constraint: Member "
        f"must satisfy enum value set: [{RUNTIMES}] or be a valid ARN",
    ),
    "a runtime there is not here": (
        {"Runtime": "ruby3.4"},
        VALUE,
        "Value ruby3.4 at 'runtime' failed to satisfy constraint: Member "
        "must satisfy enum value set: [nodejs20.x, python3.11, python3.12] or be a valid ARN",
    ),
    "missing runtime": ({"Runtime": "nodejs20.x"}, VALUE, "install nodejs 20 and restart"),
    "name": ({"FunctionName": "a b"}, VALIDATION, "at 'functionName'"),
    "long name": ({"FunctionName": "a" * 65}, VALUE, "Member must have length less than or equal to 64"),
    "endless name": ({"FunctionName": "a" * 141}, VALIDATION, "Member must have length less than or equal to 140"),
    "no name": ({"FunctionName": None}, VALIDATION, "Value null at 'functionName' failed to satisfy constraint: "),
    "no role": (
        {"Role": None},
        VALIDATION,
        "Value null at 'role' failed to satisfy constraint: Member must not be null",
    ),
    "no size": ({"EphemeralStorage": {}}, VALIDATION, "Value null at 'ephemeralStorage.size' failed to satisfy"),
    "wrong type": ({"Timeout": "soon"}, TYPE, "STRING_VALUE can not be converted to an Integer"),
    "wrong kind": ({"Environment": "A=b"}, TYPE, "Expected a structure at 'environment', found STRING_VALUE"),
    "list for text": ({"Description": ["x"]}, TYPE, "Start of list found where not expected"),
    "not base64": ({"Code": {"ZipFile": "***"}}, TYPE, "base64"),
    "tag": (
        {"Tags": {"samovar:isolation": "none"}},
        VALUE,
        "Tag samovar:isolation = 'none' is not allowed: one of docker, sandbox",
    ),
    "unknown tag": ({"Tags": {"samovar:colour": "red"}}, VALUE, "samovar:network"),
    "reserved tag": ({"Tags": {"aws:x": "y"}}, VALUE, "reserved"),
    "tag's key": (
        {"Tags": {"a;b": "y"}},
        VALIDATION,
        "Value '{a;b=y}' at 'tags' failed to satisfy constraint: Map keys must satisfy",
    ),
    "too many tags": ({"Tags": {f"t{n}": "" for n in range(51)}}, VALUE, "Number of tags exceeds resource tag limit."),
}


@pytest.mark.parametrize(("members", "kind", "message"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_wrong_creation_is_refused_and_makes_nothing(
    api: httpx.AsyncClient, members: dict[str, Any], kind: str, message: str
) -> None:
    answer = await api.post(PATH, json=creation(**members))
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (400, kind)
    assert message in answer.json()["Message"]
    assert (await api.get(PATH)).json() == {"Functions": []}


HARMLESS: dict[str, dict[str, Any]] = {
    "empty members": {"Layers": [], "VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []}, "Publish": False},
    "defaults": {"PackageType": "Zip", "SnapStart": {"ApplyOn": "None"}, "LoggingConfig": {}},
    "nulls": {"Layers": None, "DeadLetterConfig": {}, "KMSKeyArn": ""},
    "members of another time": {"Unheard": {"Of": 1}},
}


@pytest.mark.parametrize("members", HARMLESS.values(), ids=HARMLESS.keys())
async def test_members_that_ask_for_nothing_are_let_pass(api: httpx.AsyncClient, members: dict[str, Any]) -> None:
    assert (await api.post(PATH, json=creation() | members)).status_code == 201


async def test_what_is_kept_and_has_no_effect_is_told_back(api: httpx.AsyncClient) -> None:
    made = await api.post(PATH, json=creation(TracingConfig={"Mode": "Active"}))
    assert made.json()["TracingConfig"] == {"Mode": "Active"}


async def test_updates_are_checked_like_creations(api: httpx.AsyncClient) -> None:
    await api.post(PATH, json=creation())
    for members in ({"MemorySize": 1}, {"Runtime": "cobol"}, {"Layers": ["x"]}, {"Role": "me"}):
        assert (await api.put(f"{PATH}/hello/configuration", json=members)).status_code == 400
    package = base64.b64encode(zip_of({"a": b"b"})).decode()
    for extra in ({"PublishTo": "LATEST_PUBLISHED"}, {"Architectures": ["riscv"]}, {"S3Bucket": "bucket"}):
        assert (await api.put(f"{PATH}/hello/code", json={"ZipFile": package} | extra)).status_code == 400
    assert (await api.put(f"{PATH}/hello/code", json={})).status_code == 400


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[1]", b"null"])
async def test_a_body_that_is_no_request_is_refused(api: httpx.AsyncClient, body: bytes) -> None:
    answer = await api.post(PATH, content=body)
    assert answer.status_code == 400
    assert answer.headers["x-amzn-errortype"] in ("InvalidRequestContentException", TYPE)


async def test_runtimes_are_asked_for_now_and_then(link: RecordingLink, clock: ManualClock, tmp_path: Path) -> None:
    runtimes = Runtimes(link, clock, tmp_path / "none")
    await runtimes.check("python3.11")
    await runtimes.check("python3.11")
    assert len(link.of("status")) == 1
    clock.advance(11)
    link.away = True
    await runtimes.check("python3.11")  # what it said before still stands
    with pytest.raises(InvalidParameterValue):
        await runtimes.check("cobol")


async def test_without_an_invoker_the_catalog_names_the_runtimes(
    link: RecordingLink, clock: ManualClock, tmp_path: Path
) -> None:
    catalog = tmp_path / "catalog.toml"
    catalog.write_text('[runtime."python3.12"]\nimage = "x"\n')
    link.away = True
    await Runtimes(link, clock, catalog).check("python3.12")
    with pytest.raises(InvalidParameterValue, match=r"python3\.12"):
        await Runtimes(link, clock, catalog).check("cobol")


async def test_the_projects_own_catalog_can_be_read(link: RecordingLink, clock: ManualClock) -> None:
    link.away = True
    await Runtimes(link, clock).check("python3.11")
