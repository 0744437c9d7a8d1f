"""One platform for the tools people use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.compatibility.aws import lambda_client
from tests.platform import Platform


@pytest.fixture(scope="package")
def platform() -> Iterator[Platform]:
    """A whole platform, whose functions run in sandboxes."""
    with Platform("sandbox") as platform:
        yield platform


@pytest.fixture
def aws(platform: Platform) -> Iterator[Any]:
    """boto3's Lambda client of the platform."""
    with lambda_client(platform.endpoint) as client:
        yield client
