"""One platform per isolation, for the tests that leave it as it was."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.end_to_end.lab import Function, Lab, laboratory

INIT_TIMEOUT_S = 5
"""Short enough to wait for it to pass, long enough for any initialisation on a busy machine."""
DOCKER = pytest.param("docker", marks=pytest.mark.component("docker", "valkey"))
SANDBOX = pytest.param("sandbox", marks=pytest.mark.component("bubblewrap", "valkey"))


@pytest.fixture(scope="package", params=[SANDBOX, DOCKER])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A platform of each isolation; its logs are shown when a test failed on it."""
    failed_before = request.session.testsfailed
    with laboratory(request.param, init_timeout_s=INIT_TIMEOUT_S) as lab:
        yield lab
        if request.session.testsfailed > failed_before:
            sys.stderr.write(lab.platform.logs())


@pytest.fixture(scope="package")
def anything(lab: Lab) -> Function:
    """A function that runs what it is sent."""
    return lab.deploy(name="anything")
