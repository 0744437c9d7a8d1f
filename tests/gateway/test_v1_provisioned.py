"""What a function keeps ready is stored, told to the invoker, and refused when it can never be held."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from samovar.link.operations import ProvisionedView, Standing
from tests.gateway.builders import RecordingLink, creation

pytestmark = pytest.mark.component("valkey")
FUNCTIONS = "/2015-03-31/functions"
OFFICE: dict[str, Any] = {
    "count": 3, "start": "0 8 * * mon-fri", "end": "0 18 * * mon-fri", "timezone": "Europe/Berlin",
}  # fmt: skip


def path(name: str = "hello") -> str:
    return f"/samovar/v1/functions/{name}/provisioned"


@pytest.fixture
async def made(api: httpx.AsyncClient) -> httpx.AsyncClient:
    """With two functions of 128 MB; the invoker's budget is 1024 MB."""
    for name in ("hello", "other"):
        assert (await api.post(FUNCTIONS, json=creation(name))).status_code == 201
    return api


async def test_what_is_put_is_stored_declared_and_told(made: httpx.AsyncClient, link: RecordingLink) -> None:
    assert (await made.get(path())).json() == {"provisions": [], "wanted": 0, "ready": 0, "problem": ""}
    put = await made.put(path(), json={"provisions": [{"count": 1}, OFFICE]})
    assert put.status_code == 200, put.text
    assert put.json()["provisions"] == [{"count": 1}, OFFICE]
    assert link.of("declare")[-1]["provisioned"] == [{"count": 1}, OFFICE]
    view = ProvisionedView(arn="", version="$LATEST", serial=3, wanted=3, ready=2, problem="no room")
    link.standing = Standing(in_force=True, provisioned=view)
    told = (await made.get(path())).json()
    assert (told["wanted"], told["ready"], told["problem"]) == (3, 2, "no room")


async def test_what_is_deleted_is_kept_ready_no_more(made: httpx.AsyncClient, link: RecordingLink) -> None:
    await made.put(path(), json={"provisions": [{"count": 1}]})
    assert (await made.delete(path())).status_code == 204
    assert link.of("declare")[-1].get("provisioned", []) == []
    assert (await made.get(path())).json()["provisions"] == []


@pytest.mark.parametrize(
    ("provisions", "says"),
    [
        ([{"count": 9}], "the memory budget is 1024 MB"),
        ([{"count": 101}], "a function has at most 100 (setting max_environments_per_function)"),
        ([{"count": 0}], "count = 0"),
        ([OFFICE | {"start": "8 o'clock"}], "is no cron expression"),
        ([OFFICE | {"timezone": "Berlin"}], "timezone = 'Berlin' is not known"),
        ([{"count": 1, "until": 3}], "unknown field `until`"),
        ([{"count": 1}] * 21, "at most 20"),
    ],
)
async def test_what_cannot_be_held_is_refused(made: httpx.AsyncClient, provisions: list[Any], says: str) -> None:
    refused = await made.put(path(), json={"provisions": provisions})
    assert refused.status_code == 400
    assert says in refused.json()["Message"]
    assert (await made.get(path())).json()["provisions"] == []


async def test_the_memory_budget_is_all_functions_together(made: httpx.AsyncClient) -> None:
    assert (await made.put(path(), json={"provisions": [{"count": 5}, OFFICE]})).status_code == 200
    refused = await made.put(path("other"), json={"provisions": [{"count": 4}]})
    assert "of which other functions' provisioned environments take 640 MB" in refused.json()["Message"]
    assert (await made.put(path("other"), json={"provisions": [{"count": 3}]})).status_code == 200
    grown = await made.put(f"{FUNCTIONS}/other/configuration", json={"MemorySize": 256})
    assert (grown.status_code, "3 provisioned environments of 256 MB" in grown.json()["Message"]) == (400, True)


async def test_they_keep_to_the_reserved_concurrency(made: httpx.AsyncClient) -> None:
    concurrency = "/2017-10-31/functions/hello/concurrency"
    assert (await made.put(path(), json={"provisions": [{"count": 2}]})).status_code == 200
    assert (await made.put(concurrency, json={"ReservedConcurrentExecutions": 2})).status_code == 200
    lower = await made.put(concurrency, json={"ReservedConcurrentExecutions": 1})
    more = await made.put(path(), json={"provisions": [{"count": 3}]})
    assert [answer.status_code for answer in (lower, more)] == [400, 400]
    assert "its reserved concurrency is 1" in lower.json()["Message"]


async def test_without_the_invoker_it_is_stored_all_the_same(made: httpx.AsyncClient, link: RecordingLink) -> None:
    link.away = True
    assert (await made.put(path(), json={"provisions": [{"count": 2}]})).json()["ready"] == 0


async def test_an_unknown_function_has_none(api: httpx.AsyncClient) -> None:
    for answer in (await api.get(path()), await api.put(path(), json={"provisions": []}), await api.delete(path())):
        assert answer.status_code == 404
