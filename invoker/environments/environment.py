"""One execution environment: a box, the keeper in it, and the worker that has the handler loaded.

An environment runs one invocation at a time (or several: `slots.py`), keeps the time for it, and outlives its workers:
one that times out or crashes is replaced, and `/tmp` stays. The pool owns environments; nobody else fires their events.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from invoker import faults
from invoker.environments.home import Home
from invoker.environments.lifecycle import Event, Lifecycle, State
from invoker.environments.runtime_link import RuntimeLink
from invoker.environments.slots import Slots
from invoker.environments.variables import Folders, InitializationType, Platform, worker_variables
from invoker.environments.worker import Answer, AnswerTooLarge, EventHead, EventLost, Rested, Worker, WorkerEnded
from invoker.isolation.contract import Box
from invoker.logs import report
from invoker.logs.output import EnvironmentLog, OutputListener
from invoker.response_stream import ResponseStream
from invoker.upload import Upload
from samovar.clock import Clock
from samovar.errors import EnvironmentFailure
from samovar.function import FunctionVersion
from samovar.invocation import AnswerLimits, Outcome
from samovar.logs.lines import NO_REQUEST

if TYPE_CHECKING:
    from invoker.pool.lease import Lease

log = logging.getLogger("samovar.environment")


class InitFailed(Exception):
    """The function's own initialisation failed: its error, as the caller is to see it."""

    def __init__(self, outcome: Outcome, payload: bytes, init_ms: float) -> None:
        super().__init__(payload.decode(errors="replace"))
        self.outcome = outcome
        self.payload = payload
        self.init_ms = init_ms
        self.environment: Environment | None = None
        """Where it failed: its log and its usage belong to the call. Set by whoever knows it."""


class ForkLost(EnvironmentFailure):
    """A forked worker was killed, through no fault of the function's, before it was ready."""


class RunResult(msgspec.Struct, frozen=True):
    """What came of one event."""

    outcome: Outcome
    payload: bytes
    worker_lost: bool = False
    """The worker is gone, or must go, before the environment can take another event."""
    cpu_us: int | None = None
    """Its part of the CPU time, where others ran beside it."""
    rests: bool = False
    """The environment takes another event only when its extensions are ready; see `Environment.rest`."""
    together: int = 1
    """How many answers came at once: this one, and those of the calls behind it."""


class _SpawnOrder(msgspec.Struct, frozen=True):
    handler: str
    environment: dict[str, str]
    max_response_bytes: int
    search_path: list[str]
    snapshot: bool
    account_id: str


_EXIT_ERROR = "Runtime.ExitError"
"""What a worker that lives on calls the end of one of several processes in it."""
_ERROR_OUTCOMES = {"Function.ResponseSizeTooLarge": Outcome.TOO_LARGE}


class Environment:
    """See the module. `EnvironmentFactory` makes and starts it; the pool owns it from then on."""

    link: RuntimeLink
    """To the processes inside; there is one from `move_in` on."""

    def __init__(self, environment_id: str, version: FunctionVersion, log: EnvironmentLog, clock: Clock) -> None:
        self.id = environment_id
        self.version = version
        self.key = version.key
        self.arn = version.arn
        self.log = log
        self.isolation = ""
        self.platform = Platform({}, {})
        """What its workers are told of the platform; set before it loads."""
        self.initialization_type: InitializationType = "on-demand"
        """What its workers are told of how it came to be; set before it loads."""
        self.limits = AnswerLimits()
        """How large its answers may be; set before it loads."""
        self.is_forked = False
        """Its worker was forked from an initialised process."""
        self.created = self.idle_since = self.busy_since = clock.monotonic()
        self.followers: deque[Lease] = deque()
        """Calls whose events lie ready in it, behind the one that runs. Only `handover.py` changes it."""
        self.slots: Slots | None = None
        """Its places, if its worker takes several events at once; only the pool takes them and gives them back."""
        self.ended = 0.0
        """Monotonic seconds at which the last call was over; one that lay ready has begun then."""
        self.invocations = 0
        self.peak_bytes = 0
        self.init_cpu_us = 0
        self._cpu_us = 0
        self._unshared_us = 0
        self._sharers = 0
        """How many calls are to be told their part of that."""
        self.init_log = log.begin(NO_REQUEST)
        """What the last initialisation printed; Lambda shows it to the call that waited for it."""
        self.on_idle_death: Callable[[Environment], None] | None = None
        """Told when it dies while idle, so that its owner never hands it out."""
        self.is_exhausted = False
        """It ran out of memory. Files in /tmp are part of that memory and outlive a worker: it cannot be relied on."""
        self._clock = clock
        self._lifecycle = Lifecycle()
        self._home: Home | None = None
        self._box: Box | None = None
        self._stopped = asyncio.Event()

    def __repr__(self) -> str:
        return (
            f"<Environment {self.id} of {self.version.name}:{self.version.version} in {self.isolation or '?'}: "
            f"{self.state}, {self.invocations} invocations, peak {self.peak_bytes >> 20} MB>"
        )

    @property
    def state(self) -> State:
        """Where it stands; see `lifecycle.py`."""
        return self._lifecycle.state

    @property
    def idle_s(self) -> float | None:
        """How long it has been idle; `None` while it is not."""
        return self._clock.monotonic() - self.idle_since if self.state is State.IDLE else None

    @property
    def pid(self) -> int | None:
        """Host pid of the first process in the box."""
        return self._box.pid if self._box is not None else None

    @property
    def box_id(self) -> str | None:
        """The environment whose box it is in: itself, or the one it was forked from. `None` before it has moved in."""
        return self._home.box_id if self._home is not None else None

    def fire(self, event: Event) -> None:
        """The one place where the state changes."""
        now = self._clock.monotonic()
        state = self._lifecycle.fire(event, now)
        if state is State.IDLE:
            self.idle_since = now
        elif state is State.BUSY:
            self.busy_since = now

    @property
    def home(self) -> Home:
        """Where it lives."""
        assert self._home is not None, "it has moved in"
        return self._home

    def move_in(self, home: Home) -> None:
        """Live there from now on; nothing runs in it yet."""
        self._home = home
        self.link = home.link
        self.link.on_worker_end = self._worker_ended

    async def move_out(self, reason: str) -> None:
        """Leave a home in which nothing could be started."""
        home, self._home = self._home, None
        if home is not None:
            await home.leave(reason)

    async def boot(self, timeout_s: float) -> None:
        """Wait for the first sign of life from the box of its home. Raises `EnvironmentFailure`."""
        self._box = self.home.box
        await self.link.connected(timeout_s)
        self.fire(Event.BOOTED)

    async def load(self, timeout_s: float, *, snapshot: bool = False) -> float:
        """Have a worker load the handler; answers with the milliseconds it took.

        With `snapshot`, it is also to make a process that further workers can be forked from. Raises `InitFailed`: a
        failed initialisation is the function's answer to the call that needed it.
        """
        # The peak is the worker's: what one used that was killed says nothing about its successor.
        self.use_cpu()  # of the start of the box, which is none of the initialisation's
        self._started_box.reset_peak()
        self.peak_bytes = 0
        return await self._initialised(self.link.spawn(self._spawn_order(snapshot)), timeout_s)

    async def take_over(self, timeout_s: float) -> float:
        """Have the worker that was forked for it get ready; answers, and raises, as `load` does.

        Raises `ForkLost`, and is STARTING again, if the worker was killed before that: a forked worker dies with the
        process it was forked from until it is in the invoker's hands, and with its box.
        """
        worker = self.link.bind()
        try:
            return await self._initialised(worker, timeout_s)
        except InitFailed as failed:
            if failed.outcome is not Outcome.EXIT or not _was_killed(worker):
                raise
            self.fire(Event.LOST)
            raise ForkLost(f"the forked worker was killed before it was ready; {failed}") from None

    async def _initialised(self, worker: Worker, timeout_s: float) -> float:
        first = report.init_lines(self.version, self.initialization_type, self._clock.epoch())
        self.log.begin(NO_REQUEST, keep_tail=False).lines(*first)
        self.init_log = self.log.begin(NO_REQUEST)
        worker.limits = self.limits
        began = self._clock.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                ready, body = await worker.ready
        except TimeoutError:
            await self.link.kill_worker()
            raise InitFailed(Outcome.TIMEOUT, faults.timed_out("", timeout_s), self._since(began)) from None
        except WorkerEnded as ended:
            result = self._obituary("", ended)
            raise InitFailed(result.outcome, result.payload, self._since(began)) from None
        finally:
            self.init_cpu_us = self.use_cpu()
            self.link.output.drain(newcomers=True)
            self.log.end()
        if ready.error is not None:
            raise InitFailed(Outcome.INIT_ERROR, body, ready.init_ms)
        if ready.snapshot is not None:
            log.info("%s:%s is not forked because %s", self.version.name, self.version.version, ready.snapshot)
        self.slots = Slots(worker.concurrency) if worker.concurrency > 1 else None
        worker.on_output = self.log.line_of
        self.fire(Event.READY)
        return ready.init_ms

    def _since(self, began: float) -> float:
        return (self._clock.monotonic() - began) * 1000

    def variables(self, folders: Folders) -> dict[str, str]:
        """The environment variables of its workers."""
        return worker_variables(self.version, self.log.stream, folders, self.platform, self.initialization_type)

    def _spawn_order(self, snapshot: bool) -> bytes:
        box = self._started_box
        folders = Folders.of(box)
        variables, search_path = self.variables(folders), folders.search_path(self.version.runtime)
        return msgspec.json.encode(
            _SpawnOrder(self.version.handler, variables, self.limits.whole, search_path, snapshot, self.version.account)
        )

    @property
    def _started_box(self) -> Box:
        assert self._box is not None, "only a booted environment is used"
        return self._box

    def run(
        self,
        head: EventHead,
        event: bytes | Upload,
        timeout_s: float,
        done: Callable[[RunResult], None],
        stream: ResponseStream | None = None,
    ) -> None:
        """Give one event to the worker; `done` is told, later, what came of it within `timeout_s`, whatever it is.

        What the handler answers in parts goes to `stream` before.
        """
        worker = self.link.worker
        assert worker is not None, "only a ready environment is leased"
        self.invocations += 1
        if self.slots is not None:
            self.slots.book(self.use_cpu())
            self.slots.begin(head.request_id)
        worker.ask(
            head, event, timeout_s, lambda outcome: done(self._result(head.request_id, timeout_s, outcome)), stream
        )

    def rest(self, timeout_s: float, done: Rested) -> None:
        """After a result that `rests`: `done` is told when its extensions are ready, or have not been in time."""
        worker = self.link.worker
        assert worker is not None, "it has just answered"
        worker.rest(timeout_s, done)

    def lay(self, head: EventHead, event: bytes) -> int:
        """Have an event lie ready behind the one that runs; see `Worker.lay`."""
        worker = self.link.worker
        return 0 if worker is None or self.slots is not None else worker.lay(head, event)

    def take_back(self) -> list[int]:
        """See `Worker.take_back`."""
        worker = self.link.worker
        return [] if worker is None else worker.take_back()

    def go_on(self, number: int, request_id: str, timeout_s: float, done: Callable[[RunResult], None]) -> None:
        """As `run`, for the event of that number, which lay ready."""
        worker = self.link.worker
        assert worker is not None, "it had something laid ready for it"
        self.invocations += 1
        self.link.output.begin(number)
        worker.go_on(number, request_id, timeout_s, lambda outcome: done(self._result(request_id, timeout_s, outcome)))

    def give_up_worker(self) -> None:
        """The worker is lost, or must go: whatever it has begun since, nothing that it answers counts."""
        if self.link.worker is not None:
            self.link.worker.is_given_up = True

    def _result(self, request_id: str, timeout_s: float, outcome: Answer | Exception) -> RunResult:
        output = self.link.output
        if self.slots is None:
            if isinstance(outcome, Answer) and outcome.is_quiet:
                output.end_line()
            else:
                self._drain(output)
            result = self._judged(request_id, timeout_s, outcome)
            worker = self.link.worker
            together = 1 if worker is None else worker.together
            return result if together == 1 else replace(result, together=together)
        output.drain(unfinished=self.slots.taken == 1)  # another call may be in the middle of a line
        self.slots.book(self.use_cpu())
        used = self.slots.end(request_id)
        return replace(self._judged(request_id, timeout_s, outcome), cpu_us=used)

    def _drain(self, output: OutputListener) -> None:
        worker = self.link.worker
        if worker is not None and worker.mailbox is not None:
            output.expect_marks()  # it writes them once it has answered for the first time with output to be read
        output.drain()

    def _judged(self, request_id: str, timeout_s: float, outcome: Answer | Exception) -> RunResult:
        if isinstance(outcome, Answer):
            if outcome.error is None:
                return RunResult(Outcome.OK, outcome.payload, outcome.ends, rests=outcome.rests)
            if outcome.ends and outcome.error == _EXIT_ERROR:
                return self._obituary(request_id, WorkerEnded(faults.ProcessEnd()))
            judged = _ERROR_OUTCOMES.get(outcome.error, Outcome.ERROR)
            return RunResult(judged, outcome.payload, outcome.ends, rests=outcome.rests)
        if isinstance(outcome, TimeoutError):
            return RunResult(Outcome.TIMEOUT, faults.timed_out(request_id, timeout_s), worker_lost=True)
        if isinstance(outcome, AnswerTooLarge):
            return RunResult(Outcome.TOO_LARGE, faults.response_too_large(outcome.limit), worker_lost=True)
        if isinstance(outcome, EventLost):
            return RunResult(Outcome.ERROR, faults.event_lost(request_id), worker_lost=True)
        assert isinstance(outcome, WorkerEnded)
        return self._obituary(request_id, outcome)

    def _obituary(self, request_id: str, ended: WorkerEnded) -> RunResult:
        """What a caller is told about a process that ended under its call."""
        if self._started_box.out_of_memory():
            self.is_exhausted = True
            payload = faults.out_of_memory(request_id, self.version.limits.memory_mb)
            return RunResult(Outcome.OUT_OF_MEMORY, payload, worker_lost=True)
        return RunResult(Outcome.EXIT, faults.exited(request_id, ended.end), worker_lost=True)

    def use_cpu(self, among: int = 1) -> int:
        """Microseconds of CPU the box has used since this was last asked; takes note of the memory peak, too.

        Asked once an invocation, at its end: what a function's threads use between two invocations is its own,
        and counts for the later one. When the answers of several calls came at once it is asked for each, `among` so
        many that have not been told: they share what one look has shown, and their sum is right.
        """
        if among != self._sharers:
            used = self._started_box.usage()
            if used.peak_memory_bytes > self.peak_bytes:
                self.peak_bytes = used.peak_memory_bytes
            since, self._cpu_us = self._cpu_us, used.cpu_us
            self._unshared_us += used.cpu_us - since
        part = self._unshared_us // among
        self._unshared_us -= part
        self._sharers = among - 1
        return part

    def _worker_ended(self, worker: Worker) -> None:
        if self.state is State.IDLE and self.on_idle_death is not None:
            self.on_idle_death(self)

    async def stop(self, reason: str) -> None:
        """Destroy the box and leave no trace. May be called in any state, also by several tasks at once."""
        if self.state in (State.STOPPING, State.DEAD):
            await self._stopped.wait()
            return
        self.fire(Event.STOP)
        try:
            if self._home is not None:
                if self.link.worker is not None:
                    await self.link.worker.say_farewell("SPINDOWN")
                await self._home.leave(reason)
        finally:
            self.fire(Event.DIED)
            self._stopped.set()


def _was_killed(worker: Worker) -> bool:
    """Whether it ended by SIGKILL, or nobody was left to say how: the function's own code ends otherwise."""
    return worker.obituary is None or worker.obituary.signal == signal.SIGKILL
