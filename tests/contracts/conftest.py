"""Which isolations the contract is held against, and what each of them can be asked.

A test says what it needs with `@pytest.mark.needs("memory", …)` and runs on every isolation that has it. What an
isolation lacks stands in the table below, in one place, and with a reason.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from invoker.isolation.contract import Box, BoxSpec, Isolation
from invoker.isolation.docker import DockerIsolation
from invoker.isolation.fake import FakeIsolation
from invoker.isolation.process import ProcessIsolation
from invoker.isolation.sandbox import SandboxIsolation
from invoker.isolation.stem_cell import StemIsolation
from invoker.isolation.stem_cells import StemCells, StemSettings
from samovar.function import OciRuntime

BASE_IMAGE = "samovar-base:bookworm"
"""Made by `scripts/ensure-components base-image`."""

PROCESSES = frozenset({"processes"})
"""Real processes, so that a worker can be killed while it computes."""
WALLS = PROCESSES | {"walls", "memory", "spares the keeper", "pids", "tmp", "kernel"}
"""Everything the contract promises about what a box sees and uses, but for networks."""
_BRIDGE = frozenset({"bridge network", "hidden host"} if os.geteuid() == 0 else ())
"""What only root can build out of network namespaces."""


@dataclass(frozen=True)
class Kind:
    """One isolation under test."""

    name: str
    make: Callable[[str], Isolation]
    abilities: frozenset[str]
    components: tuple[str, ...] = ()
    oci_runtime: OciRuntime = "runc"


def _docker(instance: str) -> DockerIsolation:
    return DockerIsolation(instance, base_image=BASE_IMAGE)


class _OnStemCells(StemCells):
    """Waits for a cell wherever a box can be made of one, so that no test passes on a plain start."""

    async def start(self, spec: BoxSpec) -> Box:
        before = self.bound
        if self.fits(spec):
            await self.prepare(spec.runtime)
            async with asyncio.timeout(60):
                while not self.ready[spec.runtime]:  # noqa: ASYNC110 - only tests wait for a cell
                    await asyncio.sleep(0.01)
        box = await super().start(spec)
        assert self.bound - before == self.fits(spec)
        return box


def _stem_cells(instance: str, isolation: StemIsolation) -> Isolation:
    folder = Path(tempfile.gettempdir(), f"smv-{instance}")
    return _OnStemCells(isolation, StemSettings(folder=folder, floor=1, most=1, pause_s=0))


def _watched(instance: str) -> Isolation:
    return SandboxIsolation(instance, find_cgroups=lambda _: None)


KINDS = (
    Kind("fake", lambda _: FakeIsolation(), frozenset()),
    Kind("none", ProcessIsolation, PROCESSES | {"memory", "spares the keeper"}),
    Kind(
        "sandbox",
        SandboxIsolation,
        WALLS | {"host network", "seccomp", "fresh peak"} | _BRIDGE,
        ("bubblewrap",),
    ),
    Kind(
        "sandbox-stem",
        lambda instance: _stem_cells(instance, SandboxIsolation(instance)),
        WALLS | {"host network", "seccomp", "fresh peak"} | _BRIDGE,
        ("bubblewrap",),
    ),
    # The same sandbox on a host that gives no control groups.
    Kind("sandbox-watched", _watched, WALLS | {"host network", "seccomp", "fresh peak"}, ("bubblewrap",)),
    Kind(
        "docker",
        _docker,
        WALLS | {"host network", "bridge network", "seccomp", "fresh peak"},
        ("docker",),
    ),
    Kind(
        "docker-stem",
        lambda instance: _stem_cells(instance, _docker(instance)),
        WALLS | {"host network", "bridge network", "seccomp", "fresh peak"},
        ("docker",),
    ),
    # gVisor has a kernel of its own: /proc inside tells of that one. To the host the whole box is one process, which
    # the memory limit kills whole. The release tested here has no networks.
    Kind("docker+runsc", _docker, WALLS - {"kernel", "spares the keeper"}, ("docker", "runsc"), "runsc"),
)


def pytest_configure(config: pytest.Config) -> None:
    """Declare our marker."""
    config.addinivalue_line("markers", "needs(*abilities): what an isolation must have for the test to make sense")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on every isolation that has what it needs."""
    if "kind" not in metafunc.fixturenames:
        return
    needed = {ability for mark in metafunc.definition.iter_markers("needs") for ability in mark.args}
    metafunc.parametrize(
        "kind",
        [
            pytest.param(kind, id=kind.name, marks=pytest.mark.component(*kind.components) if kind.components else ())
            for kind in KINDS
            if needed <= kind.abilities
        ],
    )


@pytest.fixture
async def isolation(kind: Kind) -> AsyncIterator[Isolation]:
    """The isolation under test. Where its engine is missing: a failure in CI, elsewhere a skip that says why."""
    made = kind.make(f"test-{secrets.token_hex(3)}")
    status = await made.status()
    if not status.available:
        await made.close()
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{kind.name}: {status.detail}")
    yield made
    await made.close()
