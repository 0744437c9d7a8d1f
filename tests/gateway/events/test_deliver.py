"""Where messages go: each kind of ARN by its own way, and what is none is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from gateway.events.deliver import Deliver
from gateway.events.event import EventHead, NewEvent
from gateway.events.targets import bucket_of, url_of
from gateway.queues.message import Attribute, Outgoing
from samovar.errors import InvalidParameterValue

HEAD = EventHead("r-1", "arn:aws:lambda:us-east-1:123456789012:function:orders", None, "", 1_700_000_000_000, "trace")


class Tools:
    """Notes what is sent, put and handed in."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.queues = SimpleNamespace(send=self._note)
        self.objects = SimpleNamespace(put=self._note)
        self.intake = SimpleNamespace(accept=self._note)
        self.registry = SimpleNamespace(get=self._known)

    async def _note(self, *arguments: Any) -> None:
        self.told.append(arguments)

    async def _known(self, *arguments: Any) -> None:
        """Every function exists."""


async def delivered(target: str, **more: Any) -> tuple[Any, ...]:
    tools = Tools()
    await Deliver(cast(Any, tools)).deliver(msgspec.structs.replace(HEAD, target=target, **more), b'{"a":1}')
    (told,) = tools.told
    return told


async def test_a_queue_gets_a_message_with_its_attributes() -> None:
    attributes = {"RequestID": {"DataType": "String", "StringValue": "r-1"}}
    arn, message = await delivered("arn:aws:sqs:us-east-1:123456789012:dead", attributes=attributes)
    assert arn == "arn:aws:sqs:us-east-1:123456789012:dead"
    assert message == Outgoing(body='{"a":1}', attributes={"RequestID": Attribute("String", "r-1")}, trace="trace")


async def test_a_fifo_queue_gets_them_in_the_order_of_their_function_and_once() -> None:
    _, message = await delivered("arn:aws:sqs:us-east-1:123456789012:dead.fifo")
    assert (message.group, message.deduplication_id) == ("orders", "r-1")


async def test_a_bucket_gets_an_object_at_the_key_lambda_gives_it() -> None:
    bucket, key, body = await delivered("arn:aws:s3:::failed-events")
    assert (bucket, body) == ("failed-events", b'{"a":1}')
    assert key.startswith("aws/lambda/async/orders/2023/11/14/2023-11-14T22.13.20-")


async def test_a_function_gets_an_event_that_carries_the_trace_on() -> None:
    (event,) = await delivered("arn:aws:lambda:us-east-1:123456789012:function:next:live")
    assert isinstance(event, NewEvent)
    assert (event.arn.rpartition(":")[2], event.qualifier, event.source) == ("next", "live", "aws:lambda")
    assert (event.trace_id, event.payload) == ("trace", b'{"a":1}')
    assert event.request_id != "r-1"


@pytest.mark.parametrize(
    "target", ["arn:aws:sns:us-east-1:123456789012:t", "", "https://box.example.com/", "arn:aws:s3"]
)
async def test_what_is_no_destination_is_told(target: str) -> None:
    with pytest.raises(InvalidParameterValue, match="none that Samovar can reach"):
        await delivered(target)


def test_endpoints_and_buckets_are_read_from_their_arns() -> None:
    assert url_of("arn:aws:https:::box.example.com:8443/hook?a=b:c") == "https://box.example.com:8443/hook?a=b:c"
    for wrong in ("arn:aws:http:::", "arn:aws:http:::box:port/", "arn:aws:http:::box/a b"):
        with pytest.raises(InvalidParameterValue, match="is no URL"):
            url_of(wrong)
    assert bucket_of("arn:aws:s3:::a-bucket.x") == "a-bucket.x"
    with pytest.raises(InvalidParameterValue, match="no bucket name"):
        bucket_of("arn:aws:s3:::A_Bucket")
