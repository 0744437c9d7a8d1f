"""Events are stored before anybody is told so, many by one command, and somebody is asked to run them once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from gateway.events import keys
from gateway.events.event import EventHead, NewEvent, decode_head
from gateway.events.intake import MAX_WAITING_BYTES, Intake
from gateway.functions.store import connect
from samovar.errors import RequestTooLarge, ServiceUnavailable, TooManyRequests
from tests.gateway.functions import gateway
from tests.valkey import Valkey

ARN = "arn:aws:lambda:us-east-1:123456789012:function:orders"
INVOKE = "/2015-03-31/functions/orders/invocations"
EVENT = {"x-amz-invocation-type": "Event"}


def event(number: int, once: str = "", payload: bytes = b"{}") -> NewEvent:
    return NewEvent(arn=ARN, payload=payload, request_id=f"r-{number}", once=once, source="aws:s3")


async def stored(client: Any, line: str = ARN) -> list[tuple[EventHead, bytes]]:
    return [(decode_head(fields[b"h"]), fields[b"p"]) for _, fields in await client.xrange(keys.line(line))]


class Bell:
    """Notes who is asked for."""

    def __init__(self) -> None:
        self.rung: list[str] = []

    def ring(self, lines: Iterable[str]) -> None:
        self.rung += lines


async def test_events_of_one_turn_are_one_command_and_one_ring(client: redis.asyncio.Redis) -> None:
    bell = Bell()
    intake = Intake(client, bell.ring, 1024)
    before = (await client.info("commandstats")).get("cmdstat_evalsha", {"calls": 0})["calls"]
    await intake.accept(event(0))
    await asyncio.gather(*(intake.accept(event(number)) for number in range(1, 200)))
    assert [head.id for head, _ in await stored(client)] == [f"r-{number}" for number in range(200)]
    assert (await client.info("commandstats"))["cmdstat_evalsha"]["calls"] - before <= 3
    assert bell.rung == [ARN]
    assert await client.smembers(keys.LINES) == {ARN.encode()}


async def test_an_event_with_a_name_of_its_own_is_taken_once(client: redis.asyncio.Redis) -> None:
    intake = Intake(client, Bell().ring, 1024)
    for number in range(3):
        await intake.accept(event(number, once="tick-1"))
    await intake.accept(event(3, once="tick-2"))
    assert [head.id for head, _ in await stored(client)] == ["r-0", "r-3"]


async def test_what_an_event_is_made_of(client: redis.asyncio.Redis) -> None:
    intake = Intake(client, Bell().ring, 1024)
    await intake.accept(
        NewEvent(arn=ARN, qualifier="live", payload=b'{"a":1}', request_id="r", source="aws:s3", trace_id="t")
    )
    ((head, payload),) = await stored(client)
    assert (head.arn, head.qualifier, head.id, head.trace_id) == (ARN, "live", "r", "t")
    assert (payload, head.trigger, head.runs, head.attempts) == (b'{"a":1}', "upload", 0, 0)


async def test_nobody_is_told_that_an_event_is_stored_while_the_store_is_away(own_valkey: Valkey) -> None:
    client = connect(own_valkey.url)
    intake = Intake(client, Bell().ring, 1024)
    await intake.accept(event(0))
    own_valkey.stop()
    with pytest.raises(ServiceUnavailable):
        await intake.accept(event(1))
    own_valkey.start()
    await intake.accept(event(2))
    assert {"r-0", "r-2"} <= {head.id for head, _ in await stored(client)}
    await client.aclose()


async def test_what_waits_for_the_store_is_bounded(client: redis.asyncio.Redis) -> None:
    intake = Intake(client, Bell().ring, MAX_WAITING_BYTES)
    told: list[object] = []
    half = b" " * (MAX_WAITING_BYTES // 2)
    intake.begin(event(0, payload=half), told.append)
    with pytest.raises(TooManyRequests):
        intake.begin(event(1, payload=half), told.append)
    await intake.close()
    assert told == [None]
    with pytest.raises(RequestTooLarge):
        intake.check(b" " * (MAX_WAITING_BYTES + 1))


@pytest.mark.parametrize("warm", [True, False])
async def test_an_asynchronous_call_is_answered_when_it_is_stored(
    tmp_path: Path, client: redis.asyncio.Redis, valkey: Valkey, warm: bool
) -> None:
    async with gateway(tmp_path, store=valkey.url, warm=warm) as served:
        response = await served.client.post(INVOKE, headers=EVENT, content=b'{"a": 1}')
    assert (response.status_code, response.content) == (202, b"")
    assert "x-amz-executed-version" not in response.headers
    ((head, payload),) = await stored(client)
    assert (head.id, payload) == (response.headers["x-amzn-requestid"], b'{"a": 1}')
    assert served.invoker.calls == []


@pytest.mark.parametrize(
    ("path", "content", "status", "error"),
    [
        ("/2015-03-31/functions/nobody/invocations", b"{}", 404, "ResourceNotFoundException"),
        (f"{INVOKE}?Qualifier=nothing", b"{}", 404, "ResourceNotFoundException"),
        (INVOKE, b"{", 400, "InvalidRequestContentException"),
        (INVOKE, b'"' + b"a" * 2000 + b'"', 413, "RequestTooLargeException"),
    ],
)
async def test_what_cannot_be_run_is_refused_before_it_is_stored(
    tmp_path: Path,
    client: redis.asyncio.Redis,
    valkey: Valkey,
    path: str,
    content: bytes,
    status: int,
    error: str,
) -> None:
    async with gateway(tmp_path, store=valkey.url, max_event_bytes=1500) as served:
        response = await served.client.post(path, headers=EVENT, content=content)
    assert (response.status_code, response.headers["x-amzn-errortype"]) == (status, error)
    assert await stored(client) == []


async def test_an_event_that_cannot_be_stored_is_not_accepted(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        response = await served.client.post(INVOKE, headers=EVENT, content=b"{}")
    assert response.status_code == 503
    assert response.headers["retry-after"]
