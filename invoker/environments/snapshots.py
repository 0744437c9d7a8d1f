"""Snapshot processes: initialised processes that further environments of the same version are forked from.

The first environment of a version is asked for one when it loads the handler. It connects like a worker, takes no
event, and forks when told to (`docs/runtime-protocol.md`, "Snapshot processes"). Each fork sits in a seat of the same
box (`isolation/seats.py`). See `docs/decisions/0012-snapshot-processes.md`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import weakref
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

import msgspec

from invoker.environments.environment import Environment
from invoker.environments.home import Home
from invoker.environments.runtime_link import RuntimeChannel, RuntimeLink
from invoker.environments.variables import Folders
from invoker.faults import ProcessEnd
from invoker.isolation.cgroup import Cgroup
from invoker.isolation.contract import SOCKET_DIR, Box
from invoker.isolation.local import remove
from invoker.isolation.seats import Seat, Seats, Source
from samovar.errors import EnvironmentFailure
from samovar.function import FunctionVersion, Limits
from samovar.link.channel import FrameChannel
from samovar.link.wire import EXITED, FORK, Frame

log = logging.getLogger("samovar.environment")

_FORK_DEADLINE_S = 5.0
"""How long a fork may take to say hello; it takes milliseconds."""
REST_S = 10.0
"""How long a version has to be idle before its snapshot process may go."""
CHEAP_CPU_US = 100_000
"""CPU time of an initialisation that is soon done again, perhaps with the start of an interpreter."""
_SWITCH = "SAMOVAR_SNAPSHOT"
"""The variable by which a function says that it is not to be forked."""

Record = tuple[tuple[str, str], int]
"""A version's key and serial: exactly this code and configuration."""


class _ForkOrder(msgspec.Struct, frozen=True):
    socket_dir: str
    environment: dict[str, str]


class _Exited(ProcessEnd, frozen=True):
    error: str | None = None


class Snapshot:
    """One snapshot process. Forks one worker at a time."""

    def __init__(self, channel: RuntimeChannel, home: Home, isolation: str, limits: Limits, seats: Seats) -> None:
        """Takes over the connection of the process, which is in a box of `isolation`; `limits` are each seat's."""
        assert home.box is not None, "whoever connects is in a box"
        self.on_end: Callable[[], None] | None = None
        self._channel = channel
        self._home = home
        self._box: Box = home.box
        self._isolation = isolation
        self._limits = limits
        self._seats = seats
        self._numbers = itertools.count(1)
        self._links: weakref.WeakValueDictionary[int, RuntimeLink] = weakref.WeakValueDictionary()
        """Who is to be told how a forked worker ended."""
        self._turn = asyncio.Lock()
        self._source: Source | None = None
        self._group: Cgroup | None = None
        """Where the process is; whoever is forked there makes it his own."""
        self._next_group: asyncio.Task[Cgroup] | None = None
        """Made in advance, because forks that follow each other would wait for it."""
        self._move: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self.timer: asyncio.TimerHandle | None = None
        """When its owner looks whether it is still wanted."""
        channel.hand_over(self)

    @property
    def pid(self) -> int:
        """Its host pid."""
        return self._channel.peer.pid

    @property
    def is_shared(self) -> bool:
        """Whether environments that were forked from it are there."""
        return self._home.has_guests

    @property
    def folders(self) -> Folders:
        """Where its forks find things."""
        return Folders.of(self._box)

    async def settle(self) -> None:
        """Make it ready to fork. Raises `EnvironmentFailure`."""
        source = await asyncio.to_thread(Source, self._channel.peer.pid, self._box)
        if self._ended.is_set():
            await asyncio.to_thread(source.close)
        else:
            self._source = source
            await self._move_on()
        if self._ended.is_set():
            raise EnvironmentFailure("the snapshot process has ended")

    def make_home(self, deliver: Callable[[bytes], None]) -> tuple[int, Home]:
        """A seat's number and home. Raises `EnvironmentFailure` and `OSError`."""
        number = next(self._numbers)
        return number, self._home.take_in(number, deliver)

    async def fork(self, name: str, number: int, home: Home, variables: dict[str, str]) -> None:
        """Fork a worker that connects to `home`, in a seat that is its box. Raises `EnvironmentFailure`.

        Whether it fails or not, leaving the home removes what has been made.
        """
        home.link.expect()
        async with self._turn:
            group, source = await self._own_group()
            seat = Seat(name, self._box, group)
            home.take(seat)
            self._links[number] = home.link
            order = _ForkOrder(f"{SOCKET_DIR}/seats/{number}", variables)
            self._channel.send(FORK, number, b"", msgspec.json.encode(order))
            try:
                child = await home.link.connected(_FORK_DEADLINE_S)
            except EnvironmentFailure:
                if home.link.worker is not None and home.link.worker.obituary is None:
                    self.end()  # it hangs: nobody else is to wait for it
                raise
            finally:
                seat.moving = self._move_on()
        await self._seats.furnish(seat, source, child, self._limits.tmp_mb)
        self._seats.prove(self._isolation)

    async def _own_group(self) -> tuple[Cgroup, Source]:
        """Take the group that the process is in from it, once it has arrived there."""
        if self._move is not None:
            await asyncio.shield(self._move)
        if self._ended.is_set() or self._group is None or self._source is None:
            raise EnvironmentFailure("the snapshot process has ended")
        group, self._group = self._group, None
        return group, self._source

    def _move_on(self) -> asyncio.Task[None]:
        self._move = asyncio.create_task(self._enter_next_group())
        return self._move

    async def _enter_next_group(self) -> None:
        if self._ended.is_set() or self._source is None:
            return
        group: Cgroup | None = None
        try:
            group = await (self._next_group or self._make_group())
            self._next_group = self._make_group()
            await asyncio.to_thread(self._source.enter, group)
        except OSError as error:
            if not isinstance(error, ProcessLookupError):  # the process has just ended
                log.warning("no more forks in box %s: %s", self._box.id, error)
            self.end()
        if self._ended.is_set() and group is not None:
            await remove(group)
        else:
            self._group = group

    def _make_group(self) -> asyncio.Task[Cgroup]:
        return asyncio.create_task(asyncio.to_thread(self._seats.make_group, self._limits))

    def frames_received(self, channel: FrameChannel, frames: list[Frame]) -> None:
        """From `FrameReceiver`."""
        try:
            for frame in frames:
                if frame.kind != EXITED:
                    raise ValueError(f"unexpected frame of kind {frame.kind} from a snapshot process")
                exited = msgspec.json.decode(frame.head or b"{}", type=_Exited)
                if exited.error is not None:
                    self._seats.refuse(self._isolation, exited.error)
                link = self._links.pop(frame.stream, None)
                if link is not None:
                    link.worker_exited(exited, exited.error)
            if self._seats.why_none(self._isolation) is not None:
                self.end()
        except (msgspec.DecodeError, ValueError) as error:
            log.warning("a snapshot process broke the protocol: %s; box %s", error, self._box.id)
            channel.abort()

    def channel_lost(self, channel: FrameChannel, error: Exception | None) -> None:
        """From `FrameReceiver`."""
        if not self._ended.is_set():
            self._ended.set()
            if self.on_end is not None:
                self.on_end()

    def end(self) -> None:
        """Have it end: it does when we hang up."""
        self._channel.abort()
        self.channel_lost(self._channel, None)

    async def close(self) -> None:
        """Remove what it leaves behind."""
        if self._move is not None:
            await asyncio.wait({self._move})
        group, self._group = self._group, None
        if group is not None:
            await remove(group)
        if self._next_group is not None:
            with contextlib.suppress(OSError):  # then there is none
                await remove(await self._next_group)
        if self._source is not None:
            await asyncio.to_thread(self._source.close)


class Snapshots:
    """The snapshot processes of all versions, one a record."""

    def __init__(self, seats: Seats, rest_s: float = REST_S) -> None:
        self._seats = seats
        self._rest_s = rest_s
        self._living: dict[Record, Snapshot] = {}
        self._asked: set[Record] = set()
        """Records for which one is about to come."""
        self._tasks: set[asyncio.Task[None]] = set()

    def of(self, version: FunctionVersion) -> Snapshot | None:
        """The one that environments of this version can be forked from, if there is one."""
        return self._living.get(_record(version))

    @contextlib.contextmanager
    def expected(self, environment: Environment) -> Iterator[bool]:
        """While a worker loads the handler: whether it is to be asked for a snapshot process."""
        record = _record(environment.version)
        is_off = environment.version.environment.get(_SWITCH) == "off"
        if is_off or record in self._living or record in self._asked:
            yield False
            return
        self._asked.add(record)
        environment.link.on_snapshot = partial(self._arrived, environment)
        try:
            yield True
        finally:
            self._asked.discard(record)

    def _arrived(self, environment: Environment, channel: RuntimeChannel) -> None:
        record = _record(environment.version)
        limits = environment.version.limits
        snapshot = Snapshot(channel, environment.home, environment.isolation, limits, self._seats)
        snapshot.on_end = partial(self._ended, record, snapshot)
        self._spawn(self._settle(record, snapshot, environment))

    async def _settle(self, record: Record, snapshot: Snapshot, environment: Environment) -> None:
        try:
            await snapshot.settle()
        except EnvironmentFailure as failure:
            log.info("environments of %s are not forked: %s", record[0][0], failure.message)
            snapshot.end()
        else:
            if self._living.setdefault(record, snapshot) is not snapshot:
                snapshot.end()
            else:
                self._look_after(snapshot, environment, self._rest_s)

    def _look_after(self, snapshot: Snapshot, environment: Environment, delay_s: float) -> None:
        snapshot.timer = asyncio.get_running_loop().call_later(delay_s, self._look, snapshot, environment)

    def _look(self, snapshot: Snapshot, environment: Environment) -> None:
        """End a snapshot process whose version has been idle for long enough, and could soon have another."""
        wait_s = rests_in(environment.idle_s, environment.init_cpu_us, self._rest_s)
        if wait_s is not None and snapshot.is_shared:
            wait_s = self._rest_s
        if wait_s == 0:
            snapshot.end()
        elif wait_s is not None:
            self._look_after(snapshot, environment, wait_s)

    def _ended(self, record: Record, snapshot: Snapshot) -> None:
        if snapshot.timer is not None:
            snapshot.timer.cancel()
        if self._living.get(record) is snapshot:
            del self._living[record]
        self._spawn(snapshot.close())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Return when nothing is left of those that have ended, as all have whose boxes are gone."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        self._seats.close()


def rests_in(idle_s: float | None, init_cpu_us: int, rest_s: float) -> float | None:
    """Seconds until a snapshot process may go, 0 if it may now; `None` if it stays for as long as its box.

    `idle_s` is how long the environment it was forked from has been idle, `None` if it is not; `init_cpu_us` is the CPU
    time that loading the handler took.
    """
    if init_cpu_us > CHEAP_CPU_US:
        return None
    return rest_s if idle_s is None else max(0.0, rest_s - idle_s)


def _record(version: FunctionVersion) -> Record:
    return version.key, version.serial
