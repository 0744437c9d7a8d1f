"""boto3 against a gateway alone, and against whole platforms; both are processes, reached over TCP."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.compatibility.aws import lambda_client
from tests.compatibility.sqs import fifo, sqs, url
from tests.gateway.process import gateway_process
from tests.platform import Platform
from tests.valkey import Valkey

__all__ = ["fifo", "sqs", "url"]  # fixtures


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a gateway without an invoker."""
    with Valkey() as store, gateway_process(tmp_path_factory.mktemp("data"), redis_url=store.url) as gateway:
        yield gateway.address


@pytest.fixture
def aws(endpoint: str) -> Iterator[Any]:
    """boto3's Lambda client of the gateway without an invoker."""
    with lambda_client(endpoint) as client:
        yield client


@pytest.fixture(scope="session")
def platform(request: pytest.FixtureRequest) -> Iterator[Platform]:
    """A whole platform of the isolation a module asks for; its logs are shown when a test failed on it."""
    failed_before = request.session.testsfailed
    with Platform(request.param) as running:
        yield running
        if request.session.testsfailed > failed_before:
            sys.stderr.write(running.logs())


@pytest.fixture
def cloud(platform: Platform) -> Iterator[Any]:
    """boto3's Lambda client of the whole platform."""
    with lambda_client(platform.endpoint) as client:
        yield client
