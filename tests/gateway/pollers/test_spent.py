"""What a mapping's destination is told of records that are given up, on a real store."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis.asyncio

from gateway.events import keys
from gateway.events.event import decode_head
from gateway.events.intake import Intake
from gateway.functions.store import connect
from gateway.mappings.mapping import Config, Mapping
from gateway.pollers.spent import GivenUp, Spent
from samovar.clock import SystemClock
from samovar.errors import ServiceUnavailable

QUEUE = "arn:aws:sqs:us-east-1:123456789012:given-up"
ENTRY = GivenUp("1-0", {"eventID": "1-0", "data": {"n": "1"}}, 3, "RetryAttemptsExhausted")


def mapping(destination: str | None) -> Mapping:
    return Mapping(
        uuid="uuid",
        revision_id="1",
        account="123456789012",
        region="us-east-1",
        function_arn="arn:aws:lambda:us-east-1:123456789012:function:clicks:live",
        state="Enabled",
        enabled=True,
        modified=0.0,
        config=Config(
            event_source_arn="arn:aws:redis:us-east-1:123456789012:stream/clicks",
            destination_config=None if destination is None else {"OnFailure": {"Destination": destination}},
        ),
    )


async def messages(client: Any) -> list[tuple[str, Any]]:
    """Targets and bodies on the line of deliveries."""
    found = await client.xrange(keys.line(keys.DELIVERIES))
    return [(decode_head(fields[b"h"]).target, json.loads(fields[b"p"])) for _, fields in found]


async def test_the_destination_is_told_once_with_the_record_in_it(client: redis.asyncio.Redis) -> None:
    spent = Spent(Intake(client, lambda lines: None, 1024), mapping(QUEUE), SystemClock())
    await spent.tell([ENTRY])
    await spent.tell([ENTRY])  # by another poller, or by one that died before it settled the entry
    [(target, told)] = await messages(client)
    assert target == QUEUE
    assert told["payload"] == {"Records": [ENTRY.record]}
    context = told["requestContext"]
    assert context["functionArn"].endswith(":function:clicks:live")
    assert (context["condition"], context["approximateInvokeCount"]) == ("RetryAttemptsExhausted", 3)
    assert told["responseContext"]["functionError"] == "Unhandled"


async def test_without_a_destination_it_is_said_in_the_log(
    client: redis.asyncio.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    await Spent(Intake(client, lambda lines: None, 1024), mapping(None), SystemClock()).tell([ENTRY])
    assert await messages(client) == []
    assert "stream/clicks: 1-0 (RetryAttemptsExhausted)" in caplog.text


async def test_nobody_is_told_while_the_store_is_away() -> None:
    async with connect("unix:///nowhere.sock") as away:
        spent = Spent(Intake(away, lambda lines: None, 1024), mapping(QUEUE), SystemClock())
        with pytest.raises(ServiceUnavailable):
            await spent.tell([ENTRY])
