"""Layers in a gateway: what the sweep keeps of them, and what a function is left with."""

from __future__ import annotations

import base64
import os
from typing import Any

import httpx
import pytest

from gateway.services import Services
from gateway.tasks.sweeps import sweep_code
from tests.gateway.builders import creation, zip_of

pytestmark = pytest.mark.component("valkey")
LAYERS = "/2018-10-31/layers"


async def publish(api: httpx.AsyncClient, name: str) -> str:
    package = base64.b64encode(zip_of({f"{name}.txt": name.encode()})).decode()
    answer = await api.post(f"{LAYERS}/{name}/versions", json={"Content": {"ZipFile": package}})
    assert answer.status_code == 201
    arn: str = answer.json()["LayerVersionArn"]
    return arn


def grow_old(services: Services) -> None:
    for path in services.artifacts.code_dir.iterdir():
        if path.is_file():
            os.utime(path, (0, 0))


def folders(services: Services) -> set[str]:
    return {path.name for path in services.artifacts.code_dir.iterdir() if path.is_dir()}


async def test_the_sweep_keeps_what_a_function_mounts_and_what_can_be_given_to_one(
    api: httpx.AsyncClient, services: Services
) -> None:
    arns = [await publish(api, name) for name in ("one", "two")]
    await publish(api, "spare")
    made: dict[str, Any] = (await api.post("/2015-03-31/functions", json=creation(Layers=arns))).json()
    assert [layer["Arn"] for layer in made["Layers"]] == arns
    record = await services.registry.fresh(made["FunctionArn"])
    grow_old(services)
    assert await sweep_code(services.store, services.artifacts) == []

    assert (await api.delete(f"{LAYERS}/one/versions/1")).status_code == 204
    grow_old(services)
    [swept] = await sweep_code(services.store, services.artifacts)
    assert swept == record.layers[0].code_sha256
    mounted = services.artifacts.folder(record.version.layers_sha256)
    assert sorted(path.name for path in mounted.iterdir()) == ["one.txt", "two.txt"]

    await api.delete("/2015-03-31/functions/hello")
    grow_old(services)
    assert record.version.layers_sha256 in await sweep_code(services.store, services.artifacts)
    assert len(folders(services)) == 2, "layers that can still be given to a function"


async def test_a_version_keeps_the_layers_it_was_published_with(api: httpx.AsyncClient, services: Services) -> None:
    arns = [await publish(api, name) for name in ("one", "two")]
    await api.post("/2015-03-31/functions", json=creation(Layers=arns))
    version = (await api.post("/2015-03-31/functions/hello/versions", json={})).json()
    assert [layer["Arn"] for layer in version["Layers"]] == arns
    await api.put("/2015-03-31/functions/hello/configuration", json={"Layers": []})
    grow_old(services)
    assert await sweep_code(services.store, services.artifacts) == []
    shown = (await api.get("/2015-03-31/functions/hello/configuration?Qualifier=1")).json()
    assert [layer["Arn"] for layer in shown["Layers"]] == arns
