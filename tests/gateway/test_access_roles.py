"""What the role of a function lets it do, and which resource a request is about."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.access import operations, roles
from gateway.access.resources import Place, resource_of
from gateway.access.roles import Deed, Roles

WHO = "arn:aws:sts::123456789012:assumed-role/samovar/orders"
ACCOUNT, REGION = "123456789012", "us-east-1"
LAMBDA, SQS = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function", f"arn:aws:sqs:{REGION}:{ACCOUNT}"
LOGS = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda"
USUAL = roles.usual(ACCOUNT, REGION, "orders")


@pytest.mark.parametrize(
    "deed",
    [
        Deed("lambda:InvokeFunction", f"{LAMBDA}:other"),
        Deed("lambda:InvokeFunction", f"{LAMBDA}:other:prod"),
        Deed("lambda:InvokeFunctionUrl", f"{LAMBDA}:other"),
        Deed("sqs:SendMessage", f"{SQS}:work"),
        Deed("sqs:SendMessageBatch", f"{SQS}:work"),
        Deed("sqs:ReceiveMessage", f"{SQS}:work"),
        Deed("sqs:ListQueues", "*"),
        Deed("s3:GetObject", "arn:aws:s3:::pictures/a.png"),
        Deed("s3:CreateMultipartUpload", "arn:aws:s3:::pictures/a.png"),
        Deed("logs:FilterLogEvents", f"{LOGS}/orders"),
        Deed("sts:GetCallerIdentity", "*"),
    ],
)
def test_usually_a_function_invokes_queues_stores_and_reads_its_log(deed: Deed) -> None:
    assert roles.may(USUAL, WHO, deed)


@pytest.mark.parametrize(
    "deed",
    [
        Deed("lambda:UpdateFunctionCode", f"{LAMBDA}:orders"),
        Deed("lambda:GetFunction", f"{LAMBDA}:orders"),
        Deed("lambda:InvokeFunction", f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:other"),
        Deed("lambda:CreateKey", "*"),
        Deed("lambda:GET /anything", "*"),
        Deed("sqs:DeleteQueue", f"{SQS}:work"),
        Deed("sqs:PurgeQueue", f"{SQS}:work"),
        Deed("s3:CreateBucket", "arn:aws:s3:::pictures"),
        Deed("s3:DeleteBucket", "arn:aws:s3:::pictures"),
        Deed("s3:PutBucketNotificationConfiguration", "arn:aws:s3:::pictures"),
        Deed("logs:FilterLogEvents", f"{LOGS}/orders-2"),
        Deed("logs:FilterLogEvents", "*"),
        Deed("logs:DeleteLogGroup", f"{LOGS}/orders"),
        Deed("scheduler:CreateSchedule", "*"),
    ],
)
def test_usually_a_function_changes_nothing(deed: Deed) -> None:
    assert not roles.may(USUAL, WHO, deed)


def document(*statements: dict[str, Any]) -> bytes:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}).encode()


def test_what_is_denied_is_not_allowed_by_anything() -> None:
    allow = {"Effect": "Allow", "Action": "sqs:*", "Resource": f"{SQS}:*"}
    deny = {"Effect": "Deny", "Action": ["sqs:send*"], "Resource": [f"{SQS}:secret-*"]}
    statements = roles.parsed(document(allow, deny))
    assert roles.may(statements, WHO, Deed("sqs:SendMessage", f"{SQS}:work"))
    assert not roles.may(statements, WHO, Deed("sqs:SendMessage", f"{SQS}:secret-1"))
    assert roles.may(statements, WHO, Deed("sqs:ReceiveMessage", f"{SQS}:secret-1"))
    assert not roles.may(statements, WHO, Deed("lambda:InvokeFunction", f"{LAMBDA}:orders"))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        document({"Effect": "Maybe", "Action": "*", "Resource": "*"}),
        document({"Effect": "Allow", "NotAction": "*", "Resource": "*"}),
        document({"Effect": "Allow", "Action": "*"}),
        document({"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*"}),
        b" " * 100_000,
    ],
)
def test_a_policy_that_is_not_understood_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"a policy|it is no|it has no|statement"):
        roles.parsed(text)


def test_files_are_read_again_when_they_change_and_allow_nothing_when_they_are_broken(tmp_path: Path) -> None:
    found, path = Roles(tmp_path), tmp_path / "reader.json"
    assert found.of("reader", 0) is None
    path.write_bytes(document({"Effect": "Allow", "Action": "*", "Resource": "*"}))
    assert found.of("reader", 1) is None, "it has just been looked at"
    assert found.of("reader", 3) == ({"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"},)
    path.write_bytes(b"{")
    os.utime(path, (1, 1))
    assert found.of("reader", 6) == ()
    path.unlink()
    assert found.of("reader", 9) is None


def resource(method: str, path: str, query: bytes = b"", body: bytes = b"", **headers: str) -> str:
    sent = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    asked = operations.of(method, path, sent, query)
    return resource_of(asked, Place(ACCOUNT, REGION), path, query, body)


def test_requests_are_about_functions_queues_and_logs() -> None:
    function = "/2015-03-31/functions/orders/invocations"
    assert resource("POST", function) == f"{LAMBDA}:orders"
    assert resource("POST", function, b"Qualifier=prod") == f"{LAMBDA}:orders:prod"
    url = b'{"QueueUrl":"http://127.0.0.1:9000/123456789012/work"}'
    assert resource("POST", "/", body=url, x_amz_target="AmazonSQS.SendMessage") == f"{SQS}:work"
    assert resource("POST", "/", body=b'{"QueueName":"work"}', x_amz_target="AmazonSQS.GetQueueUrl") == f"{SQS}:work"
    assert resource("POST", "/", body=b"{}", x_amz_target="AmazonSQS.ListQueues") == "*"
    group = b'{"logGroupName":"/aws/lambda/orders"}'
    assert resource("POST", "/", body=group, x_amz_target="Logs_20140328.FilterLogEvents") == f"{LOGS}/orders"
    group = f'{{"logGroupIdentifier":"{LOGS}/orders:*"}}'.encode()
    assert resource("POST", "/", body=group, x_amz_target="Logs_20140328.FilterLogEvents") == f"{LOGS}/orders"
    assert resource("POST", "/", body=b"\xff", x_amz_target="Logs_20140328.FilterLogEvents") == "*"
