"""boto3's SQS client: what SQS's users lean on, in SQS's own words."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any

import boto3  # type: ignore[import-untyped]  # it ships no types
import pytest
from botocore.config import Config  # type: ignore[import-untyped]  # it ships no types
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types

from tests.compatibility.aws import refusal, without_metadata
from tests.signing import key_for

ARN = "arn:aws:sqs:us-east-1:123456789012:"
NO_QUEUE = ("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")


def client_of(endpoint: str, region: str = "us-east-1", tries: int = 1) -> Any:
    """boto3's client."""
    key = key_for(endpoint)
    return boto3.client(
        "sqs",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=key.key_id,
        aws_secret_access_key=key.secret,
        config=Config(retries={"total_max_attempts": tries}, read_timeout=60),
    )


@pytest.fixture
def sqs(endpoint: str) -> Iterator[Any]:
    """boto3's client, in whose region there are no queues before and after."""
    client = client_of(endpoint)
    yield client
    for url in client.list_queues().get("QueueUrls", []):
        client.delete_queue(QueueUrl=url)
    client.close()


@pytest.fixture
def url(sqs: Any) -> str:
    """The URL of a standard queue."""
    return str(sqs.create_queue(QueueName="orders")["QueueUrl"])


@pytest.fixture
def fifo(sqs: Any) -> str:
    """The URL of a FIFO queue."""
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    return str(sqs.create_queue(QueueName="ledger.fifo", Attributes=attributes)["QueueUrl"])


def attributes_of(sqs: Any, url: str, *names: str) -> dict[str, str]:
    found: dict[str, str] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names or ["All"])["Attributes"]
    return found


def received(sqs: Any, url: str, **members: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sqs.receive_message(QueueUrl=url, **members).get("Messages", [])
    return found


def test_a_queue_is_made_found_and_deleted(sqs: Any, endpoint: str) -> None:
    url = sqs.create_queue(QueueName="tea", Attributes={"DelaySeconds": "3"}, tags={"team": "kitchen"})["QueueUrl"]
    assert url == f"{endpoint}/123456789012/tea"
    assert sqs.create_queue(QueueName="tea", Attributes={"DelaySeconds": "3"})["QueueUrl"] == url
    assert sqs.create_queue(QueueName="tea")["QueueUrl"] == url
    assert sqs.get_queue_url(QueueName="tea")["QueueUrl"] == url
    with pytest.raises(sqs.exceptions.QueueNameExists) as error:
        sqs.create_queue(QueueName="tea", Attributes={"DelaySeconds": "4"})
    assert refusal(error) == (
        "QueueAlreadyExists",
        "A queue already exists with the same name and a different value for attribute DelaySeconds",
    )
    assert attributes_of(sqs, url).keys() == {
        *("QueueArn", "CreatedTimestamp", "LastModifiedTimestamp", "DelaySeconds", "VisibilityTimeout"),
        *("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"),
        *("ApproximateNumberOfMessagesDelayed", "MaximumMessageSize", "MessageRetentionPeriod"),
        *("ReceiveMessageWaitTimeSeconds", "SqsManagedSseEnabled"),
    }
    assert attributes_of(sqs, url, "QueueArn", "DelaySeconds") == {"QueueArn": f"{ARN}tea", "DelaySeconds": "3"}
    assert without_metadata(sqs.get_queue_attributes(QueueUrl=url)) == {}
    sqs.delete_queue(QueueUrl=url)
    others = f"{endpoint}/999999999999/tea"
    for operation, members in (
        ("get_queue_url", {"QueueName": "tea"}),
        ("delete_queue", {"QueueUrl": url}),
        ("send_message", {"QueueUrl": url, "MessageBody": "to nobody"}),
        ("get_queue_attributes", {"QueueUrl": others}),
    ):
        with pytest.raises(sqs.exceptions.QueueDoesNotExist) as error:
            getattr(sqs, operation)(**members)
        assert refusal(error) == NO_QUEUE
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert error.value.response["Error"]["QueryErrorCode"] == "QueueDoesNotExist"


def test_queues_are_listed_in_pages(sqs: Any) -> None:
    urls = [sqs.create_queue(QueueName=f"line-{number}")["QueueUrl"] for number in range(5)]
    sqs.create_queue(QueueName="other")
    assert sqs.list_queues(QueueNamePrefix="line-")["QueueUrls"] == urls
    pages = sqs.get_paginator("list_queues").paginate(QueueNamePrefix="line-", PaginationConfig={"PageSize": 2})
    assert [page["QueueUrls"] for page in pages] == [urls[:2], urls[2:4], urls[4:]]
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix="nothing")


def test_every_region_has_its_queues(sqs: Any, url: str, endpoint: str) -> None:
    elsewhere = client_of(endpoint, "eu-central-1")
    with pytest.raises(ClientError, match="does not exist"):
        elsewhere.get_queue_url(QueueName="orders")
    there = elsewhere.create_queue(QueueName="orders")["QueueUrl"]
    elsewhere.send_message(QueueUrl=there, MessageBody="there")
    assert received(sqs, url) == []
    elsewhere.delete_queue(QueueUrl=there)
    elsewhere.close()


def test_a_message_with_everything(sqs: Any, url: str) -> None:
    attributes = {
        "text": {"DataType": "String", "StringValue": "täglich"},
        "number": {"DataType": "Number.int", "StringValue": "-12.5e3"},
        "bytes": {"DataType": "Binary.png", "BinaryValue": b"\x00\xff\n"},
    }
    trace = "Root=1-3152b799-8954dae64eda91bc9a23a7e8;Parent=7fa8c0f79203be72;Sampled=1"
    sent = sqs.send_message(
        QueueUrl=url,
        MessageBody='{"tea": "чай"}\r\n',
        MessageAttributes=attributes,
        MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": trace}},
    )
    pieces = (b"AWSTraceHeader", b"String", trace.encode())
    name, kind, value = (len(piece).to_bytes(4, "big") + piece for piece in pieces)
    assert sent["MD5OfMessageSystemAttributes"] == hashlib.md5(name + kind + b"\x01" + value).hexdigest()
    [message] = received(
        sqs, url, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"], WaitTimeSeconds=5
    )
    assert message["Body"] == '{"tea": "чай"}\r\n'
    assert message["MessageAttributes"] == attributes
    assert message["MessageId"] == sent["MessageId"]
    shown = message["Attributes"]
    assert (shown["SenderId"], shown["ApproximateReceiveCount"], shown["AWSTraceHeader"]) == (
        "123456789012",
        "1",
        trace,
    )
    assert abs(int(shown["SentTimestamp"]) / 1000 - time.time()) < 60
    assert shown.keys() == {
        *("SenderId", "SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp", "AWSTraceHeader")
    }


def test_digests_of_attributes_are_those_of_sqs(sqs: Any, url: str) -> None:
    """The values are what SQS itself answered for these messages."""
    attributes = {
        "Help.Me": {"DataType": "String", "StringValue": "Me"},
        "Hello": {"DataType": "String", "StringValue": "There"},
        "General": {"DataType": "String", "StringValue": "Kenobi"},
    }
    sent = sqs.send_message(QueueUrl=url, MessageBody="msg", MessageAttributes=attributes)
    assert sent["MD5OfMessageAttributes"] == "4c360f3fdafd970e05fae2f149d997f5"
    for names, digest, found in (
        ([], None, set()),
        (["All"], "4c360f3fdafd970e05fae2f149d997f5", set(attributes)),
        ([".*"], "4c360f3fdafd970e05fae2f149d997f5", set(attributes)),
        (["Foo", "Help"], None, set()),
        (["Hello", "General"], "fca026605781cb4126a1e9044df24232", {"Hello", "General"}),
        (["Foo", "Hello"], "a311262e065454b75da111d535b8dacd", {"Hello"}),
        (["Hel.*"], None, {"Hello", "Help.Me"}),
    ):
        [message] = received(sqs, url, MessageAttributeNames=names, VisibilityTimeout=0, WaitTimeSeconds=5)
        assert set(message.get("MessageAttributes", {})) == found, names
        if digest is not None or not found:
            assert message.get("MD5OfMessageAttributes") == digest, names


def test_batches_fail_in_parts(sqs: Any, url: str) -> None:
    entries = [
        {"Id": "fine", "MessageBody": "a"},
        {"Id": "broken", "MessageBody": "\x01"},
        {"Id": "late", "MessageBody": "b", "DelaySeconds": 901},
        {"Id": "also-fine", "MessageBody": "c", "DelaySeconds": 900},
    ]
    answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert [one["Id"] for one in answer["Successful"]] == ["fine", "also-fine"]
    assert [(one["Id"], one["Code"], one["SenderFault"]) for one in answer["Failed"]] == [
        ("broken", "InvalidMessageContents", True),
        ("late", "InvalidParameterValue", True),
    ]
    assert attributes_of(sqs, url, "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed") == {
        "ApproximateNumberOfMessages": "1",
        "ApproximateNumberOfMessagesDelayed": "1",
    }
    [message] = received(sqs, url)
    answer = sqs.change_message_visibility_batch(
        QueueUrl=url,
        Entries=[
            {"Id": "1", "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 100},
            {"Id": "2", "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 50_000},
            {"Id": "3", "ReceiptHandle": "garbage", "VisibilityTimeout": 1},
        ],
    )
    assert answer["Successful"] == [{"Id": "1"}]
    assert [one["Code"] for one in answer["Failed"]] == ["InvalidParameterValue", "ReceiptHandleIsInvalid"]
    entries = [{"Id": "1", "ReceiptHandle": message["ReceiptHandle"]}, {"Id": "2", "ReceiptHandle": "garbage"}]
    answer = sqs.delete_message_batch(QueueUrl=url, Entries=entries)
    assert answer["Successful"] == [{"Id": "1"}]
    assert [one["Code"] for one in answer["Failed"]] == ["ReceiptHandleIsInvalid"]


def entries_of(*ids: str, body: str = "x") -> list[dict[str, str]]:
    return [{"Id": one, "MessageBody": body} for one in ids]


def test_batches_that_are_refused_whole(sqs: Any, url: str, fifo: str) -> None:
    prefix = "AWS.SimpleQueueService."
    letters = "A batch entry id can only contain alphanumeric characters, hyphens and underscores."
    letters += " It can be at most 80 letters long."
    for to, entries, expected in (
        (
            url,
            entries_of(*map(str, range(20))),
            (
                f"{prefix}TooManyEntriesInBatchRequest",
                "Maximum number of entries per request are 10. You have sent 20.",
            ),
        ),
        (url, entries_of("a", "a"), (f"{prefix}BatchEntryIdsNotDistinct", "Id a repeated.")),
        (url, entries_of("a b"), (f"{prefix}InvalidBatchEntryId", letters)),
        (
            url,
            [],
            (f"{prefix}EmptyBatchRequest", "There should be at least one SendMessageBatchRequestEntry in the request."),
        ),
        (
            url,
            entries_of("a", "b", body="x" * 524_288) + entries_of("c"),
            (
                f"{prefix}BatchRequestTooLong",
                "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.",
            ),
        ),
        (fifo, entries_of("a"), ("InvalidParameterValue", "The request must contain the parameter MessageGroupId.")),
    ):
        with pytest.raises(ClientError) as error:
            sqs.send_message_batch(QueueUrl=to, Entries=entries)
        assert refusal(error) == expected


def test_what_sqs_refuses_of_messages(sqs: Any, url: str, fifo: str) -> None:
    named = "MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length."
    for to, members, expected in (
        (url, {"MessageBody": ""}, ("MissingParameter", "The request must contain the parameter MessageBody.")),
        (
            url,
            {"MessageBody": "x" * 1_048_577},
            (
                "InvalidParameterValue",
                "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.",
            ),
        ),
        (
            url,
            {"MessageBody": "x", "MessageGroupId": "group 123"},
            ("InvalidParameterValue", f"Value group 123 for parameter MessageGroupId is invalid. Reason: {named}"),
        ),
        (
            url,
            {"MessageBody": "x", "MessageAttributes": {"ErrorDetails": {"DataType": "String", "StringValue": ""}}},
            (
                "InvalidParameterValue",
                "Message (user) attribute 'ErrorDetails' must contain a non-empty value of type 'String'.",
            ),
        ),
        (fifo, {"MessageBody": "x"}, ("MissingParameter", "The request must contain the parameter MessageGroupId.")),
        (
            fifo,
            {"MessageBody": "x", "MessageGroupId": "g", "DelaySeconds": 2},
            (
                "InvalidParameterValue",
                "Value 2 for parameter DelaySeconds is invalid. "
                "Reason: The request include parameter that is not valid for this queue type.",
            ),
        ),
    ):
        with pytest.raises(ClientError) as error:
            sqs.send_message(QueueUrl=to, **members)
        assert refusal(error) == expected


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("AMAZON.x", "String", "v"),
        ("aWs.x", "String", "v"),
        (".x", "String", "v"),
        ("x.", "String", "v"),
        ("x!", "String", "v"),
        ("L" * 257, "String", "v"),
        ("x", "Text", "v"),
        ("x", "Number." + "L" * 256, "1"),
        ("x", "Number", "one"),
        ("x", "String", "\x08"),
        ("x", "String", None),
    ],
)
def test_attributes_sqs_refuses(sqs: Any, url: str, name: str, kind: str, value: str | None) -> None:
    attribute = {"DataType": kind} | ({"StringValue": value} if value is not None else {})
    with pytest.raises(ClientError, match="Invalid"):
        sqs.send_message(QueueUrl=url, MessageBody="x", MessageAttributes={name: attribute})


def test_what_sqs_refuses_of_receives(sqs: Any, url: str) -> None:
    for members, expected in (
        (
            {"MaxNumberOfMessages": 11},
            "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.",
        ),
        (
            {"WaitTimeSeconds": 21},
            "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.",
        ),
        (
            {"WaitTimeSeconds": -1},
            "Value -1 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.",
        ),
    ):
        with pytest.raises(ClientError) as error:
            sqs.receive_message(QueueUrl=url, **members)
        assert refusal(error) == ("InvalidParameterValue", expected)
    with pytest.raises(ClientError) as error:
        sqs.delete_message(QueueUrl=url, ReceiptHandle="garbage")
    assert refusal(error) == (
        "ReceiptHandleIsInvalid",
        'The input receipt handle "garbage" is not a valid receipt handle.',
    )


def test_attributes_of_queues(sqs: Any, url: str, fifo: str) -> None:
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "0", "KmsMasterKeyId": "mine"})
    assert attributes_of(sqs, url, "VisibilityTimeout", "KmsMasterKeyId", "SqsManagedSseEnabled") == {
        "VisibilityTimeout": "0",
        "KmsMasterKeyId": "mine",
        "SqsManagedSseEnabled": "false",
    }
    assert attributes_of(sqs, fifo, "FifoQueue", "DeduplicationScope", "FifoThroughputLimit") == {
        "FifoQueue": "true",
        "DeduplicationScope": "queue",
        "FifoThroughputLimit": "perQueue",
    }
    for to, attributes, expected in (
        (url, {"FifoQueue": "true"}, ("InvalidAttributeName", "Unknown Attribute FifoQueue.")),
        (url, {"QueueArn": "x"}, ("InvalidAttributeName", "Unknown Attribute QueueArn.")),
        (
            url,
            {"DeduplicationScope": "queue"},
            ("InvalidAttributeName", "You can specify the DeduplicationScope only when FifoQueue is set to true."),
        ),
        (
            fifo,
            {"FifoQueue": "false"},
            (
                "InvalidAttributeValue",
                "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.",
            ),
        ),
        (url, {"DelaySeconds": "901"}, ("InvalidAttributeValue", "Invalid value for the parameter DelaySeconds.")),
        (url, {"Policy": "none"}, ("InvalidAttributeValue", "Invalid value for the parameter Policy.")),
    ):
        with pytest.raises(ClientError) as error:
            sqs.set_queue_attributes(QueueUrl=to, Attributes=attributes)
        assert refusal(error) == expected
    with pytest.raises(ClientError) as error:
        sqs.create_queue(QueueName="x.fifo")
    assert refusal(error)[0] == "InvalidParameterValue"


def test_tags_and_permissions(sqs: Any, url: str) -> None:
    assert "Tags" not in sqs.list_queue_tags(QueueUrl=url)
    sqs.tag_queue(QueueUrl=url, Tags={"a": "1", "b": "2", "c": ""})
    sqs.tag_queue(QueueUrl=url, Tags={"a": "3"})
    sqs.untag_queue(QueueUrl=url, TagKeys=["b", "none"])
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"a": "3", "c": ""}
    sqs.add_permission(QueueUrl=url, Label="others", AWSAccountIds=["111111111111"], Actions=["ReceiveMessage"])
    policy = json.loads(attributes_of(sqs, url, "Policy")["Policy"])
    assert policy["Version"] == "2008-10-17"
    assert policy["Statement"] == [
        {
            "Sid": "others",
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
            "Action": "SQS:ReceiveMessage",
            "Resource": f"{ARN}orders",
        }
    ]
    with pytest.raises(ClientError) as error:
        sqs.add_permission(QueueUrl=url, Label="others", AWSAccountIds=["111111111111"], Actions=["SendMessage"])
    expected = "Value others for parameter Label is invalid. Reason: Already exists."
    assert refusal(error) == ("InvalidParameterValue", expected)
    sqs.remove_permission(QueueUrl=url, Label="others")
    assert "Policy" not in attributes_of(sqs, url)


def test_dead_letters_and_their_way_back(sqs: Any, url: str) -> None:
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    dead_arn = f"{ARN}dead"
    for policy, why in (
        ({"deadLetterTargetArn": dead_arn}, "maxReceiveCount"),
        ({"maxReceiveCount": 3}, "deadLetterTargetArn"),
        ({"deadLetterTargetArn": dead_arn, "maxReceiveCount": "many"}, "valid values are from 1 to 1000"),
        ({"deadLetterTargetArn": f"{ARN}nowhere", "maxReceiveCount": 3}, "does not exist"),
        ({"deadLetterTargetArn": f"{ARN}ledger.fifo", "maxReceiveCount": 3}, "does not exist"),
        ({"deadLetterTargetArn": "dummy", "maxReceiveCount": 3}, "deadLetterTargetArn"),
    ):
        with pytest.raises(ClientError, match=why) as error:
            sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": json.dumps(policy)})
        assert refusal(error)[0] == "InvalidParameterValue"
    accepted = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 1})
    sqs.set_queue_attributes(QueueUrl=dead, Attributes={"RedriveAllowPolicy": '{"redrivePermission": "denyAll"}'})
    with pytest.raises(ClientError, match="redrive allow policy"):
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": accepted})
    sqs.set_queue_attributes(QueueUrl=dead, Attributes={"RedriveAllowPolicy": ""})
    with pytest.raises(ClientError) as error:
        sqs.start_message_move_task(SourceArn=dead_arn)
    assert refusal(error) == ("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue.")
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": accepted, "VisibilityTimeout": "0"})
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]

    ids = {sqs.send_message(QueueUrl=url, MessageBody=body)["MessageId"] for body in "abc"}
    assert len(received(sqs, url, MaxNumberOfMessages=10)) == 3
    assert received(sqs, url, MaxNumberOfMessages=10) == []
    assert attributes_of(sqs, dead, "ApproximateNumberOfMessages") == {"ApproximateNumberOfMessages": "3"}
    handle = sqs.start_message_move_task(SourceArn=dead_arn)["TaskHandle"]
    deadline = time.monotonic() + 30
    while (move := sqs.list_message_move_tasks(SourceArn=dead_arn)["Results"][0])["Status"] == "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert (move["Status"], move["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 3)
    assert "TaskHandle" not in move
    again = received(sqs, url, MaxNumberOfMessages=10, AttributeNames=["All"])
    assert sorted(message["Body"] for message in again) == ["a", "b", "c"]
    assert {message["Attributes"]["ApproximateReceiveCount"] for message in again} == {"1"}
    assert not ids & {message["MessageId"] for message in again}, "they are new messages"
    for bad, expected in (
        ("nonsense", ("InvalidParameterValue", "Value for parameter TaskHandle is invalid.")),
        (handle, ("ResourceNotFoundException", "Task does not exist.")),
    ):
        with pytest.raises(ClientError) as error:
            sqs.cancel_message_move_task(TaskHandle=bad)
        assert refusal(error) == expected
    with pytest.raises(ClientError) as error:
        sqs.start_message_move_task(SourceArn=dead_arn, DestinationArn=f"{ARN}nowhere")
    assert refusal(error) == (
        "ResourceNotFoundException",
        "The resource that you specified for the DestinationArn parameter doesn't exist.",
    )


def test_a_slow_move_is_cancelled(sqs: Any, url: str) -> None:
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    policy = json.dumps({"deadLetterTargetArn": f"{ARN}dead", "maxReceiveCount": 1})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})
    for _ in range(3):
        sqs.send_message_batch(QueueUrl=dead, Entries=entries_of(*map(str, range(10))))
    given = {"SourceArn": f"{ARN}dead", "DestinationArn": f"{ARN}orders", "MaxNumberOfMessagesPerSecond": 1}
    handle = sqs.start_message_move_task(**given)["TaskHandle"]
    with pytest.raises(ClientError, match="There is already a task running"):
        sqs.start_message_move_task(**given)
    [move] = sqs.list_message_move_tasks(SourceArn=f"{ARN}dead")["Results"]
    assert (move["Status"], move["TaskHandle"], move["ApproximateNumberOfMessagesToMove"]) == ("RUNNING", handle, 30)
    assert sqs.cancel_message_move_task(TaskHandle=handle)["ApproximateNumberOfMessagesMoved"] < 30
    deadline = time.monotonic() + 30
    while (move := sqs.list_message_move_tasks(SourceArn=f"{ARN}dead")["Results"][0])["Status"] != "CANCELLED":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    left = attributes_of(sqs, dead, "ApproximateNumberOfMessages")["ApproximateNumberOfMessages"]
    there = attributes_of(sqs, url, "ApproximateNumberOfMessages")["ApproximateNumberOfMessages"]
    assert int(left) + int(there) == 30
    assert int(there) == move["ApproximateNumberOfMessagesMoved"]


def test_a_purge_empties_once_a_minute(sqs: Any, url: str) -> None:
    sqs.send_message_batch(QueueUrl=url, Entries=entries_of("a", "b", "c"))
    received(sqs, url)
    sqs.purge_queue(QueueUrl=url)
    assert set(
        attributes_of(sqs, url, "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible").values()
    ) == {"0"}
    with pytest.raises(sqs.exceptions.PurgeQueueInProgress) as error:
        sqs.purge_queue(QueueUrl=url)
    expected = "Only one PurgeQueue operation on orders is allowed every 60 seconds."
    assert refusal(error) == ("AWS.SimpleQueueService.PurgeQueueInProgress", expected)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_fifo_queues_number_and_tell_duplicates(sqs: Any, fifo: str) -> None:
    first = sqs.send_message(QueueUrl=fifo, MessageBody="a", MessageGroupId="g")
    assert sqs.send_message(QueueUrl=fifo, MessageBody="a", MessageGroupId="g")["MessageId"] == first["MessageId"]
    second = sqs.send_message(QueueUrl=fifo, MessageBody="b", MessageGroupId="g")
    assert int(second["SequenceNumber"]) > int(first["SequenceNumber"])
    messages = received(sqs, fifo, MaxNumberOfMessages=10, AttributeNames=["All"])
    assert [message["Body"] for message in messages] == ["a", "b"]
    shown = messages[0]["Attributes"]
    assert (shown["MessageGroupId"], shown["SequenceNumber"]) == ("g", first["SequenceNumber"])
    assert len(shown["MessageDeduplicationId"]) == 64
