"""Functions that work on queues and streams: a whole platform, real clients, and parts that are killed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import boto3  # type: ignore[import-untyped] # it has no types
import pytest
import redis

from samovar.settings import Settings
from tests.end_to_end.lab import Function, Lab, laboratory, lambda_client
from tests.end_to_end.platform_box import until
from tests.end_to_end.test_chaos import kill
from tests.platform import ROOT
from tests.signing import key_for

pytestmark = pytest.mark.component("bubblewrap", "valkey", "celery", "boto3")
TELLS_WHAT_IT_GETS = """
    import time

    def handler(event, context):
        for record in event["Records"]:
            print("got", record["body"], flush=True)
            time.sleep(0.002)
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with laboratory("sandbox") as lab:
        yield lab


@pytest.fixture(scope="module")
def sqs(lab: Lab) -> Any:
    key = key_for(lab.endpoint)
    return boto3.client(
        "sqs",
        endpoint_url=lab.endpoint,
        region_name="us-east-1",
        aws_access_key_id=key.key_id,
        aws_secret_access_key=key.secret,
    )


@pytest.fixture(scope="module")
def aws(lab: Lab) -> Any:
    return lambda_client(lab.endpoint)


def made(sqs: Any, name: str, **attributes: str) -> tuple[str, str]:
    """A queue's URL and ARN."""
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return url, found["Attributes"]["QueueArn"]


def count(sqs: Any, url: str) -> int:
    """Messages in a queue, in whatever state."""
    kinds = ("", "NotVisible", "Delayed")
    names = [f"ApproximateNumberOfMessages{kind}" for kind in kinds]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


def lines(function: Function) -> list[str]:
    """What a function has printed."""
    return [one.text for one in function.lab.client.logs(function.name)]


def shown(aws: Any, uuid: str) -> Callable[[], dict[str, Any]]:
    def now() -> dict[str, Any]:
        found: dict[str, Any] = aws.get_event_source_mapping(UUID=uuid)
        return found

    return now


def test_the_order_worker_takes_orders_and_its_poison_ends_in_a_queue_of_its_own(lab: Lab, sqs: Any) -> None:
    failed_url, failed = made(sqs, "orders-failed")
    redrive = json.dumps({"deadLetterTargetArn": failed, "maxReceiveCount": "3"})
    url, _ = made(sqs, "orders", VisibilityTimeout="3", RedrivePolicy=redrive)
    lab.platform.cli("deploy", ROOT / "functions" / "order-worker")
    again = json.loads(lab.platform.cli("deploy", ROOT / "functions" / "order-worker", "--json").stdout)
    assert again["changed"] == []

    def order(name: str, quantity: int) -> str:
        taken = [{"sku": "tea", "quantity": quantity, "price": "2.50"}]
        return json.dumps({"type": "order", "order": name, "lines": taken})

    bodies = [*(order(f"o-{number}", 2) for number in range(20)), order("o-poison", 0), '{"type": "newsletter"}']
    for body in bodies:
        sqs.send_message(QueueUrl=url, MessageBody=body)
    until(lambda: count(sqs, url) == 0, "every message is done with or moved")
    assert count(sqs, failed_url) == 1
    printed = [one.text for one in lab.client.logs("order-worker")]
    for number in range(20):
        assert sum(f"order o-{number}: 5.00 in 1 lines" in line for line in printed) == 1
    assert sum("0 of tea cannot be sold" in line for line in printed) == 3
    assert not any("newsletter" in line for line in printed)

    # Mended: what failed is moved back, and goes through.
    source = (ROOT / "functions" / "order-worker" / "app.py").read_text()
    mended = source.replace('["quantity"] < 1', '["quantity"] < 0')
    assert mended != source
    Function(lab, "order-worker").update(mended)
    sqs.start_message_move_task(SourceArn=failed)
    until(lambda: count(sqs, failed_url) == count(sqs, url) == 0, "what failed has gone through")
    assert any("order o-poison: 0.00" in one.text for one in lab.client.logs("order-worker"))


def test_every_call_of_a_mapping_is_metered_as_one_of_a_queue(lab: Lab, sqs: Any, aws: Any) -> None:
    function = lab.deploy(TELLS_WHAT_IT_GETS)
    url, arn = made(sqs, "metered")
    for number in range(5):
        sqs.send_message(QueueUrl=url, MessageBody=f"m-{number}")
    made_mapping = aws.create_event_source_mapping(FunctionName=function.name, EventSourceArn=arn, BatchSize=1)
    until(lambda: count(sqs, url) == 0, "all messages are worked off")
    readings = function.readings()
    assert [reading.trigger for reading in readings] == ["queue"] * 5
    assert "LastProcessingResult" not in aws.get_event_source_mapping(UUID=made_mapping["UUID"])


def test_a_mapping_is_switched_off_and_on_and_deleted_while_it_runs(lab: Lab, sqs: Any, aws: Any) -> None:
    function = lab.deploy(TELLS_WHAT_IT_GETS)
    url, arn = made(sqs, "switched")
    now = shown(aws, aws.create_event_source_mapping(FunctionName=function.name, EventSourceArn=arn)["UUID"])
    uuid = now()["UUID"]
    sqs.send_message(QueueUrl=url, MessageBody="first")
    until(lambda: count(sqs, url) == 0, "the first message is worked off")
    assert aws.update_event_source_mapping(UUID=uuid, Enabled=False)["State"] == "Disabling"
    until(lambda: now()["State"] == "Disabled", "nobody polls any more")
    sqs.send_message(QueueUrl=url, MessageBody="second")
    assert aws.update_event_source_mapping(UUID=uuid, Enabled=True)["State"] == "Enabling"
    until(lambda: count(sqs, url) == 0, "the second message is worked off")
    assert now()["State"] == "Enabled"
    aws.delete_event_source_mapping(UUID=uuid)
    until(lambda: aws.list_event_source_mappings(EventSourceArn=arn)["EventSourceMappings"] == [], "it is gone")
    sqs.send_message(QueueUrl=url, MessageBody="third")
    assert [line for line in lines(function) if line.startswith("got")] == ["got first", "got second"]


def test_messages_stay_where_they_are_for_a_function_that_may_not_run(lab: Lab, sqs: Any, aws: Any) -> None:
    function = lab.deploy(TELLS_WHAT_IT_GETS)
    aws.put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=0)
    url, arn = made(sqs, "held")
    now = shown(aws, aws.create_event_source_mapping(FunctionName=function.name, EventSourceArn=arn)["UUID"])
    sqs.send_message(QueueUrl=url, MessageBody="patience")
    until(lambda: "concurrency is 0" in now().get("LastProcessingResult", ""), "the reason is to be seen")
    wanted = ["ApproximateReceiveCount"]
    found = sqs.receive_message(QueueUrl=url, VisibilityTimeout=0, MessageSystemAttributeNames=wanted)
    assert found["Messages"][0]["Attributes"] == {"ApproximateReceiveCount": "1"}
    aws.delete_function_concurrency(FunctionName=function.name)
    until(lambda: count(sqs, url) == 0, "it runs after all")


def test_groups_stay_in_order_and_nothing_is_lost_when_worker_and_invoker_are_killed(
    lab: Lab, sqs: Any, aws: Any
) -> None:
    function = lab.deploy(TELLS_WHAT_IT_GETS, Timeout=3)
    url, arn = made(sqs, "ledger.fifo", FifoQueue="true", ContentBasedDeduplication="true", VisibilityTimeout="3")
    stream = "arn:aws:redis:us-east-1:123456789012:stream/clicks"
    clicks = lab.deploy(TELLS_WHAT_IT_GETS.replace('record["body"]', 'record["data"]["n"]'))
    for number in range(100):
        entries = [
            {"Id": group, "MessageBody": f"{group}{number}", "MessageGroupId": group} for group in ("a", "b", "c")
        ]
        assert "Failed" not in sqs.send_message_batch(QueueUrl=url, Entries=entries)
    aws.create_event_source_mapping(FunctionName=function.name, EventSourceArn=arn)
    aws.create_event_source_mapping(FunctionName=clicks.name, EventSourceArn=stream)
    with redis.Redis.from_url(Settings(data_dir=str(lab.platform.data_dir)).store_url) as store:
        for number in range(300):
            store.xadd("clicks", {"n": number})

        def unsettled() -> int:
            group = store.xinfo_groups("clicks")[0]
            return int(group["pending"]) + int(group["lag"])

        until(lambda: lines(function), "it has begun")
        kill(lab, "invoker")
        kill(lab, "worker")
        until(lambda: count(sqs, url) == 0, "all messages are worked off")
        until(lambda: unsettled() == 0, "all entries are worked off")
    first: dict[str, list[int]] = defaultdict(list)
    for line in lines(function):
        word, _, body = line.partition(" ")
        if word == "got" and int(body[1:]) not in first[body[0]]:
            first[body[0]].append(int(body[1:]))
    assert dict(first) == {group: list(range(100)) for group in "abc"}
    assert {int(line.split()[1]) for line in lines(clicks) if line.startswith("got")} == set(range(300))
