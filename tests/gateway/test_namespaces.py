"""The region of a request, read from signatures that botocore makes."""

from __future__ import annotations

import base64
from typing import Any

import botocore.auth  # type: ignore[import-untyped]  # it ships no types
import httpx
import pytest
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials  # type: ignore[import-untyped]

from gateway.namespaces import region_of
from tests.gateway.builders import RecordingLink, creation, zip_of

PATH = "/2015-03-31/functions"


def signed(region: str, signer: str = "SigV4Auth") -> AWSRequest:
    request = AWSRequest("GET", f"http://127.0.0.1:9000{PATH}")
    getattr(botocore.auth, signer)(Credentials("AKIDEXAMPLE", "secret"), "lambda", region).add_auth(request)
    return request


def headers(region: str) -> dict[str, str]:
    return {"Authorization": signed(region).headers["Authorization"]}


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "us-gov-west-1", "us-isob-east-1", "ap-southeast-3"])
def test_a_signature_names_its_region(region: str) -> None:
    authorization = signed(region).headers["Authorization"].encode()
    assert region_of({b"authorization": authorization}, b"", "us-west-2") == region
    query = signed(region, "SigV4QueryAuth").url.partition("?")[2].encode()
    assert region_of({}, query, "us-west-2") == region


@pytest.mark.parametrize(
    "authorization",
    [
        b"",
        b"Bearer x",
        b"AWS4-HMAC-SHA256 Credential=",
        b"AWS4-HMAC-SHA256 Credential=K/20261123/../lambda/aws4_request",
    ],
)
def test_what_is_no_signature_or_no_region_means_the_default(authorization: bytes) -> None:
    assert region_of({b"authorization": authorization}, b"X-Amz-Credential=%FF", "us-west-2") == "us-west-2"
    assert region_of({}, b"X-Amz-Credential=%FF/a/b", "us-west-2") == "us-west-2"


@pytest.mark.component("valkey")
async def test_each_region_has_functions_of_its_own(api: httpx.AsyncClient, link: RecordingLink) -> None:
    async def create(name: str, region: str) -> dict[str, Any]:
        answer = await api.post(PATH, json=creation(name), headers=headers(region))
        assert answer.status_code == 201
        made: dict[str, Any] = answer.json()
        return made

    for region in ("eu-central-1", "us-east-1"):
        assert (await create("tea", region))["FunctionArn"] == f"arn:aws:lambda:{region}:123456789012:function:tea"
    await create("cups", "eu-central-1")

    async def names(region: str) -> list[str]:
        return [one["FunctionName"] for one in (await api.get(PATH, headers=headers(region))).json()["Functions"]]

    assert (await names("eu-central-1"), await names("us-east-1")) == (["cups", "tea"], ["tea"])
    assert await names("eu-west-1") == []
    assert {body["region"] for body in link.of("declare")} == {"eu-central-1", "us-east-1"}

    package = base64.b64encode(zip_of({"b.py": b""})).decode()
    await api.put(f"{PATH}/tea/code", json={"ZipFile": package}, headers=headers("eu-central-1"))
    here, there = [(await api.get(f"{PATH}/tea", headers=headers(one))).json() for one in ("us-east-1", "eu-central-1")]
    assert here["Configuration"]["CodeSha256"] != there["Configuration"]["CodeSha256"]
    await api.delete(f"{PATH}/tea", headers=headers("eu-central-1"))
    assert (await names("eu-central-1"), await names("us-east-1")) == (["cups"], ["tea"])
    away = await api.get(f"{PATH}/arn:aws:lambda:eu-central-1:123456789012:function:cups")
    assert away.json()["Message"] == "Functions from 'eu-central-1' are not reachable in this region ('us-east-1')"
