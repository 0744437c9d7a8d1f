"""What is left of boxes when their invoker is killed, and what the next invoker does about it."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import sys

import pytest

from invoker.isolation.contract import Isolation
from tests.contracts.conftest import Kind
from tests.contracts.harness import within
from tests.contracts.test_box_life import is_running, traces


@pytest.mark.needs("processes")
async def test_boxes_of_a_killed_invoker_are_gone_after_a_sweep(isolation: Isolation, kind: Kind) -> None:
    instance = f"test-{secrets.token_hex(3)}"
    invoker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.contracts.orphan", kind.name, instance, stdout=asyncio.subprocess.PIPE
    )
    assert invoker.stdout is not None
    box, pid, folder = (await within(invoker.stdout.readline())).decode().split()
    invoker.kill()
    await invoker.wait()
    successor = kind.make(instance)
    try:
        await successor.sweep()
        await within(gone(int(pid)))
        assert traces(box) == []
        await within(swept(successor))
    finally:
        await successor.close()
        shutil.rmtree(folder)


async def swept(successor: Isolation) -> None:
    """Return when there is nothing left to remove. An engine may still be making what the killed invoker asked for."""
    while await successor.sweep():
        continue


async def gone(pid: int) -> None:
    """Return when a process has ended. It is no child of ours, so there is nothing to wait for."""
    while is_running(pid):
        await asyncio.to_thread(lambda: None)
