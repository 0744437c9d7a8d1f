"""One platform per isolation, for all examples."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.platform import Platform


@pytest.fixture(
    scope="session",
    params=[
        pytest.param("docker", marks=pytest.mark.component("docker", "valkey")),
        pytest.param("sandbox", marks=pytest.mark.component("bubblewrap", "valkey")),
    ],
)
def platform(request: pytest.FixtureRequest) -> Iterator[Platform]:
    """A running platform of each isolation; its logs are shown when a test failed on it."""
    failed_before = request.session.testsfailed
    with Platform(request.param) as running:
        yield running
        if request.session.testsfailed > failed_before:
            sys.stderr.write(running.logs())
