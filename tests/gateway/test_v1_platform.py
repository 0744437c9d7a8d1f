"""Samovar's own API: health, status, environments, packages, and its description."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gateway.control import create_control_app
from gateway.functions.registry import Registry
from gateway.functions.store import Store, connect
from samovar.answers import PackageLimits, Status
from samovar.clock import ManualClock
from samovar.settings import Settings
from tests.gateway.builders import RecordingLink, creation, services_of
from tests.valkey import Valkey

pytestmark = pytest.mark.component("valkey")
V1 = "/samovar/v1"


async def test_a_platform_that_can_serve_is_healthy(api: httpx.AsyncClient) -> None:
    answer = await api.get(f"{V1}/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


async def test_a_missing_invoker_is_named(api: httpx.AsyncClient, link: RecordingLink) -> None:
    link.away = True
    answer = await api.get(f"{V1}/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "degraded")
    assert answer.json()["invoker"] == {
        "available": False,
        "detail": "The invoker is not connected; `samovar status` says more",
    }
    shown = (await api.get(f"{V1}/status")).json()
    assert (shown["invoker"], shown["invoker_detail"]) == (
        None,
        "The invoker is not connected; `samovar status` says more",
    )
    environments = await api.get(f"{V1}/environments")
    assert (environments.status_code, environments.headers["retry-after"]) == (503, "1")


async def test_the_status_is_what_the_client_reads(api: httpx.AsyncClient, clock: ManualClock) -> None:
    await api.post("/2015-03-31/functions", json=creation())
    clock.advance(5)
    answer = await api.get(f"{V1}/status")
    read = msgspec.json.decode(answer.content, type=Status)
    assert read.invoker is not None
    assert [runtime.name for runtime in read.invoker.runtimes] == ["python3.11", "python3.12", "nodejs20.x"]
    assert (answer.json()["functions"], answer.json()["uptime_s"]) == (1, 5.0)
    assert answer.json()["store"]["detail"].startswith("version 8.")
    assert read.package_limits == PackageLimits(packed=50 * 2**20, unpacked=250 * 2**20)
    assert (await api.get(f"{V1}/environments")).json() == []


@pytest.fixture
async def stranded(tmp_path: Path, own_valkey: Valkey, link: RecordingLink) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway whose store has gone away, with one function cached."""
    settings = Settings(data_dir=str(tmp_path))
    client = connect(own_valkey.url)
    store = Store(client, settings.account, settings.region)
    async with Registry(store) as registry:
        services = services_of(settings, registry, link, ManualClock())
        transport = httpx.ASGITransport(create_control_app(services))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            assert (await http.post("/2015-03-31/functions", json=creation())).status_code == 201
            own_valkey.stop()
            yield http
    await client.aclose()


async def test_without_its_store_everything_says_so_and_recovers(
    stranded: httpx.AsyncClient, own_valkey: Valkey
) -> None:
    assert (await stranded.get(f"{V1}/health")).status_code == 503
    assert (await stranded.get(f"{V1}/status")).json()["functions"] is None
    for answer in (
        await stranded.get("/2015-03-31/functions"),
        await stranded.post("/2015-03-31/functions", json=creation("second")),
        await stranded.delete("/2015-03-31/functions/hello"),
        await stranded.get(f"{V1}/usage"),
    ):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.headers["x-amzn-errortype"] == "ServiceUnavailableException"
    own_valkey.start()
    async with asyncio.timeout(30):  # a busy store may be found a moment later
        while (answer := await stranded.get("/2015-03-31/functions")).status_code == 503:
            assert answer.headers["retry-after"] == "1"
    assert len(answer.json()["Functions"]) == 1


async def test_every_operation_is_described_whole(api: httpx.AsyncClient) -> None:
    document: dict[str, Any] = (await api.get(f"{V1}/openapi.json")).json()
    (scheme,) = document["components"]["securitySchemes"]
    assert document["security"] == [{scheme: []}]
    fault = {"$ref": "#/components/schemas/Fault"}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["description"], where
            assert operation["tags"], where
            assert all(parameter["description"] for parameter in operation.get("parameters", ())), where
            answers = operation["responses"]
            assert "422" not in answers, where
            for status in ("4XX", "5XX"):
                assert answers[status]["content"]["application/json"]["schema"] == fault, where
            assert ("security" in operation) == (path == f"{V1}/health"), where
    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_the_description_names_every_route_and_resolves(api: httpx.AsyncClient) -> None:
    document: dict[str, Any] = (await api.get(f"{V1}/openapi.json")).json()
    assert {path.removeprefix(V1) for path in document["paths"]} == {
        "/checks",
        "/health",
        "/status",
        "/environments",
        "/functions/{name}/logs",
        "/functions/{name}/provisioned",
        "/functions/{name}/routes",
        "/functions/{name}/uploads",
        "/stacks",
        "/stacks/{stack}",
        "/usage",
        "/functions/{name}/usage",
        "/functions/{name}/invocations",
        "/functions/{name}/events",
        "/functions/{name}/events/{event_id}",
        "/functions/{name}/events/replay",
        "/functions/{name}/events/redrive",
        "/functions/{name}/events/purge",
        "/invocations/{request_id}",
        "/invocations/{request_id}/why",
        "/code/{sha256}",
        "/schedules",
        "/schedules/{name}",
        "/schedules/{name}/state",
        "/schedules/{name}/run",
        "/keys",
        "/keys/{key_id}",
    }
    schemas = document["components"]["schemas"]
    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas
    assert schemas["Reading"]["properties"]["peak_mb"]["type"] == "integer"
    assert {"Type", "Message", "message"} <= set(schemas["Fault"]["properties"])


def references(node: Any) -> list[str]:
    """Every `$ref` in a document."""
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in references(value)]
    return [found for value in node for found in references(value)] if isinstance(node, list) else []


@pytest.mark.parametrize("digest", ["0" * 64, "..%2F..%2Fetc%2Fpasswd", "0"])
async def test_packages_that_are_not_there(api: httpx.AsyncClient, digest: str) -> None:
    assert (await api.get(f"{V1}/code/{digest}")).status_code == 404
