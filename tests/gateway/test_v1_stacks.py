"""Stacks and routes in Samovar's own API."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.gateway.builders import creation

pytestmark = pytest.mark.component("valkey")
V1 = "/samovar/v1"
STACK: dict[str, Any] = {
    "name": "tea",
    "resources": [{"logical_id": "Pot", "type": "AWS::Lambda::Function", "physical_id": "tea-Pot", "retain": False}],
    "outputs": {"Address": "http://127.0.0.1"},
}


async def test_a_stack_is_kept_as_it_is_given(api: httpx.AsyncClient) -> None:
    assert (await api.get(f"{V1}/stacks/tea")).status_code == 404
    put = await api.put(f"{V1}/stacks/tea", json=STACK)
    assert put.status_code == 200, put.text
    kept = (await api.get(f"{V1}/stacks/tea")).json()
    assert kept == {**STACK, "updated": kept["updated"]}
    assert (await api.get(f"{V1}/stacks")).json() == [kept]
    assert (await api.delete(f"{V1}/stacks/tea")).status_code == 204
    assert (await api.delete(f"{V1}/stacks/tea")).status_code == 404
    assert (await api.get(f"{V1}/stacks")).json() == []


@pytest.mark.parametrize(
    ("name", "body"),
    [("tea", {**STACK, "name": "other"}), ("a_b", {**STACK, "name": "a_b"}), ("tea", {"name": "tea", "more": 1})],
)
async def test_a_stack_that_is_none_is_refused(api: httpx.AsyncClient, name: str, body: dict[str, Any]) -> None:
    assert (await api.put(f"{V1}/stacks/{name}", json=body)).status_code == 400


async def test_routes_belong_to_a_function(api: httpx.AsyncClient) -> None:
    path = f"{V1}/functions/hello/routes"
    assert (await api.put(path, json={"routes": []})).status_code == 404
    await api.post("/2015-03-31/functions", json=creation())
    route = {"api": "tea", "method": "GET", "path": "/pots/{id}"}
    put = await api.put(path, json={"routes": [route]})
    assert put.status_code == 200, put.text
    (kept,) = (await api.get(path)).json()
    assert kept.items() >= route.items()
    assert (await api.put(path, json={"routes": [route, route]})).status_code == 400
    assert (await api.put(path, json={"routes": [{**route, "path": "pots"}]})).status_code == 400
    assert (await api.put(path, json={"routes": [{**route, "methd": "GET"}]})).status_code == 400
    assert len((await api.get(path)).json()) == 1
