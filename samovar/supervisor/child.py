"""One child: started, asked whether it is ready, started again when it dies, stopped."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from samovar.errors import StartRefused
from samovar.process.demand import RESTS
from samovar.supervisor.backoff import Backoff
from samovar.supervisor.output import OutputPipe, Voice
from samovar.supervisor.process import Process, Startable, describe_exit
from samovar.supervisor.state import Phase, ProcessState, birth_of

REFUSED = os.EX_CONFIG
"""Exit status (78, sysexits.h) by which a child says: starting me again will not help; my last line says why."""
START_TRIES = 3
"""A child that dies so often before it was ever ready is not going to be."""
JUST_ASKED_S = 6.0
"""A child that goes to rest when it was asked for within so long had not heard of what it was asked for.

Whoever sees that it is needed asks every five seconds (`gateway/tasks/need.py`), so somebody has asked however long its
end takes."""

ReadyCheck = Callable[[], Awaitable[None]]
"""Returns once the child answers, however often it must ask. Cancelled at the deadline."""

log = logging.getLogger("samovar.up")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """A line of the table of children."""

    name: str
    command: Startable
    ready: ReadyCheck | None
    """`None` counts the child as ready as soon as it is started."""
    ready_timeout_s: float = 30.0
    starts: int = 1
    """Children with a lower number are ready before this one is started."""
    stops: int = 0
    """Children with a lower number have ended before this one is told to."""
    stop_signal: signal.Signals = signal.SIGTERM
    """What asks it to end; SIGKILL for one that loses nothing by it and takes long to end by itself."""
    hurries: bool = True
    """Whether a SIGINT makes it drop what runs, without harm, while it drains."""
    rests: bool = False
    """Whether, ended with the status `RESTS`, it starts again only when it is asked for (`Child.want`)."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How one life of a child ended."""

    words: str
    refused: bool = False
    """It said that starting it again will not help."""
    hung: bool = False
    """It ran, but did not answer; it was killed."""
    rests: bool = False
    """It has nothing to do."""


class Child:
    """The owner of one child's process. `keep` runs as a task; the other methods only tell it what to do."""

    def __init__(self, spec: ChildSpec, on_change: Callable[[], None], backoff: Backoff | None = None) -> None:
        self.spec = spec
        self.ready = asyncio.Event()
        """Set when it has become ready for the first time."""
        self.state = ProcessState(name=spec.name, phase="waiting")
        self._on_change = on_change
        self._voice = Voice(spec.name)
        self._backoff = backoff or Backoff()
        self._stopping = asyncio.Event()
        self._asked = asyncio.Event()
        self._asked_at = -JUST_ASKED_S
        self._process: Process | None = None

    def __repr__(self) -> str:
        state = self.state
        return f"<Child {state.name}: {state.phase}, pid {state.pid}, {state.restarts} restarts>"

    async def keep(self) -> None:
        """Start the child, and again whenever it dies, until `stop` or `kill` is called.

        Raises `StartRefused` when it never became ready: it said so itself, died too often, or did not answer.
        """
        try:
            while not self._stopping.is_set():
                begin = time.monotonic()
                try:
                    ending = await self._live()
                except OSError as error:  # no memory, no descriptors: the host's trouble may pass
                    ending = Ending(f"could not be started: {error}")
                if self._stopping.is_set():
                    return
                if ending.rests:
                    await self._rest()
                    continue
                if not self.ready.is_set():
                    self._refuse_if_hopeless(ending)
                wait_s = self._backoff.after(time.monotonic() - begin)
                log.warning("%s %s; starting it again in %.1f s", self.spec.name, ending.words, wait_s)
                self._change("restarting", None, restarts=self.state.restarts + 1)
                await self._stopping_within(wait_s)
        finally:
            self._change("stopped", None)

    def want(self) -> None:
        """Have a child that rests start."""
        self._asked_at = time.monotonic()
        self._asked.set()

    def stop(self) -> None:
        """Ask the child to end, and do not start it again."""
        self._stopping.set()
        self._asked.set()
        if self._process is not None:
            self._process.send(self.spec.stop_signal)

    def hurry(self) -> None:
        """Ask a child that drains to drop what still runs (SIGINT, as uvicorn and Celery take it)."""
        if self._process is not None and self.spec.hurries:
            self._process.send(signal.SIGINT)

    def kill(self) -> None:
        """End the child and its process group at once (SIGKILL)."""
        self._stopping.set()
        self._asked.set()
        if self._process is not None:
            self._process.kill_session()

    async def _rest(self) -> None:
        """Wait to be asked for; not at all when that happened while the child was on its way out."""
        if time.monotonic() - self._asked_at >= JUST_ASKED_S:
            self._asked.clear()
            self._change("resting", None)
            await self._asked.wait()
        self._asked_at = -JUST_ASKED_S  # one question, one start

    async def _live(self) -> Ending:
        """One life, from start to end."""
        self._voice.forget()
        with OutputPipe(self._voice.take) as pipe:
            process = self.spec.command.start(pipe.write_end)
            pipe.close_write_end()
            self._process = process
            self._change("starting", process.pid)
            if self._stopping.is_set():
                self.stop()
            exited = asyncio.ensure_future(process.wait())
            answered = await self._becomes_ready(exited)
            if not answered:
                process.kill_session()
            code = await exited
            self._process = None
        if not answered:
            return Ending(f"did not answer within {self.spec.ready_timeout_s:.0f} s", hung=True)
        return Ending(describe_exit(code), refused=code == REFUSED, rests=self.spec.rests and code == RESTS)

    async def _becomes_ready(self, exited: asyncio.Future[Any]) -> bool:
        """Wait until the child answers or has ended; false when it did neither in time."""
        if self.spec.ready is not None:
            probe: asyncio.Future[Any] = asyncio.ensure_future(self.spec.ready())
            done, _ = await asyncio.wait(
                [probe, exited], timeout=self.spec.ready_timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            if probe not in done:
                probe.cancel()
                return exited in done
            probe.result()
        self._change("running", self.state.pid)
        self.ready.set()
        return True

    def _refuse_if_hopeless(self, ending: Ending) -> None:
        """Give up on a child that was never ready when it asks for that, hung, or has had its tries."""
        if ending.refused:
            raise StartRefused(self._voice.last_line)
        if ending.hung or self.state.restarts + 1 >= START_TRIES:
            last = f"; its last lines:\n{self._voice.last_lines}" if self._voice.last_lines else ""
            raise StartRefused(f"the {self.spec.name} {ending.words} and never became ready{last}")

    def _change(self, phase: Phase, pid: int | None, restarts: int | None = None) -> None:
        same = pid is not None and pid == self.state.pid
        self.state = replace(
            self.state,
            phase=phase,
            pid=pid,
            birth=self.state.birth if same else pid and birth_of(pid),
            started=self.state.started if same or pid is None else time.time(),
            restarts=self.state.restarts if restarts is None else restarts,
        )
        self._on_change()

    async def _stopping_within(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            log.debug("%s is started again", self.spec.name)
