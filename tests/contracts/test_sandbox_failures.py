"""A sandbox that cannot be built says why and leaves nothing."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from invoker.environments.runtimes import Interpreter
from invoker.isolation.contract import BoxSpec
from invoker.isolation.sandbox import SandboxIsolation
from samovar.errors import EnvironmentFailure
from samovar.function import Limits
from tests.contracts.harness import within
from tests.contracts.test_box_life import traces

pytestmark = pytest.mark.component("bubblewrap")


def a_spec(folder: Path, code: str) -> BoxSpec:
    (folder / "run").mkdir()
    return BoxSpec(
        id=secrets.token_hex(8),
        runtime="python3.11",
        code_dir=folder / code,
        socket_dir=folder / "run",
        limits=Limits(),
    )


async def test_code_that_is_not_there_is_named(tmp_path: Path) -> None:
    isolation = SandboxIsolation("test-failures")
    spec = a_spec(tmp_path, "missing")
    with pytest.raises(EnvironmentFailure, match="missing: No such file or directory"):
        await isolation.start(spec)
    assert traces(spec.id) == []
    await isolation.close()


async def test_an_interpreter_that_is_not_there_ends_the_box_with_its_name(tmp_path: Path) -> None:
    isolation = SandboxIsolation("test-failures", find_interpreter=lambda _: Interpreter("/opt/none", "3.11.0", ()))
    (tmp_path / "code").mkdir()
    box = await isolation.start(a_spec(tmp_path, "code"))
    assert "execvp /opt/none: No such file or directory" in await within(box.wait())
    await box.destroy("it never was")
    await isolation.close()


async def test_the_status_names_the_mechanism_of_every_limit() -> None:
    isolation = SandboxIsolation("test-failures", find_cgroups=lambda _: None)
    status = await isolation.status()
    assert status.available, status.detail
    assert status.limits["memory"] == "memory watch and rlimit"
    assert status.limits["pids"] == "rlimit"
    await isolation.close()
