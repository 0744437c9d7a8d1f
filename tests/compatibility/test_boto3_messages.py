"""boto3 and the messages of queues: what SQS's users lean on, in SQS's own words."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types

from tests.compatibility.aws import refusal
from tests.compatibility.sqs import attributes_of, entries_of, received


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
