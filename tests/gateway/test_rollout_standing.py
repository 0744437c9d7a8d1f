"""An update that is not in force yet is InProgress, and nothing else is."""

from __future__ import annotations

import base64

import httpx
import pytest

from samovar.link.operations import Standing
from tests.gateway.builders import RecordingLink, creation, zip_of

pytestmark = pytest.mark.component("valkey")
ONE = "/2015-03-31/functions/hello"


async def statuses(api: httpx.AsyncClient) -> list[str]:
    """As GetFunctionConfiguration and GetFunction tell it."""
    configuration = (await api.get(f"{ONE}/configuration")).json()
    return [configuration["LastUpdateStatus"], (await api.get(ONE)).json()["Configuration"]["LastUpdateStatus"]]


async def test_an_update_is_in_progress_until_it_is_in_force(api: httpx.AsyncClient, link: RecordingLink) -> None:
    await api.post("/2015-03-31/functions", json=creation("hello"))
    link.standing = Standing(in_force=False)
    code = {"ZipFile": base64.b64encode(zip_of({"b.py": b""})).decode()}
    for answer in (await api.put(f"{ONE}/code", json=code), await api.put(f"{ONE}/configuration", json={"Timeout": 9})):
        assert answer.json()["LastUpdateStatus"] == "InProgress"
        assert answer.json()["LastUpdateStatusReason"] == "The function is being created."
    assert await statuses(api) == ["InProgress", "InProgress"]
    link.standing = Standing(in_force=True)
    assert await statuses(api) == ["Successful", "Successful"]


async def test_without_the_invoker_an_update_is_done(api: httpx.AsyncClient, link: RecordingLink) -> None:
    await api.post("/2015-03-31/functions", json=creation("hello"))
    link.away = True
    await api.put(f"{ONE}/configuration", json={"Timeout": 9})
    assert await statuses(api) == ["Successful", "Successful"]
