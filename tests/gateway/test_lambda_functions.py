"""Functions over the control API: created, shown, listed, changed, deleted, and told to the invoker."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from typing import Any

import httpx
import pytest

from gateway.services import Services
from samovar.clock import ManualClock
from tests.gateway.builders import CODE, ROLE, RecordingLink, creation, zip_of

pytestmark = pytest.mark.component("valkey")
PATH = "/2015-03-31/functions"


async def created(api: httpx.AsyncClient, name: str = "hello", **members: Any) -> dict[str, Any]:
    answer = await api.post(PATH, json=creation(name, **members))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def fault(answer: httpx.Response) -> tuple[int, str, str]:
    return answer.status_code, answer.headers["x-amzn-errortype"], answer.json()["Message"]


async def test_a_created_function_is_described_as_aws_does(api: httpx.AsyncClient, clock: ManualClock) -> None:
    package = zip_of({"app.py": CODE})
    shown = await created(api, Description="says hello", Environment={"Variables": {"A1": "x"}}, Timeout=7)
    revision = shown.pop("RevisionId")
    assert len(revision) == 36
    assert shown.pop("Architectures") in (["x86_64"], ["arm64"])
    assert shown == {
        "FunctionName": "hello",
        "FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:hello",
        "Runtime": "python3.11",
        "Role": ROLE,
        "Handler": "app.handler",
        "CodeSize": len(package),
        "CodeSha256": base64.b64encode(hashlib.sha256(package).digest()).decode(),
        "Description": "says hello",
        "Timeout": 7,
        "MemorySize": 128,
        "LastModified": "2023-11-14T22:13:20.000+0000",
        "Version": "$LATEST",
        "Environment": {"Variables": {"A1": "x"}},
        "TracingConfig": {"Mode": "PassThrough"},
        "State": "Pending",
        "StateReason": "The function is being created.",
        "StateReasonCode": "Creating",
        "PackageType": "Zip",
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "RuntimeVersionConfig": {
            "RuntimeVersionArn": f"arn:aws:lambda:us-east-1::runtime:{hashlib.sha256(b'python3.11').hexdigest()}"
        },
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/hello"},
    }
    shown = (await api.get(f"{PATH}/hello/configuration")).json()
    assert (shown["State"], shown["LastUpdateStatus"]) == ("Active", "Successful")
    assert shown["RevisionId"] != revision, "AWS renews it when a change is in force"
    assert "StateReason" not in shown


async def test_a_logging_configuration_is_changed_in_parts(api: httpx.AsyncClient) -> None:
    async def change(**members: str) -> dict[str, str]:
        answer = await api.put(f"{PATH}/hello/configuration", json={"LoggingConfig": members})
        assert answer.status_code == 200
        shown: dict[str, str] = answer.json()["LoggingConfig"]
        return shown

    await created(api)
    usual = {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO", "LogGroup": "/aws/lambda/hello"}
    assert await change(LogFormat="JSON") == {"LogFormat": "JSON"} | usual
    changed = {"LogFormat": "JSON", "ApplicationLogLevel": "ERROR", "SystemLogLevel": "INFO"}
    assert await change(ApplicationLogLevel="ERROR") == changed | {"LogGroup": "/aws/lambda/hello"}
    assert await change(LogGroup="/shop/all") == changed | {"LogGroup": "/shop/all"}
    assert (await api.get(f"{PATH}/hello/configuration")).json()["LoggingConfig"]["LogGroup"] == "/shop/all"
    assert await change(LogFormat="Text") == {"LogFormat": "Text", "LogGroup": "/shop/all"}
    assert await change(LogGroup="/aws/lambda/hello") == {"LogFormat": "Text", "LogGroup": "/aws/lambda/hello"}


async def test_the_invoker_is_told_of_each_change(
    api: httpx.AsyncClient, link: RecordingLink, services: Services
) -> None:
    await created(api)
    await api.put(f"{PATH}/hello/configuration", json={"MemorySize": 256})
    await api.put(f"{PATH}/hello/code", json={"ZipFile": base64.b64encode(zip_of({"b.py": b""})).decode()})
    await api.delete(f"{PATH}/hello")
    declared = link.of("declare")
    assert [each["limits"].get("memory_mb", 128) for each in declared] == [128, 256, 256]
    assert len({each["code_sha256"] for each in declared}) == 2
    (forgotten,) = link.of("forget")
    assert declared[0]["serial"] < declared[1]["serial"] < declared[2]["serial"] < forgotten["serial"]
    assert services.artifacts.folder(declared[2]["code_sha256"]).is_dir()


async def test_a_change_succeeds_without_the_invoker(api: httpx.AsyncClient, link: RecordingLink) -> None:
    await created(api)
    link.away = True
    assert (await api.put(f"{PATH}/hello/configuration", json={"Timeout": 9})).json()["Timeout"] == 9
    assert (await api.delete(f"{PATH}/hello")).status_code == 204


async def test_get_function_tells_where_the_package_is(api: httpx.AsyncClient) -> None:
    await created(api, Tags={"team": "tea"})
    shown = (await api.get(f"{PATH}/hello")).json()
    assert shown["Tags"] == {"team": "tea"}
    assert "Concurrency" not in shown
    downloaded = await api.get(shown["Code"]["Location"])
    assert downloaded.content == zip_of({"app.py": CODE})
    assert downloaded.headers["content-type"] == "application/zip"


@pytest.mark.parametrize(
    "form",
    [
        "hello",
        "hello:$LATEST",
        "function:hello",
        "123456789012:function:hello",
        "arn:aws:lambda:us-east-1:123456789012:function:hello",
        "arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Ahello%3A%24LATEST",
    ],
)
async def test_every_form_of_a_name_finds_the_function(api: httpx.AsyncClient, form: str) -> None:
    await created(api)
    shown = (await api.get(f"{PATH}/{form}/configuration")).json()
    assert shown["FunctionName"] == "hello"
    assert shown["FunctionArn"].endswith(":$LATEST") == ("LATEST" in form)


ARN = "arn:aws:lambda:us-east-1:123456789012:function"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("no", (404, "ResourceNotFoundException", f"Function not found: {ARN}:no")),
        ("no?Qualifier=$LATEST", (404, "ResourceNotFoundException", f"Function not found: {ARN}:no:$LATEST")),
        ("hello:live", (404, "ResourceNotFoundException", f"Function not found: {ARN}:hello:live")),
        (
            "hello:live?Qualifier=$LATEST",
            (
                400,
                "InvalidParameterValueException",
                "The derived qualifier from the function name does not match the specified qualifier.",
            ),
        ),
        (
            "arn:aws:lambda:eu-west-1:123456789012:function:hello",
            (
                404,
                "ResourceNotFoundException",
                "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
            ),
        ),
    ],
)
async def test_what_is_not_there_is_named(api: httpx.AsyncClient, path: str, expected: tuple[int, str, str]) -> None:
    await created(api)
    assert fault(await api.get(f"{PATH}/{path}")) == expected


async def test_an_impossible_name_is_refused_with_the_pattern(api: httpx.AsyncClient) -> None:
    status, kind, message = fault(await api.get(f"{PATH}/not%20a%20name"))
    assert (status, kind) == (400, "ValidationException")
    assert message.startswith("1 validation error detected: Value 'not a name' at 'functionName' failed to satisfy")


async def test_a_name_is_given_once(api: httpx.AsyncClient) -> None:
    await created(api)
    assert fault(await api.post(PATH, json=creation())) == (
        409,
        "ResourceConflictException",
        "Function already exist: hello",
    )


async def test_functions_are_listed_in_pages(api: httpx.AsyncClient) -> None:
    for name in ("b", "a", "c"):
        await created(api, name)
    first = (await api.get(f"{PATH}/", params={"MaxItems": 2})).json()
    second = (await api.get(PATH, params={"Marker": first["NextMarker"], "FunctionVersion": "ALL"})).json()
    assert [each["FunctionName"] for each in first["Functions"]] == ["a", "b"]
    assert [each["FunctionArn"] for each in second["Functions"]] == [f"{ARN}:c:$LATEST"]
    assert "NextMarker" not in second


@pytest.mark.parametrize(
    ("query", "refusal"),
    [
        ({"MaxItems": 0}, "ValidationException"),
        ({"MaxItems": "many"}, "SerializationException"),
        ({"FunctionVersion": "some"}, "ValidationException"),
    ],
)
async def test_a_wrong_listing_is_refused(api: httpx.AsyncClient, query: dict[str, Any], refusal: str) -> None:
    status, kind, _ = fault(await api.get(PATH, params=query))
    assert (status, kind) == (400, refusal)


async def test_an_update_changes_what_it_names_and_nothing_else(api: httpx.AsyncClient, clock: ManualClock) -> None:
    await created(api, Description="old", Environment={"Variables": {"A1": "x"}}, MemorySize=512)
    before = (await api.get(f"{PATH}/hello/configuration")).json()
    clock.advance(60)
    await api.put(f"{PATH}/hello/configuration", json={"Timeout": 30, "Description": ""})
    after = (await api.get(f"{PATH}/hello/configuration")).json()
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"Timeout", "Description", "RevisionId", "LastModified"}


async def test_an_environment_is_shown_once_it_was_given_even_empty(api: httpx.AsyncClient) -> None:
    assert "Environment" not in await created(api)
    assert "Environment" not in (await api.get(f"{PATH}/hello/configuration")).json()
    assert "Environment" not in (await api.put(f"{PATH}/hello/configuration", json={"Timeout": 5})).json()
    for variables in ({"A1": "x"}, {}):
        given = {"Environment": {"Variables": variables}}
        assert (await api.put(f"{PATH}/hello/configuration", json=given)).json()["Environment"] == given["Environment"]


async def test_of_twenty_updates_of_one_revision_exactly_one_wins(api: httpx.AsyncClient) -> None:
    await created(api)
    revision = (await api.get(f"{PATH}/hello/configuration")).json()["RevisionId"]
    answers = await asyncio.gather(
        *(
            api.put(f"{PATH}/hello/configuration", json={"Description": str(n), "RevisionId": revision})
            for n in range(20)
        )
    )
    won = [answer for answer in answers if answer.status_code == 200]
    assert len(won) == 1
    assert {fault(answer)[:2] for answer in answers if answer not in won} == {(412, "PreconditionFailedException")}
    assert (await api.get(f"{PATH}/hello/configuration")).json()["Description"] == won[0].json()["Description"]


async def test_a_dry_run_checks_and_changes_nothing(api: httpx.AsyncClient, services: Services) -> None:
    await created(api)
    before = (await api.get(f"{PATH}/hello/configuration")).json()
    package = zip_of({"new.py": b""})
    dry = await api.put(f"{PATH}/hello/code", json={"ZipFile": base64.b64encode(package).decode(), "DryRun": True})
    assert dry.json()["CodeSize"] == len(package)
    assert (await api.get(f"{PATH}/hello/configuration")).json() == before
    assert not services.artifacts.folder(hashlib.sha256(package).hexdigest()).exists()
    bad = await api.put(f"{PATH}/hello/code", json={"ZipFile": "bm8gemlw", "DryRun": True})
    assert fault(bad) == (
        400,
        "InvalidParameterValueException",
        "Could not unzip uploaded file. Please check your file, then try to upload again.",
    )


async def test_a_package_that_cannot_be_unpacked_leaves_the_function_as_it_was(api: httpx.AsyncClient) -> None:
    await created(api)
    before = (await api.get(f"{PATH}/hello/configuration")).json()
    unsafe = base64.b64encode(zip_of({"../up": b""})).decode()
    assert fault(await api.put(f"{PATH}/hello/code", json={"ZipFile": unsafe}))[1] == "InvalidZipFileException"
    assert (await api.get(f"{PATH}/hello/configuration")).json() == before


async def test_an_old_revision_does_not_change_code(api: httpx.AsyncClient) -> None:
    await created(api)
    package = base64.b64encode(zip_of({"b.py": b""})).decode()
    answer = await api.put(f"{PATH}/hello/code", json={"ZipFile": package, "RevisionId": "0"})
    assert fault(answer)[:2] == (412, "PreconditionFailedException")


async def test_a_deleted_function_is_gone_with_its_url(api: httpx.AsyncClient, services: Services) -> None:
    await created(api)
    made = await api.post("/2021-10-31/functions/hello/url", json={"AuthType": "NONE"})
    url = made.json()["FunctionUrl"].split("//")[1].split(".")[0] + ".us-east-1"
    assert await services.registry.by_url(url) is not None
    assert fault(await api.delete(f"{PATH}/hello:$LATEST"))[1] == "InvalidParameterValueException"
    assert (await api.delete(f"{PATH}/hello")).status_code == 204
    assert await services.registry.by_url(url) is None
    for answer in (await api.delete(f"{PATH}/hello"), await api.get(f"{PATH}/hello")):
        assert fault(answer) == (404, "ResourceNotFoundException", f"Function not found: {ARN}:hello")


async def test_reserved_concurrency_is_put_shown_and_removed(api: httpx.AsyncClient, link: RecordingLink) -> None:
    await created(api)
    put, got = "/2017-10-31/functions/hello/concurrency", "/2019-09-30/functions/hello/concurrency"
    assert (await api.get(got)).json() == {}
    assert (await api.put(put, json={"ReservedConcurrentExecutions": 0})).json() == {"ReservedConcurrentExecutions": 0}
    assert (await api.get(got)).json() == {"ReservedConcurrentExecutions": 0}
    assert (await api.get(f"{PATH}/hello")).json()["Concurrency"] == {"ReservedConcurrentExecutions": 0}
    assert link.of("declare")[-1]["max_environments"] == 0
    assert (await api.delete(put)).status_code == 204
    assert (await api.get(got)).json() == {}
    assert fault(await api.put(put, json={"ReservedConcurrentExecutions": -1}))[1] == "ValidationException"
    assert fault(await api.put(put, json={}))[1] == "ValidationException"


async def test_code_that_is_replaced_or_deleted_outlives_the_calls_that_run_it(
    api: httpx.AsyncClient, services: Services
) -> None:
    for name, package in (("hello", zip_of({"a.py": b"1"})), ("other", zip_of({"b.py": b"2"}))):
        await created(api, name, Code={"ZipFile": base64.b64encode(package).decode()})
        os.utime(services.artifacts.archive(hashlib.sha256(package).hexdigest()), (0, 0))
    new = base64.b64encode(zip_of({"c.py": b"3"})).decode()
    await api.put(f"{PATH}/hello/code", json={"ZipFile": new})
    await api.delete(f"{PATH}/other")
    assert await services.artifacts.collect(set()) == []


async def test_names_that_no_function_can_have_are_not_found(api: httpx.AsyncClient) -> None:
    await created(api)
    arn = "arn:aws:lambda:us-east-1:123456789012:function:"
    for name in ("a" * 65, "function"):
        assert fault(await api.get(f"{PATH}/{name}")) == (
            404, "ResourceNotFoundException", f"Function not found: {arn}{name}",
        )  # fmt: skip
        assert fault(await api.delete(f"{PATH}/{name}"))[2] == f"Function not found: {arn}{name}"
    assert fault(await api.delete(f"{PATH}/hello?Qualifier=$latest"))[2] == f"Function not found: {arn}hello"
