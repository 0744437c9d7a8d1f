"""AWS's own client, and functions for it to work on."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3  # type: ignore[import-untyped]  # it ships no types
import pytest
from botocore.config import Config  # type: ignore[import-untyped]  # it ships no types
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types

from tests.gateway.builders import ROLE, zip_of
from tests.signing import key_for

ARN = "arn:aws:lambda:us-east-1:123456789012:function:"
HANDLER = "def handler(event, context): return event"
RUNTIME = "python3.11"
SANDBOX = pytest.param("sandbox", marks=pytest.mark.component("bubblewrap"))
DOCKER = pytest.param("docker", marks=pytest.mark.component("docker"))


def package(source: str, name: str = "app.py") -> bytes:
    """A deployment package, zipped in memory: one module."""
    return zip_of({name: textwrap.dedent(source).encode()})


def create(aws: Any, name: str, source: str, **members: Any) -> dict[str, Any]:
    """CreateFunction, and wait until it is active."""
    given = {"Runtime": RUNTIME, "Role": ROLE, "Handler": "app.handler", "Code": {"ZipFile": package(source)}}
    made: dict[str, Any] = aws.create_function(FunctionName=name, **(given | members))
    aws.get_waiter("function_active_v2").wait(FunctionName=name)
    return made


@contextmanager
def lambda_client(endpoint: str, region: str = "us-east-1") -> Iterator[Any]:
    """boto3's Lambda client. It tries once, so that a test sees every failure; its functions are removed at the end."""
    key = key_for(endpoint)
    client = boto3.client(
        "lambda",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=key.key_id,
        aws_secret_access_key=key.secret,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=60),
    )
    try:
        yield client
        for page in client.get_paginator("list_functions").paginate():
            for function in page["Functions"]:
                client.delete_function(FunctionName=function["FunctionName"])
    finally:
        client.close()


def refusal(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    """Code and message of an error."""
    answer: Any = error.value.response
    return answer["Error"]["Code"], answer["Error"]["Message"]


def without_metadata(answer: dict[str, Any]) -> dict[str, Any]:
    """What an answer says, without how it came."""
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}
