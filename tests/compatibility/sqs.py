"""boto3's SQS client, and what tests ask it for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3  # type: ignore[import-untyped]  # it ships no types
import pytest
from botocore.config import Config  # type: ignore[import-untyped]  # it ships no types

from tests.signing import key_for

ARN = "arn:aws:sqs:us-east-1:123456789012:"


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


def entries_of(*ids: str, body: str = "x") -> list[dict[str, str]]:
    return [{"Id": one, "MessageBody": body} for one in ids]
