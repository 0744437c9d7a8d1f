"""Function URLs and tags over the control API."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gateway.services import Services
from samovar.clock import ManualClock
from tests.gateway.builders import RecordingLink, creation

pytestmark = pytest.mark.component("valkey")
URL, URLS = "/2021-10-31/functions/hello/url", "/2021-10-31/functions/hello/urls"
ARN = "arn:aws:lambda:us-east-1:123456789012:function:hello"
TAGS = f"/2017-03-31/tags/{ARN}"
CORS = {"AllowOrigins": ["https://tea.example"], "AllowMethods": ["GET"], "MaxAge": 60}


@pytest.fixture(autouse=True)
async def function(api: httpx.AsyncClient) -> None:
    assert (await api.post("/2015-03-31/functions", json=creation())).status_code == 201


def fault(answer: httpx.Response) -> tuple[int, str, str]:
    return answer.status_code, answer.headers["x-amzn-errortype"], answer.json()["Message"]


async def test_a_url_is_made_shown_changed_and_removed(api: httpx.AsyncClient, clock: ManualClock) -> None:
    made = await api.post(URL, json={"AuthType": "NONE", "Cors": CORS})
    assert made.status_code == 201
    shown = made.json()
    url = shown.pop("FunctionUrl")
    assert url.endswith(".lambda-url.us-east-1.localhost:9000/")
    assert shown == {
        "FunctionArn": ARN,
        "AuthType": "NONE",
        "Cors": CORS,
        "CreationTime": "2023-11-14T22:13:20.000Z",
        "LastModifiedTime": "2023-11-14T22:13:20.000Z",
    }
    clock.advance(1)
    changed = (await api.put(URL, json={"Cors": {"AllowOrigins": ["*"]}})).json()
    assert changed["Cors"] == {"AllowOrigins": ["*"]}
    assert (changed["FunctionUrl"], changed["LastModifiedTime"]) == (url, "2023-11-14T22:13:21.000Z")
    found = changed | {"InvokeMode": "BUFFERED"}  # which is told to who made it once somebody has said so
    assert (await api.get(URL)).json() == found
    assert (await api.get(URLS)).json() == {"FunctionUrlConfigs": [found]}
    assert (await api.put(URL, json={"InvokeMode": "BUFFERED"})).json()["InvokeMode"] == "BUFFERED"
    assert (await api.delete(URL)).status_code == 204
    assert (await api.get(URLS)).json() == {"FunctionUrlConfigs": []}


async def test_a_url_leaves_revision_dependents_and_environments_alone(
    api: httpx.AsyncClient, link: RecordingLink
) -> None:
    await api.post(URL, json={"AuthType": "NONE"})
    first, second = link.of("declare")
    assert first["serial"] == second["serial"]


async def test_urls_that_cannot_be_are_named(api: httpx.AsyncClient) -> None:
    absent = (404, "ResourceNotFoundException", "The resource you requested does not exist.")
    assert fault(await api.get(URL)) == absent
    assert fault(await api.put(URL, json={})) == absent
    assert fault(await api.delete(URL)) == absent
    missing = await api.post("/2021-10-31/functions/no/url", json={"AuthType": "NONE"})
    assert fault(missing) == (404, "ResourceNotFoundException", "Function does not exist")
    assert fault(await api.get("/2021-10-31/functions/no/url")) == absent
    await api.post(URL, json={"AuthType": "NONE"})
    assert fault(await api.post(URL, json={"AuthType": "NONE"})) == (
        409,
        "ResourceConflictException",
        f"Failed to create function url config for [functionArn = {ARN}]. "
        "Error message:  FunctionUrlConfig exists for this Lambda function",
    )


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({}, "ValidationException"),
        ({"AuthType": "PASSWORD"}, "ValidationException"),
        ({"AuthType": "NONE", "InvokeMode": "STREAM"}, "ValidationException"),
        ({"AuthType": "NONE", "Cors": {"MaxAge": 86_401}}, "ValidationException"),
        ({"AuthType": "NONE", "Cors": {"AllowMethods": ["CONNECT"]}}, "ValidationException"),
        ({"AuthType": "NONE", "Cors": {"AllowMethods": ["BREW"]}}, "InvalidParameterValueException"),
    ],
)
async def test_a_wrong_url_is_refused(api: httpx.AsyncClient, body: dict[str, Any], kind: str) -> None:
    assert fault(await api.post(URL, json=body))[:2] == (400, kind)
    assert (await api.get(URLS)).json() == {"FunctionUrlConfigs": []}


async def test_tags_are_added_replaced_and_removed(api: httpx.AsyncClient) -> None:
    assert (await api.get(TAGS)).json() == {"Tags": {}}
    assert (await api.post(TAGS, json={"Tags": {"a": "1", "b": "2"}})).status_code == 204
    assert (await api.post(TAGS, json={"Tags": {"b": "3"}})).status_code == 204
    assert (await api.get(TAGS)).json() == {"Tags": {"a": "1", "b": "3"}}
    assert (await api.delete(TAGS, params={"tagKeys": ["a", "unheard-of"]})).status_code == 204
    assert (await api.get(TAGS)).json() == {"Tags": {"b": "3"}}


async def test_tags_place_a_function(api: httpx.AsyncClient, link: RecordingLink, services: Services) -> None:
    chosen = {"samovar:isolation": "docker", "samovar:oci-runtime": "runsc", "samovar:network": "bridge"}
    await api.post(TAGS, json={"Tags": chosen | {"samovar:http": "off"}})
    known = services.registry.cached(ARN)
    assert known is not None
    placement = known.version.placement
    assert (placement.isolation, placement.oci_runtime, placement.network) == ("docker", "runsc", "bridge")
    assert not known.http_route
    first, second = link.of("declare")
    assert second["serial"] > first["serial"]
    await api.delete(TAGS, params={"tagKeys": ["samovar:isolation", "samovar:http"]})
    known = services.registry.cached(ARN)
    assert known is not None
    assert (known.version.placement.isolation, known.http_route) == (None, True)


async def test_tags_that_do_not_matter_to_the_invoker_keep_its_environments(
    api: httpx.AsyncClient, link: RecordingLink
) -> None:
    await api.post(TAGS, json={"Tags": {"team": "tea"}})
    first, second = link.of("declare")
    assert first["serial"] == second["serial"]


async def test_only_functions_are_tagged(api: httpx.AsyncClient) -> None:
    assert fault(await api.get(f"{TAGS}:$LATEST"))[1:] == (
        "InvalidParameterValueException",
        "Tags on function aliases and versions are not supported. Please specify a function ARN.",
    )
    assert fault(await api.get(f"{TAGS}-2"))[1] == "ResourceNotFoundException"
    assert fault(await api.post(TAGS, json={"Tags": {"samovar:network": "wifi"}}))[2] == (
        "Tag samovar:network = 'wifi' is not allowed: one of none, bridge, host"
    )
    assert fault(await api.post(TAGS, json={"Tags": {}}))[1] == "InvalidParameterValueException"
    assert fault(await api.delete(TAGS))[1] == "ValidationException"
