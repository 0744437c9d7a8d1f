"""The supervisor against real processes: small shell scripts that behave well or badly."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from samovar.errors import StartRefused
from samovar.supervisor.child import ChildSpec
from samovar.supervisor.process import Command
from samovar.supervisor.supervisor import Supervisor

LIVES = "trap 'exit 0' TERM INT; while :; do sleep 60 & wait $!; done"
STUBBORN = "trap '' TERM INT; echo stubborn; while :; do sleep 60; done"


def _spec(folder: Path, name: str, script: str, **more: object) -> ChildSpec:
    command = Command(argv=("sh", "-c", script), environment=os.environ, folder=folder)
    return ChildSpec(name=name, command=command, **{"ready": None, **more})  # type: ignore[arg-type]


def _file(path: Path) -> Callable[[], Awaitable[None]]:
    """A child that is ready once it has made this file."""

    async def ready() -> None:
        while not os.access(path, os.F_OK):  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.002)

    return ready


class Run:
    """One supervisor in the background of a test."""

    def __init__(self, *table: ChildSpec, drain_timeout_s: float = 5.0, listener: socket.socket | None = None) -> None:
        self.ready = asyncio.Event()
        self.changes = 0
        self.supervisor = Supervisor(
            table, listener=listener, drain_timeout_s=drain_timeout_s, grace_s=0.05, on_change=self._changed
        )
        self.task = asyncio.create_task(self.supervisor.run(self._ready))

    async def _ready(self) -> None:
        self.ready.set()

    def _changed(self) -> None:
        self.changes += 1

    def pid(self, name: str) -> int:
        pid = next(process.pid for process in self.supervisor.processes if process.name == name)
        assert pid is not None
        return pid

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - processes have no events
                await asyncio.sleep(0.002)

    async def stop(self) -> None:
        self.supervisor.stop()
        async with asyncio.timeout(5):
            await self.task


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("samovar.up"), "propagate", True)
    caplog.set_level(logging.DEBUG, "samovar.up")


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_a_child_starts_when_those_before_it_are_ready(tmp_path: Path) -> None:
    first = _spec(tmp_path, "first", f"touch up; {LIVES}", ready=_file(tmp_path / "up"), starts=0)
    second = _spec(tmp_path, "second", f"test -e up && touch saw; {LIVES}", ready=_file(tmp_path / "saw"))
    run = Run(first, second)
    await run.ready.wait()
    assert {process.phase for process in run.supervisor.processes} == {"running"}
    await run.stop()
    assert {process.phase for process in run.supervisor.processes} == {"stopped"}


async def test_a_child_that_dies_is_started_again_and_said_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = Run(_spec(tmp_path, "frail", LIVES), _spec(tmp_path, "other", LIVES))
    await run.ready.wait()
    frail, other = run.pid("frail"), run.pid("other")
    os.kill(frail, signal.SIGKILL)
    await run.until(lambda: run.supervisor.processes[0].phase == "running" and run.pid("frail") != frail)
    assert run.supervisor.processes[0].restarts == 1
    assert run.pid("other") == other
    assert "frail was killed by SIGKILL" in caplog.text
    assert "starting it again in 0.1 s" in caplog.text
    await run.stop()


async def test_a_child_that_refuses_ends_the_start_with_its_last_line(tmp_path: Path) -> None:
    refusing = _spec(
        tmp_path,
        "invoker",
        "echo starting; echo 'no isolation works here' >&2; exit 78",
        ready=_file(tmp_path / "never"),
    )
    run = Run(_spec(tmp_path, "store", LIVES, starts=0, stops=2), refusing)
    with pytest.raises(StartRefused) as refusal:
        await run.task
    assert refusal.value.message == "no isolation works here"
    assert {process.phase for process in run.supervisor.processes} == {"stopped"}


async def test_a_child_that_keeps_dying_before_it_is_ready_ends_the_start(tmp_path: Path) -> None:
    run = Run(_spec(tmp_path, "gateway", "echo broken; exit 1", ready=_file(tmp_path / "never")))
    with pytest.raises(StartRefused) as refusal:
        await run.task
    assert refusal.value.message.startswith("the gateway exited with status 1 and never became ready")
    assert refusal.value.message.endswith("broken")
    assert run.supervisor.processes[0].restarts == 2


async def test_a_command_that_cannot_be_started_ends_the_start(tmp_path: Path) -> None:
    command = Command(argv=("true",), environment=os.environ, folder=tmp_path / "missing")
    run = Run(ChildSpec(name="gateway", command=command, ready=None))
    with pytest.raises(StartRefused, match=r"the gateway could not be started: .*missing"):
        await run.task


async def test_a_child_that_never_answers_ends_the_start(tmp_path: Path) -> None:
    run = Run(_spec(tmp_path, "gateway", LIVES, ready=_file(tmp_path / "never"), ready_timeout_s=0.05))
    with pytest.raises(StartRefused, match="the gateway did not answer within"):
        await run.task


async def test_children_end_in_order(tmp_path: Path) -> None:
    script = "trap 'echo {0} >> ended; exit 0' TERM; touch {0}; while :; do sleep 60 & wait $!; done"
    table = [
        _spec(tmp_path, name, script.format(name), ready=_file(tmp_path / name), stops=order)
        for name, order in {"store": 2, "invoker": 1, "gateway": 0}.items()
    ]
    run = Run(*table)
    await run.ready.wait()
    await run.stop()
    assert (tmp_path / "ended").read_text().split() == ["gateway", "invoker", "store"]


async def test_a_child_that_ignores_signals_is_killed_at_the_deadline(tmp_path: Path) -> None:
    run = Run(_spec(tmp_path, "stubborn", f"touch up; {STUBBORN}", ready=_file(tmp_path / "up")), drain_timeout_s=0.05)
    await run.ready.wait()
    pid = run.pid("stubborn")
    await run.stop()
    assert _gone(pid)


async def test_a_second_stop_does_not_wait_for_the_deadline(tmp_path: Path) -> None:
    run = Run(_spec(tmp_path, "stubborn", f"touch up; {STUBBORN}", ready=_file(tmp_path / "up")), drain_timeout_s=600)
    await run.ready.wait()
    run.supervisor.stop()
    await run.stop()
    assert run.supervisor.processes[0].phase == "stopped"


async def test_a_stop_during_the_start_ends_what_was_started(tmp_path: Path) -> None:
    run = Run(
        _spec(tmp_path, "store", f"touch up; {LIVES}", starts=0),
        _spec(tmp_path, "gateway", LIVES, ready=_file(tmp_path / "never")),
    )
    await run.until(lambda: run.supervisor.processes[1].phase == "starting")
    await run.stop()
    assert not run.ready.is_set()
    assert {process.phase for process in run.supervisor.processes} == {"stopped"}


async def test_sigterm_drains_and_nobody_is_accepted_any_more(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        run = Run(_spec(tmp_path, "gateway", LIVES), listener=listener)
        await run.ready.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(5):
            await run.task
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=1)


async def test_output_is_logged_line_by_line_with_its_level(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    script = f"printf 'one\\n\\nERROR two\\n' ; printf 'no newline' >&2; touch up; {LIVES}"
    run = Run(_spec(tmp_path, "gateway", script, ready=_file(tmp_path / "up")))
    await run.ready.wait()
    await run.stop()
    said = [(r.levelno, r.getMessage()) for r in caplog.records if r.name == "samovar.up.gateway"]
    assert said == [(logging.INFO, "one"), (logging.ERROR, "ERROR two"), (logging.INFO, "no newline")]


async def test_a_line_without_end_is_passed_on_in_pieces(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    script = f"head -c 100000 /dev/zero | tr '\\0' x; touch up; {LIVES}"
    run = Run(_spec(tmp_path, "gateway", script, ready=_file(tmp_path / "up")))
    await run.ready.wait()
    await run.stop()
    said = [r.getMessage() for r in caplog.records if r.name == "samovar.up.gateway"]
    assert len(said) > 1
    assert sum(map(len, said)) == 100_000


async def test_every_change_is_told(tmp_path: Path) -> None:
    run = Run(_spec(tmp_path, "only", LIVES))
    await run.ready.wait()
    before = run.changes
    assert before >= 2
    await run.stop()
    assert run.changes > before
