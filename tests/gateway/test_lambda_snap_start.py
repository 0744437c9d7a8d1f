"""SnapStart: who may have it, and what is told of `$LATEST` and of versions."""

from __future__ import annotations

import httpx
import pytest

from tests.gateway.test_lambda_functions import PATH, created, fault

ONE = f"{PATH}/hello"
pytestmark = pytest.mark.component("valkey")
OFF = {"ApplyOn": "None", "OptimizationStatus": "Off"}
CHOSEN = {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
OPTIMISED = {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}


async def snap_start(api: httpx.AsyncClient, qualifier: str = "$LATEST") -> dict[str, str]:
    answered = await api.get(f"{ONE}/configuration", params={"Qualifier": qualifier})
    shown: dict[str, str] = answered.json()["SnapStart"]
    return shown


async def test_versions_are_optimised_and_latest_is_not(api: httpx.AsyncClient) -> None:
    made = await created(api, Runtime="python3.12", SnapStart={"ApplyOn": "PublishedVersions"})
    assert made["SnapStart"] == CHOSEN
    published = (await api.post(f"{ONE}/versions", json={})).json()
    assert (published["Version"], published["SnapStart"]) == ("1", OPTIMISED)
    assert (await snap_start(api), await snap_start(api, "1")) == (CHOSEN, OPTIMISED)


async def test_a_version_keeps_what_was_chosen_when_it_was_published(api: httpx.AsyncClient) -> None:
    await created(api, Runtime="python3.12")
    await api.post(f"{ONE}/versions", json={})
    answered = await api.put(f"{ONE}/configuration", json={"SnapStart": {"ApplyOn": "PublishedVersions"}})
    assert (answered.status_code, answered.json()["SnapStart"]) == (200, CHOSEN)
    second = (await api.post(f"{ONE}/versions", json={})).json()
    assert (second["Version"], second["SnapStart"]) == ("2", OPTIMISED)
    assert (await api.put(f"{ONE}/configuration", json={"Timeout": 9})).json()["SnapStart"] == CHOSEN
    await api.put(f"{ONE}/configuration", json={"SnapStart": {"ApplyOn": "None"}})
    assert [await snap_start(api, one) for one in ("$LATEST", "1", "2")] == [OFF, OFF, OPTIMISED]


@pytest.mark.parametrize("runtime", ["python3.11", "python3.12"])
async def test_a_runtime_for_which_aws_does_not_take_it_is_refused(api: httpx.AsyncClient, runtime: str) -> None:
    await created(api, Runtime=runtime)
    wanted: dict[str, object] = {"SnapStart": {"ApplyOn": "PublishedVersions"}}
    answered = await api.put(f"{ONE}/configuration", json=wanted)
    if runtime == "python3.12":
        assert answered.status_code == 200
        answered = await api.put(f"{ONE}/configuration", json={"Runtime": "python3.11"})
    said = "python3.11 is not supported for SnapStart enabled functions."
    assert fault(answered) == (400, "InvalidParameterValueException", said)


async def test_a_value_that_there_is_not(api: httpx.AsyncClient) -> None:
    await created(api)
    answered = await api.put(f"{ONE}/configuration", json={"SnapStart": {"ApplyOn": "invalidOption"}})
    said = (
        "1 validation error detected: Value 'invalidOption' at 'snapStart.applyOn' failed to satisfy constraint: "
        "Member must satisfy enum value set: [PublishedVersions, None]"
    )
    assert fault(answered) == (400, "ValidationException", said)
