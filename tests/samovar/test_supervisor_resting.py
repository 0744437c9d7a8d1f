"""Children that run only while they have something to do, as real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from samovar.process.demand import RESTS
from samovar.supervisor import child as children
from samovar.supervisor.child import Child, ChildSpec
from samovar.supervisor.process import Command

LIVES = "while :; do sleep 60 & wait $!; done"
RESTS_WHEN_TOLD = f"trap 'exit {RESTS}' USR1; trap 'exit 0' TERM; touch up; {LIVES}"
RESTS_AT_ONCE = f"echo life >> lives; exit {RESTS}"


class Kept:
    """One child that rests, and the task that keeps it."""

    def __init__(self, folder: Path, script: str) -> None:
        self.folder = folder
        command = Command(argv=("sh", "-c", script), environment=os.environ, folder=folder)
        self.child = Child(ChildSpec(name="worker", command=command, ready=None, rests=True), lambda: None)
        self.task = asyncio.create_task(self.child.keep())

    @property
    def phase(self) -> str:
        return self.child.state.phase

    @property
    def lives(self) -> int:
        return (self.folder / "lives").read_text().count("life")

    async def until(self, phase: str) -> None:
        async with asyncio.timeout(10):
            while self.phase != phase:  # noqa: ASYNC110 - processes have no events
                await asyncio.sleep(0.002)

    async def up(self) -> int:
        """Its pid, once it has its handlers."""
        async with asyncio.timeout(10):
            while not (self.folder / "up").exists():  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.002)
        (self.folder / "up").unlink()
        assert self.child.state.pid is not None
        return self.child.state.pid

    async def end(self) -> None:
        self.child.stop()
        async with asyncio.timeout(10):
            await self.task
        assert self.phase == "stopped"


async def test_it_starts_with_the_others_and_after_a_rest_when_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "JUST_ASKED_S", 0.0)
    kept = Kept(tmp_path, RESTS_WHEN_TOLD)
    first = await kept.up()
    os.kill(first, signal.SIGUSR1)
    await kept.until("resting")
    assert kept.child.state.pid is None
    kept.child.want()
    assert await kept.up() != first
    assert (kept.phase, kept.child.state.restarts) == ("running", 0)
    await kept.end()


async def test_it_rests_and_starts_again_without_a_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "JUST_ASKED_S", 0.0)
    kept = Kept(tmp_path, RESTS_WHEN_TOLD)
    for _ in range(3):
        os.kill(await kept.up(), signal.SIGUSR1)
        await kept.until("resting")
        kept.child.want()
    await kept.up()
    assert kept.child.state.restarts == 0
    await kept.end()


async def test_asked_for_on_its_way_out_it_starts_once_more(tmp_path: Path) -> None:
    kept = Kept(tmp_path, RESTS_WHEN_TOLD)
    first = await kept.up()
    kept.child.want()  # it had decided to go, and did not hear of this
    os.kill(first, signal.SIGUSR1)
    second = await kept.up()
    assert second != first
    os.kill(second, signal.SIGUSR1)  # and of nobody's asking: the one question has had its start
    await kept.until("resting")
    await kept.end()


async def test_one_question_starts_it_once(tmp_path: Path) -> None:
    kept = Kept(tmp_path, RESTS_AT_ONCE)
    kept.child.want()
    await kept.until("resting")
    assert kept.lives == 2, "one with the others, and one because it was asked for"
    await kept.end()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_one_that_is_killed_does_not_rest(tmp_path: Path, number: signal.Signals) -> None:
    kept = Kept(tmp_path, RESTS_WHEN_TOLD)
    os.kill(await kept.up(), number)
    await kept.up()
    assert kept.child.state.restarts == 1
    await kept.end()


async def test_a_stop_ends_its_rest(tmp_path: Path) -> None:
    kept = Kept(tmp_path, RESTS_WHEN_TOLD)
    os.kill(await kept.up(), signal.SIGUSR1)
    await kept.until("resting")
    began = time.monotonic()
    await kept.end()
    assert time.monotonic() - began < 5
    assert not (tmp_path / "up").exists()
