"""boto3 against a whole gateway: a process of its own, on a real store, reached over TCP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3  # type: ignore[import-untyped]  # it ships no types
import pytest
from botocore.config import Config  # type: ignore[import-untyped]  # it ships no types

from tests.gateway.process import gateway_process
from tests.valkey import Valkey


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a gateway without an invoker."""
    store = Valkey()
    try:
        store.start()
        with gateway_process(tmp_path_factory.mktemp("data"), redis_url=store.url) as gateway:
            yield gateway.address
    finally:
        store.close()


@pytest.fixture
def aws(endpoint: str) -> Iterator[Any]:
    """boto3's Lambda client; removes the functions a test made."""
    client = boto3.client(
        "lambda",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"max_attempts": 0}, read_timeout=30),
    )
    yield client
    for page in client.get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            client.delete_function(FunctionName=function["FunctionName"])
    client.close()
