"""Versions and aliases through the control API, with an invoker that only takes notes."""

from __future__ import annotations

import asyncio
import base64
import os
from typing import Any

import httpx
import pytest

from gateway.functions.registry import Registry
from gateway.services import Services
from gateway.tasks.sweeps import sweep_code
from samovar.clock import ManualClock
from tests.gateway.builders import RecordingLink, creation, zip_of

pytestmark = pytest.mark.component("valkey")
PATH = "/2015-03-31/functions"
ONE = f"{PATH}/hello"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:hello"


@pytest.fixture
async def made(api: httpx.AsyncClient) -> httpx.AsyncClient:
    """The control app, with one function."""
    assert (await api.post(PATH, json=creation())).status_code == 201
    return api


def fault(answer: httpx.Response) -> tuple[int, str, str]:
    return answer.status_code, answer.headers["x-amzn-errortype"], answer.json()["Message"]


def code(text: str) -> dict[str, Any]:
    return {"ZipFile": base64.b64encode(zip_of({"app.py": text.encode()})).decode()}


async def publish(api: httpx.AsyncClient, change: str | None = None, **members: Any) -> dict[str, Any]:
    """Publish a version, after a change of the code if one is asked for."""
    if change is not None:
        assert (await api.put(f"{ONE}/code", json=code(change))).status_code == 200
    answer = await api.post(f"{ONE}/versions", json=members)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_version_is_the_function_as_it_was(made: httpx.AsyncClient, clock: ManualClock) -> None:
    before = (await made.get(f"{ONE}/configuration")).json()
    clock.advance(5)
    first = await publish(made, Description="the first")
    assert (first["Version"], first["FunctionArn"], first["Description"]) == ("1", f"{ARN}:1", "the first")
    assert (first["State"], first["LastUpdateStatus"]) == ("Active", "Successful")
    same = ("CodeSha256", "CodeSize", "Handler", "MemorySize", "Timeout", "Runtime", "Role")
    assert all(first[member] == before[member] for member in same)
    after = (await made.get(f"{ONE}/configuration")).json()
    assert after["Description"] == ""
    assert len({before["RevisionId"], after["RevisionId"], first["RevisionId"]}) == 3
    await made.put(f"{ONE}/configuration", json={"MemorySize": 512, "Environment": {"Variables": {"A1": "b"}}})
    assert (await made.get(f"{ONE}:1/configuration")).json() == first
    assert (await made.get(f"{PATH}/{ARN}:1")).json()["Configuration"] == first
    assert (await made.get(ONE, params={"Qualifier": "1"})).json()["Configuration"] == first


async def test_publishing_again_what_has_not_changed_gives_the_same_version(made: httpx.AsyncClient) -> None:
    first = await publish(made)
    assert await publish(made, Description="other words") == first
    await made.post(f"/2017-03-31/tags/{ARN}", json={"Tags": {"a": "b"}})
    await made.put(f"{ONE}/configuration", json={"Timeout": first["Timeout"]})
    assert (await publish(made))["Version"] == "1"
    assert (await publish(made, "x = 1"))["Version"] == "2"
    await made.put(f"{ONE}/configuration", json={"Description": "new"})
    assert (await publish(made))["Version"] == "3"


async def test_of_many_at_once_one_version_is_published(made: httpx.AsyncClient) -> None:
    published = await asyncio.gather(*(publish(made) for _ in range(8)))
    assert {one["Version"] for one in published} == {"1"}


async def test_what_is_published_can_be_made_sure(made: httpx.AsyncClient) -> None:
    latest = (await made.get(f"{ONE}/configuration")).json()
    wrong = await made.post(f"{ONE}/versions", json={"CodeSha256": "somethingelse"})
    assert fault(wrong) == (
        400,
        "InvalidParameterValueException",
        f"CodeSHA256 (somethingelse) is different from current CodeSHA256 in $LATEST ({latest['CodeSha256']}). "
        "Please try again with the CodeSHA256 in $LATEST.",
    )
    old = await made.post(f"{ONE}/versions", json={"RevisionId": "old"})
    assert fault(old)[:2] == (412, "PreconditionFailedException")
    right = {"CodeSha256": latest["CodeSha256"], "RevisionId": latest["RevisionId"]}
    assert (await publish(made, **right))["Version"] == "1"
    assert fault(await made.post(f"{PATH}/nobody/versions", json={}))[0] == 404
    assert fault(await made.post(f"{ONE}:1/versions", json={}))[1] == "InvalidParameterValueException"


async def test_creating_and_updating_can_publish(api: httpx.AsyncClient) -> None:
    created = (await api.post(PATH, json=creation(Publish=True))).json()
    assert (created["Version"], created["FunctionArn"]) == ("1", ARN)
    updated = (await api.put(f"{ONE}/code", json=code("x = 2") | {"Publish": True})).json()
    assert (updated["Version"], updated["FunctionArn"]) == ("2", f"{ARN}:2")
    dry = (await api.put(f"{ONE}/code", json=code("x = 3") | {"Publish": True, "DryRun": True})).json()
    assert dry["Version"] == "$LATEST"
    listed = (await api.get(f"{ONE}/versions")).json()["Versions"]
    assert [(one["Version"], one["FunctionArn"]) for one in listed] == [
        ("$LATEST", f"{ARN}:$LATEST"),
        ("1", f"{ARN}:1"),
        ("2", f"{ARN}:2"),
    ]
    assert "State" not in listed[0]


async def test_versions_are_listed_in_pages(made: httpx.AsyncClient) -> None:
    for number in range(11):
        await publish(made, f"x = {number}")
    await made.delete(ONE, params={"Qualifier": "4"})
    found: list[str] = []
    marker: dict[str, Any] = {}
    while True:
        page = (await made.get(f"{ONE}/versions", params={"MaxItems": 3, **marker})).json()
        found += [one["Version"] for one in page["Versions"]]
        assert len(page["Versions"]) <= 3
        if "NextMarker" not in page:
            break
        marker = {"Marker": page["NextMarker"]}
    assert found == ["$LATEST", *(str(number) for number in range(1, 12) if number != 4)]


async def test_every_version_of_every_function_is_listed_in_pages(made: httpx.AsyncClient) -> None:
    await publish(made)
    await publish(made, "x = 1")
    for name in ("aria", "zoe"):
        await made.post(PATH, json=creation(name, Publish=name == "zoe"))
    found: list[tuple[str, str]] = []
    for size in (1, 2, 3, 50):
        found, marker = [], ""
        while True:
            query = {"FunctionVersion": "ALL", "MaxItems": str(size)} | ({"Marker": marker} if marker else {})
            page = (await made.get(PATH, params=query)).json()
            assert len(page["Functions"]) <= size
            found += [(one["FunctionName"], one["Version"]) for one in page["Functions"]]
            if "NextMarker" not in page:
                break
            marker = page["NextMarker"]
        assert found == [
            ("aria", "$LATEST"),
            ("hello", "$LATEST"),
            ("hello", "1"),
            ("hello", "2"),
            ("zoe", "$LATEST"),
            ("zoe", "1"),
        ]


async def test_a_version_is_deleted_unless_an_alias_needs_it(made: httpx.AsyncClient, link: RecordingLink) -> None:
    await publish(made)
    await publish(made, "x = 1")
    weights = {"RoutingConfig": {"AdditionalVersionWeights": {"2": 0.5}}}
    await made.post(f"{ONE}/aliases", json={"Name": "live", "FunctionVersion": "1", **weights})
    for number in ("1", "2"):
        assert fault(await made.delete(ONE, params={"Qualifier": number})) == (
            409,
            "ResourceConflictException",
            "Unable to delete version because the following aliases reference it: [live]",
        )
    await made.put(f"{ONE}/aliases/live", json={"RoutingConfig": {}})
    assert (await made.delete(ONE, params={"Qualifier": "2"})).status_code == 204
    assert [(body["arn"], body["version"]) for body in link.of("forget")] == [(ARN, "2")]
    assert (await made.delete(f"{ONE}:2")).status_code == 204  # AWS: what is not there is deleted already
    assert fault(await made.get(f"{ONE}:2")) == (404, "ResourceNotFoundException", f"Function not found: {ARN}:2")
    assert fault(await made.delete(f"{ONE}:live"))[2] == "Deletion of aliases is not currently supported."
    assert fault(await made.delete(f"{PATH}/nobody:1"))[2] == f"Function not found: {ARN.replace('hello', 'nobody')}"
    assert (await publish(made, "x = 2"))["Version"] == "3"  # numbers are not given twice


async def test_deleting_a_function_takes_all_versions_and_aliases(made: httpx.AsyncClient, services: Services) -> None:
    await publish(made)
    await made.post(f"{ONE}/aliases", json={"Name": "live", "FunctionVersion": "1"})
    assert (await services.registry.get(ARN, "live")).version.version == "1"
    await made.delete(ONE)
    assert services.registry.cached(ARN, "live") is services.registry.cached(ARN, "1") is None
    await made.post(PATH, json=creation())
    assert (await made.get(f"{ONE}/aliases")).json() == {"Aliases": []}
    assert (await publish(made))["Version"] == "1"


async def test_code_that_a_version_uses_is_kept(made: httpx.AsyncClient, services: Services) -> None:
    first = await publish(made)
    second = (await made.put(f"{ONE}/code", json=code("x = 1"))).json()
    third = (await made.put(f"{ONE}/code", json=code("x = 2"))).json()

    for one in (first, second, third):
        os.utime(services.artifacts.archive(base64.b64decode(one["CodeSha256"]).hex()), (0, 0))  # beyond all grace
    swept = await sweep_code(services.store, services.artifacts)
    assert swept == [base64.b64decode(second["CodeSha256"]).hex()]


# Aliases.


async def test_an_alias_is_made_shown_changed_and_removed(made: httpx.AsyncClient) -> None:
    await publish(made)
    await publish(made, "x = 1")
    members = {"Name": "live", "FunctionVersion": "1", "Description": "what people use"}
    answer = await made.post(f"{ONE}/aliases", json=members)
    assert answer.status_code == 201
    shown = answer.json()
    revision = shown.pop("RevisionId")
    assert shown == {"AliasArn": f"{ARN}:live", **members}
    assert (await made.get(f"{ONE}/aliases/live")).json() == {**shown, "RevisionId": revision}
    weights = {"AdditionalVersionWeights": {"2": 0.25}}
    changed = (await made.put(f"{ONE}/aliases/live", json={"RoutingConfig": weights, "RevisionId": revision})).json()
    assert changed.pop("RevisionId") != revision
    assert changed == {**shown, "RoutingConfig": weights}
    old = await made.put(f"{ONE}/aliases/live", json={"Description": "", "RevisionId": revision})
    assert fault(old)[:2] == (412, "PreconditionFailedException")
    moved = (await made.put(f"{ONE}/aliases/live", json={"FunctionVersion": "2", "RoutingConfig": {}})).json()
    assert (moved["FunctionVersion"], "RoutingConfig" in moved, moved["Description"]) == ("2", False, "what people use")
    assert (await made.get(f"{ONE}:live")).json()["Configuration"]["Version"] == "2"
    assert (await made.get(f"{ONE}:live/configuration")).json()["FunctionArn"] == f"{ARN}:live"
    for _ in range(2):
        assert (await made.delete(f"{ONE}/aliases/live")).status_code == 204
    assert fault(await made.get(f"{ONE}:live"))[2] == f"Function not found: {ARN}:live"


ABSENT = "Function not found: "
WRONG: dict[str, tuple[str, str, dict[str, Any], tuple[int, str, str]]] = {
    "taken": (
        "POST",
        "hello/aliases",
        {"Name": "live", "FunctionVersion": "1"},
        (409, "ResourceConflictException", f"Alias already exists: {ARN}:live"),
    ),
    "no such version": (
        "POST",
        "hello/aliases",
        {"Name": "new", "FunctionVersion": "10"},
        (404, "ResourceNotFoundException", f"{ABSENT}{ARN}:10"),
    ),
    "no such second version": (
        "POST",
        "hello/aliases",
        {"Name": "new", "FunctionVersion": "1", "RoutingConfig": {"AdditionalVersionWeights": {"10": 0.5}}},
        (404, "ResourceNotFoundException", f"{ABSENT}{ARN}:10"),
    ),
    "no such function": (
        "POST",
        "nobody/aliases",
        {"Name": "new", "FunctionVersion": "1"},
        (404, "ResourceNotFoundException", f"{ABSENT}{ARN.replace('hello', 'nobody')}:1"),
    ),
    "the same version": (
        "PUT",
        "hello/aliases/live",
        {"RoutingConfig": {"AdditionalVersionWeights": {"1": 0.5}}},
        (
            400,
            "InvalidParameterValueException",
            "Invalid function version 1. Function version 1 is already included in routing configuration.",
        ),
    ),
    "unknown": (
        "PUT",
        "hello/aliases/none",
        {},
        (404, "ResourceNotFoundException", f"Alias not found: {ARN}:none"),
    ),
    "unknown to get": (
        "GET",
        "hello/aliases/none",
        {},
        (404, "ResourceNotFoundException", f"Cannot find alias arn: {ARN}:none"),
    ),
}


@pytest.mark.parametrize(("method", "path", "body", "expected"), WRONG.values(), ids=WRONG.keys())
async def test_what_an_alias_cannot_be(
    made: httpx.AsyncClient, method: str, path: str, body: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    await publish(made)
    await made.post(f"{ONE}/aliases", json={"Name": "live", "FunctionVersion": "1"})
    assert fault(await made.request(method, f"{PATH}/{path}", json=body)) == expected


async def test_aliases_are_listed_in_pages_and_by_version(made: httpx.AsyncClient) -> None:
    await publish(made)
    for name, version in (("c", "1"), ("a", "$LATEST"), ("b", "1")):
        await made.post(f"{ONE}/aliases", json={"Name": name, "FunctionVersion": version})
    first = (await made.get(f"{ONE}/aliases", params={"MaxItems": 2})).json()
    second = (await made.get(f"{ONE}/aliases", params={"Marker": first["NextMarker"]})).json()
    assert [one["Name"] for page in (first, second) for one in page["Aliases"]] == ["a", "b", "c"]
    assert "NextMarker" not in second
    of_one = (await made.get(f"{ONE}/aliases", params={"FunctionVersion": "1"})).json()["Aliases"]
    assert [one["Name"] for one in of_one] == ["b", "c"]


async def test_of_two_updates_of_one_revision_one_wins(made: httpx.AsyncClient) -> None:
    await publish(made)
    alias = (await made.post(f"{ONE}/aliases", json={"Name": "live", "FunctionVersion": "1"})).json()
    updates = [{"Description": str(number), "RevisionId": alias["RevisionId"]} for number in range(8)]
    answers = await asyncio.gather(*(made.put(f"{ONE}/aliases/live", json=update) for update in updates))
    assert sorted(answer.status_code for answer in answers) == [200, *[412] * 7]


# URLs of aliases.

URL, URLS = "/2021-10-31/functions/hello/url", "/2021-10-31/functions/hello/urls"


async def test_an_alias_has_a_url_of_its_own(made: httpx.AsyncClient, services: Services) -> None:
    await publish(made)
    await publish(made, "x = 1")
    await made.post(f"{ONE}/aliases", json={"Name": "live", "FunctionVersion": "1"})
    live = {"Qualifier": "live"}
    absent = (404, "ResourceNotFoundException", "The resource you requested does not exist.")
    assert fault(await made.get(URL, params=live)) == absent
    answer = await made.post(URL, json={"AuthType": "NONE"}, params=live)
    assert (answer.status_code, answer.json()["FunctionArn"]) == (201, f"{ARN}:live")
    assert fault(await made.post(URL, json={"AuthType": "NONE"}, params=live))[:2] == (409, "ResourceConflictException")
    own = (await made.post(URL, json={"AuthType": "NONE"})).json()
    changed = (await made.put(URL, json={"Cors": {"MaxAge": 5}}, params=live)).json()
    assert (changed["FunctionUrl"], changed["Cors"]) == (answer.json()["FunctionUrl"], {"MaxAge": 5})
    first = (await made.get(URLS, params={"MaxItems": 1})).json()
    second = (await made.get(URLS, params={"Marker": first["NextMarker"]})).json()
    told = {"InvokeMode": "BUFFERED"}  # which a creation that does not name it leaves out
    assert [*first["FunctionUrlConfigs"], *second["FunctionUrlConfigs"]] == [own | told, changed | told]
    assert "NextMarker" not in second

    url = changed["FunctionUrl"].split("//")[1].split(".")[0] + ".us-east-1"
    for version in ("1", "2"):
        await made.put(f"{ONE}/aliases/live", json={"FunctionVersion": version})
        for registry in (services.registry, Registry(services.store)):
            found = await registry.by_url(url)
            assert found is not None
            assert found.url is not None
            assert (found.version.version, found.url.qualifier) == (version, "live")
    assert await services.registry.by_url(url.replace("us-east", "eu-west")) is None
    assert (await made.delete(URL, params=live)).status_code == 204
    assert await services.registry.by_url(url) is await Registry(services.store).by_url(url) is None
    assert fault(await made.post(URL, json={"AuthType": "NONE"}, params={"Qualifier": "none"})) == (
        404,
        "ResourceNotFoundException",
        "Function does not exist",
    )


@pytest.mark.parametrize("path", [f"{ONE}/aliases/live", ONE], ids=["with its alias", "with its function"])
async def test_the_url_of_an_alias_goes(made: httpx.AsyncClient, services: Services, path: str) -> None:
    await publish(made)
    await made.post(f"{ONE}/aliases", json={"Name": "live", "FunctionVersion": "1"})
    created = (await made.post(URL, json={"AuthType": "NONE"}, params={"Qualifier": "live"})).json()
    url = created["FunctionUrl"].split("//")[1].split(".")[0] + ".us-east-1"
    assert await services.registry.by_url(url) is not None
    assert (await made.delete(path)).status_code == 204
    assert await services.registry.by_url(url) is None
    assert await services.store.url_owner(url.partition(".")[0]) is None


# What gateways know.


async def test_calls_of_an_alias_are_shared_without_asking_the_store(
    made: httpx.AsyncClient, services: Services
) -> None:
    await publish(made)
    await publish(made, "x = 1")
    routed = {"Name": "live", "FunctionVersion": "1", "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.5}}}
    await made.post(f"{ONE}/aliases", json=routed)
    async with asyncio.timeout(10):  # what is read while news of the versions arrives is not kept
        while not all(services.registry.cached(ARN, number) for number in ("1", "2")):
            for qualifier in ("1", "2", "live"):
                await services.registry.get(ARN, qualifier)
    found = [services.registry.cached(ARN, "live") for _ in range(200)]
    assert {record.version.version for record in found if record is not None} == {"1", "2"}
    assert None not in found


async def test_other_gateways_follow_versions_and_aliases(made: httpx.AsyncClient, services: Services) -> None:
    await publish(made)
    await publish(made, "x = 1")
    await made.post(f"{ONE}/aliases", json={"Name": "live", "FunctionVersion": "1"})
    async with Registry(services.store) as elsewhere:

        async def until(version: str | None) -> None:
            async with asyncio.timeout(10):
                while True:
                    known = elsewhere.cached(ARN, "live")
                    if (known and known.version.version) == version:
                        return
                    if known is None and version is not None:
                        await elsewhere.get(ARN, "live")
                    await asyncio.sleep(0.001)

        async with asyncio.timeout(10):
            while not elsewhere.following:  # noqa: ASYNC110 - a cache has no event to wait for
                await asyncio.sleep(0.001)
        await until("1")
        await made.put(f"{ONE}/aliases/live", json={"FunctionVersion": "2"})
        await until("2")
        reserved = {"ReservedConcurrentExecutions": 0}
        await made.put("/2017-10-31/functions/hello/concurrency", json=reserved)
        async with asyncio.timeout(10):
            while True:
                record = elsewhere.cached(ARN, "2")
                if record is not None and record.version.max_environments == 0:
                    break
                await asyncio.sleep(0.001)
        await made.delete(f"{ONE}/aliases/live")
        await until(None)


async def test_what_a_function_reserves_holds_for_versions_published_before(
    made: httpx.AsyncClient, services: Services
) -> None:
    await publish(made)
    before = (await services.registry.get(ARN, "1")).version
    await made.put("/2017-10-31/functions/hello/concurrency", json={"ReservedConcurrentExecutions": 0})
    after = (await services.registry.get(ARN, "1")).version
    assert (before.max_environments, after.max_environments) == (None, 0)
    assert after.serial > before.serial
    await made.put(f"{ONE}/code", json=code("x = 1"))
    unchanged = (await services.registry.get(ARN, "1")).version
    assert unchanged == after  # so that environments of a version outlive deployments of $LATEST


async def test_reservations_cannot_exceed_what_there_is(made: httpx.AsyncClient, services: Services) -> None:
    limit = services.settings.max_environments
    settings = (await made.get("/2016-08-19/account-settings/")).json()  # as older SDKs spell it
    assert settings["AccountLimit"]["UnreservedConcurrentExecutions"] == limit
    assert settings["AccountUsage"]["FunctionCount"] == 1
    size = (await made.get(ONE)).json()["Configuration"]["CodeSize"]
    assert settings["AccountUsage"]["TotalCodeSize"] == size
    await publish(made)
    concurrency = "/2017-10-31/functions/hello/concurrency"
    assert (await made.put(concurrency, json={"ReservedConcurrentExecutions": limit})).status_code == 200
    settings = (await made.get("/2016-08-19/account-settings")).json()
    assert settings["AccountLimit"]["UnreservedConcurrentExecutions"] == 0
    assert settings["AccountUsage"]["TotalCodeSize"] == 2 * size
    await made.post(PATH, json=creation("other"))
    more = await made.put("/2017-10-31/functions/other/concurrency", json={"ReservedConcurrentExecutions": 1})
    assert fault(more) == (
        400,
        "InvalidParameterValueException",
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below "
        "its minimum value of [0].",
    )
