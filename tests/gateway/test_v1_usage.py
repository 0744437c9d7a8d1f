"""Usage and meter readings, as an invoker writes them."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from gateway.services import Services
from gateway.usage import Window
from samovar.answers import Usage
from samovar.clock import ManualClock
from samovar.errors import InvalidParameterValue
from samovar.explanation import Explanation, explain, explain_refusal
from samovar.invocation import ColdReason, Outcome, Preparation, Reading
from samovar.link.operations import RefusedCall
from samovar.usage import SECONDS, Rollup, reading_key, readings_key, rollup_key, span_start
from tests.gateway.builders import RecordingLink, creation

V1 = "/samovar/v1"
DAY = 86_400


def reading(number: int, started_s: float, name: str = "hello", **members: Any) -> Reading:
    given: dict[str, Any] = {
        "request_id": f"id-{name}-{number}",
        "arn": f"arn:aws:lambda:us-east-1:123456789012:function:{name}",
        "version": "$LATEST",
        "trigger": "invoke",
        "started_ms": int(started_s * 1000),
        "outcome": Outcome.OK,
        "duration_ms": 10.0,
        "billed_ms": 10,
        "memory_mb": 1024,
        "peak_mb": 30,
    }
    return Reading(**(given | members))


async def metered(services: Services, *readings: Reading) -> None:
    """Write readings as the invoker does."""
    redis: Any = services.redis
    for each in readings:
        started_s = each.started_ms / 1000
        async with redis.pipeline(transaction=True) as pipeline:
            for resolution in SECONDS:
                key = rollup_key(each.arn, resolution, span_start(started_s, resolution))
                for name, count in Rollup.of([each]).counters.items():
                    pipeline.hincrby(key, name, count)
            pipeline.set(reading_key(each.request_id), msgspec.json.encode(each), ex=3600)
            pipeline.zadd(readings_key(each.arn), {each.request_id: each.started_ms})
            await pipeline.execute()


@pytest.mark.component("valkey")
async def test_usage_adds_up_and_keeps_spans_apart(
    api: httpx.AsyncClient, services: Services, clock: ManualClock, link: RecordingLink
) -> None:
    await api.post("/2015-03-31/functions", json=creation())
    now = clock.epoch()
    await metered(
        services,
        reading(1, now - 7200, cold=ColdReason.FIRST_CALL, init_ms=90.0),
        reading(2, now - 60, outcome=Outcome.TIMEOUT, duration_ms=3000.0, billed_ms=3000),
        reading(3, now - 50),
        reading(4, now - 2 * DAY),
    )
    answer = await api.get(f"{V1}/functions/hello/usage")
    shown = answer.json()
    total = shown["total"]
    assert (total["invocations"], total["errors"], total["cold"]) == (3, 1, 1)
    assert total["outcomes"] == {"ok": 2, "timeout": 1}
    assert total["cold_reasons"] == {"first-call": 1}
    assert total["gb_seconds"] == pytest.approx(3.02)
    assert total["p50_ms"] == pytest.approx(10, rel=0.025)
    assert total["p99_ms"] == pytest.approx(3000, rel=0.025)
    assert (total["billed_ms"], total["init_ms"]) == (3020, 90.0)
    assert (shown["resolution"], shown["complete"]) == ("h", True)
    assert [span["invocations"] for span in shown["series"]] == [1, 2]
    assert shown["series"][0]["start"] == span_start(now - 7200, "h")
    assert link.of("flush") == [None]
    assert msgspec.json.decode(answer.content, type=Usage).total.invocations == 3


@pytest.mark.component("valkey")
async def test_all_functions_are_told_apart_and_deleted_ones_stay(
    api: httpx.AsyncClient, services: Services, clock: ManualClock
) -> None:
    for name in ("hello", "other", "idle"):
        await api.post("/2015-03-31/functions", json=creation(name))
    await metered(services, reading(1, clock.epoch()), reading(1, clock.epoch(), "other"))
    await api.delete("/2015-03-31/functions/other")
    shown = (await api.get(f"{V1}/usage", params={"since": clock.epoch() - 60})).json()
    assert {name: span["invocations"] for name, span in shown["functions"].items()} == {"hello": 1, "other": 1}
    assert (shown["total"]["invocations"], shown["resolution"]) == (2, "m")
    assert (await api.get(f"{V1}/functions/other/usage")).json()["total"]["invocations"] == 1
    assert (await api.get(f"{V1}/functions/idle/usage")).json()["total"]["invocations"] == 0
    assert (await api.get(f"{V1}/functions/never/usage")).status_code == 404


@pytest.mark.component("valkey")
async def test_an_invoker_that_is_away_makes_usage_incomplete(api: httpx.AsyncClient, link: RecordingLink) -> None:
    link.away = True
    assert (await api.get(f"{V1}/usage")).json()["complete"] is False


@pytest.mark.component("valkey")
async def test_single_readings_are_found_newest_first(
    api: httpx.AsyncClient, services: Services, clock: ManualClock
) -> None:
    await api.post("/2015-03-31/functions", json=creation())
    now = clock.epoch()
    readings = [reading(n, now - n) for n in range(5)]
    await metered(services, *readings)
    await services.redis.delete(reading_key("id-hello-1"))  # expired
    listed = await api.get(f"{V1}/functions/hello/invocations", params={"limit": 3, "since": now - 3600})
    assert msgspec.json.decode(listed.content, type=list[Reading]) == [readings[0], readings[2]]
    one = await api.get(f"{V1}/invocations/id-hello-4")
    assert msgspec.json.decode(one.content, type=Reading) == readings[4]
    unknown = await api.get(f"{V1}/invocations/none")
    assert (unknown.status_code, unknown.headers["x-amzn-errortype"]) == (404, "ResourceNotFoundException")


@pytest.mark.component("valkey")
async def test_a_call_is_explained_by_its_reading(
    api: httpx.AsyncClient, services: Services, clock: ManualClock
) -> None:
    preparation = Preparation(start_ms=30.0, idle_s=900.0, kept_s=600.0)
    cold = reading(1, clock.epoch(), cold=ColdReason.EXPIRED, queue_ms=90.0, init_ms=50.0, preparation=preparation)
    await metered(services, cold)
    told = await api.get(f"{V1}/invocations/id-hello-1/why")
    assert msgspec.json.decode(told.content, type=Explanation) == explain(cold)


@pytest.mark.component("valkey")
async def test_a_call_that_was_refused_is_explained_by_the_invoker(api: httpx.AsyncClient, link: RecordingLink) -> None:
    link.refused = RefusedCall(
        request_id="r9", arn="arn:aws:lambda:us-east-1:123456789012:function:hello", version="$LATEST",
        failure="TooManyRequests", reason="ReservedFunctionConcurrentInvocationLimitExceeded", message="Rate Exceeded.",
        retry_after_s=1.0, waited_ms=900.0,
    )  # fmt: skip
    told = await api.get(f"{V1}/invocations/r9/why")
    assert msgspec.json.decode(told.content, type=Explanation) == explain_refusal(link.refused)
    assert link.of("refused") == [{"request_id": "r9"}]
    link.away = True
    assert (await api.get(f"{V1}/invocations/r9/why")).status_code == 404


@pytest.mark.component("valkey")
async def test_why_of_an_unknown_call_says_what_may_have_become_of_it(
    api: httpx.AsyncClient, services: Services
) -> None:
    told = await api.get(f"{V1}/invocations/none/why")
    assert (told.status_code, told.headers["x-amzn-errortype"]) == (404, "ResourceNotFoundException")
    hours = services.settings.reading_retention_h
    assert (
        f"No invocation none is known: no call of this id has ended, or it ended more than {hours} hours ago"
        in (told.json()["message"])
    )


@pytest.mark.component("valkey")
@pytest.mark.parametrize("query", [{"since": "yesterday"}, {"since": "1e12"}, {"since": "20", "until": "10"}])
async def test_moments_that_are_none_are_refused(api: httpx.AsyncClient, query: dict[str, str]) -> None:
    assert (await api.get(f"{V1}/usage", params=query)).status_code == 400


@pytest.mark.component("valkey")
async def test_moments_may_be_dates(api: httpx.AsyncClient) -> None:
    dates = {"since": "2023-11-14T20:00:00Z", "until": "2023-11-14T23:00:00+01:00"}
    shown = (await api.get(f"{V1}/usage", params=dates)).json()
    assert (shown["since"], shown["until"]) == (1_699_992_000, 1_699_999_201)


NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("since", "until", "resolution"),
    [
        (NOW - 3600, NOW, "m"),
        (NOW - DAY, NOW, "h"),
        (NOW - 30 * DAY, NOW, "d"),
        (NOW - 10 * DAY, NOW - 10 * DAY + 3600, "h"),
        (NOW - 200 * DAY, NOW - 200 * DAY + 3600, "d"),
    ],
    ids=["hour", "day", "month", "an hour whose minutes are gone", "an hour of which the day is kept"],
)
def test_the_finest_resolution_that_is_still_kept_is_taken(since: float, until: float, resolution: str) -> None:
    window = Window.over(since, until, NOW)
    assert window.resolution == resolution
    assert window.since <= since <= until < window.until


def test_a_window_is_bounded() -> None:
    assert len(Window.over(0, 1e10, NOW).starts()) < 2000
    with pytest.raises(InvalidParameterValue):
        Window.over(NOW, NOW - 1, NOW)
