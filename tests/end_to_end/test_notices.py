"""What a queue is told of objects beside that they came and went, and where a circle through a bucket ends."""

from __future__ import annotations

import json
import textwrap
from typing import Any

import pytest

from gateway import lineage
from samovar.clients import events as event_client
from tests.end_to_end.lab import Lab
from tests.end_to_end.platform_box import until
from tests.end_to_end.test_functions_call_the_platform import client

pytestmark = pytest.mark.component("bubblewrap", "valkey", "seaweedfs", "boto3")


def test_tags_and_grants_are_told_to_who_asks_and_a_queue_is_told_the_trace(lab: Lab) -> None:
    bucket, queues = client(lab, "s3"), client(lab, "sqs")
    url = queues.create_queue(QueueName="tags")["QueueUrl"]
    bucket.create_bucket(Bucket="tagged")
    events = ["s3:ObjectCreated:*", "s3:ObjectTagging:*", "s3:ObjectAcl:Put", "s3:ObjectRestore:*"]
    queue = {"QueueArn": "arn:aws:sqs:us-east-1:123456789012:tags", "Events": events}
    bucket.put_bucket_notification_configuration(
        Bucket="tagged", NotificationConfiguration={"QueueConfigurations": [queue]}
    )
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"

    def traced(request: Any, **_: Any) -> None:
        request.headers["X-Amzn-Trace-Id"] = trace

    bucket.meta.events.register("before-sign.s3.PutObject", traced)
    bucket.put_object(Bucket="tagged", Key="a", Body=b"hello", Tagging="at=once", ACL="private")
    bucket.meta.events.unregister("before-sign.s3.PutObject", traced)
    bucket.put_object_tagging(Bucket="tagged", Key="a", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    bucket.delete_object_tagging(Bucket="tagged", Key="a")
    bucket.put_object_acl(Bucket="tagged", Key="a", ACL="public-read")
    heard: dict[str, Any] = {}

    def all_heard() -> bool:
        found = queues.receive_message(QueueUrl=url, AttributeNames=["All"], WaitTimeSeconds=1)
        for message in found.get("Messages", []):
            for record in json.loads(message["Body"]).get("Records", []):
                heard[record["eventName"]] = message["Attributes"].get("AWSTraceHeader")
            queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return "ObjectAcl:Put" in heard

    until(all_heard, "the queue is told of the grant, which was made last")
    assert heard == {
        "ObjectCreated:Put": trace,
        "ObjectTagging:Put": None,
        "ObjectTagging:Delete": None,
        "ObjectAcl:Put": None,
    }


def test_a_circle_through_a_bucket_is_cut_after_sixteen(lab: Lab) -> None:
    source = """
        import boto3

        def handler(event, context):
            key = event["Records"][0]["s3"]["object"]["key"]
            boto3.client("s3").put_object(Bucket="circle", Key=key + "x", Body=b"")
    """
    function = lab.deploy(textwrap.dedent(source), name="through-a-bucket", Timeout=60)
    storage = client(lab, "s3")
    storage.create_bucket(Bucket="circle")
    arn = "arn:aws:lambda:us-east-1:123456789012:function:through-a-bucket"
    notify = {"LambdaFunctionConfigurations": [{"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
    storage.put_bucket_notification_configuration(Bucket="circle", NotificationConfiguration=notify)
    storage.put_object(Bucket="circle", Key="x", Body=b"")
    until(lambda: event_client.events(lab.client, function.name, state="failed").events, "the circle ends")
    keys = [one["Key"] for one in storage.list_objects_v2(Bucket="circle")["Contents"]]
    assert keys == ["x" * count for count in range(1, lineage.MOST + 2)]


def test_an_event_whose_destination_is_a_bucket_that_has_vanished_is_kept_with_the_reason(lab: Lab) -> None:
    function = lab.deploy("def handler(event, context): raise ValueError('no')", name="tells-a-bucket")
    storage, aws = client(lab, "s3"), client(lab, "lambda")
    storage.create_bucket(Bucket="vanishing")
    failed = {"OnFailure": {"Destination": "arn:aws:s3:::vanishing"}}
    aws.put_function_event_invoke_config(FunctionName=function.name, MaximumRetryAttempts=0, DestinationConfig=failed)
    storage.delete_bucket(Bucket="vanishing")
    aws.invoke(FunctionName=function.name, InvocationType="Event", Payload=b'{"of": "use"}')

    def ends() -> list[str]:
        page = event_client.events(lab.client, function.name, state="failed")
        return sorted(event.error for event in page.events) if len(page.events) == 2 else []

    errors = until(ends, "the event and what was to be told of it have failed")
    assert errors == ["ServiceException: The specified bucket does not exist", "ValueError: no"]
    (event,) = [one for one in event_client.events(lab.client, function.name).events if "." not in one.id]
    assert json.loads(bytes(event_client.event(lab.client, function.name, event.id).payload)) == {"of": "use"}
