"""boto3 and queues themselves: made, listed, set, purged, and redriven."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types

from tests.compatibility.aws import refusal, without_metadata
from tests.compatibility.sqs import ARN, attributes_of, client_of, entries_of, received

NO_QUEUE = ("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")


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
        *(
            (url, {"Policy": policy}, ("InvalidAttributeValue", "Invalid value for the parameter Policy."))
            for policy in ("none", "[]", '{"Statement": 1}', '{"Statement": [1]}', "[" * 5000)
        ),
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
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": '{"Version": "2012-10-17"}'})
    sqs.add_permission(QueueUrl=url, Label="first", AWSAccountIds=["123456789012"], Actions=["SendMessage"])
    assert json.loads(attributes_of(sqs, url, "Policy")["Policy"])["Statement"][0]["Sid"] == "first"
    sqs.remove_permission(QueueUrl=url, Label="first")


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
