"""The two sockets of an environment, and who is connected to them: the invoker's end of `docs/runtime-protocol.md`.

Whatever runs inside can write to these sockets, so nothing said here is believed beyond its own environment,
and nonsense ends the connection it came on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from invoker.environments.mailbox import Mailbox
from invoker.environments.worker import Worker
from invoker.faults import ProcessEnd
from invoker.isolation.contract import INVOKER_SOCKET, OUTPUT_SOCKET
from invoker.logs.output import OutputListener
from samovar.errors import EnvironmentFailure
from samovar.link.channel import FrameChannel, FrameReceiver
from samovar.link.wire import BIND, EXITED, HELLO, KILL, SPAWN, Frame

log = logging.getLogger("samovar.environment")

_PATIENCE_S = 1.0
"""How long the keeper may take to kill a worker, or to say how one ended, before it is not asked any more."""
_MAX_CONNECTIONS = 8
"""Connections that have not said hello; more are hung up on."""


_CREDENTIALS = struct.Struct("iII")
"""`struct ucred`; see unix(7)."""


class _Hello(msgspec.Struct, frozen=True):
    role: str
    mailbox: bool = False
    """A worker can find its events in one."""


class Peer(NamedTuple):
    """The process that made a connection, as the host numbers processes and users."""

    pid: int
    uid: int
    gid: int


class RuntimeChannel(FrameChannel):
    """A connection that knows who is at its other end."""

    peer = Peer(0, 0, 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection stands."""
        own: socket.socket = transport.get_extra_info("socket")
        credentials = own.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        self.peer = Peer(*_CREDENTIALS.unpack(credentials))
        super().connection_made(transport)

    def hand_over(self, receiver: FrameReceiver) -> None:
        """Tell somebody else what arrives from now on."""
        self._receiver = receiver


class RuntimeLink:
    """Owner of an environment's sockets, of its keeper's connection and of its present worker.

    A forked worker has sockets of its own and no keeper: `expect` it instead of spawning it.
    """

    def __init__(self, folder: Path, deliver: Callable[[bytes], None]) -> None:
        self._folder = folder
        self._loop = asyncio.get_running_loop()
        self.output = OutputListener(folder / OUTPUT_SOCKET, deliver)
        self._server: asyncio.Server | None = None
        self._strangers: set[FrameChannel] = set()
        self._keeper: FrameChannel | None = None
        self._snapshot: FrameChannel | None = None
        self._hello: asyncio.Future[Peer] = self._loop.create_future()
        """Who was the first to say it: the keeper, or the worker where there is none."""
        self._workers = 0
        self.worker: Worker | None = None
        self.on_worker_end: Callable[[Worker], None] | None = None
        self.on_snapshot: Callable[[RuntimeChannel], None] | None = None
        """Given the connection of a snapshot process; without it there is to be none."""
        self.has_mailboxes = False
        """Workers may be given descriptors: what runs inside shares this kernel."""

    async def open(self) -> None:
        """Listen. The runtime runs as another user, and only its own box can see the folder."""
        self._server = await self._loop.create_unix_server(self._accept, str(self._folder / INVOKER_SOCKET))
        for name in (INVOKER_SOCKET, OUTPUT_SOCKET):
            (self._folder / name).chmod(0o666)

    async def connected(self, timeout_s: float) -> Peer:
        """Wait for the keeper, or the worker where there is none. Raises `EnvironmentFailure` when it does not come."""
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(self._hello)
        except TimeoutError:
            raise EnvironmentFailure(f"no answer from inside within {timeout_s:g} s of the start") from None

    def spawn(self, order: bytes) -> Worker:
        """Ask the keeper for a worker; `Worker.ready` tells when it has the handler loaded."""
        self._workers += 1
        self.worker = Worker(self._workers)
        self.output.forget_marks()
        if self._keeper is None:
            self._end_worker(ProcessEnd(signal=9))
        else:
            self._keeper.send(SPAWN, self._workers, b"", order)
        return self.worker

    def expect(self) -> None:
        """A worker that was forked by somebody else will connect here, and wait for `bind`."""
        self._workers += 1
        self.worker = Worker(self._workers)

    def bind(self) -> Worker:
        """Tell a forked worker that its surroundings are made; `Worker.ready` tells when it is ready."""
        worker = self.worker
        assert worker is not None, "only a worker that was expected is bound"
        if worker.channel is not None:
            worker.channel.send(BIND, worker.number)
        return worker

    async def kill_worker(self) -> bool:
        """Have the worker and its descendants killed; whether a keeper could. If not, destroy the box."""
        if self.worker is not None:
            await self.worker.say_farewell("TIMEOUT")
        worker = self.worker
        if worker is None or self._keeper is None:
            return self._keeper is not None
        self._keeper.send(KILL, worker.number)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await asyncio.shield(worker.ended)
        except TimeoutError:
            return False
        self.output.drain()
        worker.disconnect()
        return self._keeper is not None

    def box_ended(self, why: str) -> None:
        """The box is dead: fail whatever waits for something inside it."""
        self._fail_to_connect(why)
        self._end_worker(ProcessEnd(signal=9))

    def worker_exited(self, end: ProcessEnd, why: str | None = None) -> None:
        """Told by whoever has forked the worker how it ended; `why` there never was one."""
        self._fail_to_connect(why or end.describe())
        if self.worker is not None:
            self._bury(self.worker, end)

    def _fail_to_connect(self, why: str) -> None:
        if not self._hello.done():
            self._hello.set_exception(EnvironmentFailure(f"the environment did not start: {why}"))
            self._hello.exception()  # nobody may be waiting any more

    def close(self) -> None:
        """Hang up on everybody and stop listening."""
        if self._server is not None:
            self._server.close()
        for channel in (self._keeper, self._snapshot, *self._strangers):
            if channel is not None:
                channel.abort()
        if self.worker is not None:
            self.worker.disconnect()
        self.output.close()

    def _accept(self) -> FrameChannel:
        channel = RuntimeChannel(self)
        self._strangers.add(channel)
        if len(self._strangers) > _MAX_CONNECTIONS:
            self._loop.call_soon(channel.abort)
        return channel

    def frames_received(self, channel: FrameChannel, frames: list[Frame]) -> None:
        """From `FrameReceiver`."""
        try:
            if len(frames) > 1 and self.worker is not None and channel is self.worker.channel:
                self.worker.expect(frames)
            for frame in frames:
                if self.worker is not None and channel is self.worker.channel:
                    self.worker.take(frame)
                elif channel is self._keeper:
                    self._from_keeper(frame)
                else:
                    self._introduce(channel, frame)
        except (msgspec.DecodeError, ValueError) as error:
            log.warning("a runtime broke the protocol: %s; folder %s", error, self._folder)
            channel.abort()

    def _introduce(self, channel: FrameChannel, frame: Frame) -> None:
        if frame.kind != HELLO:
            raise ValueError(f"frame of kind {frame.kind} before HELLO")
        assert isinstance(channel, RuntimeChannel), "as `_accept` made it"
        hello = msgspec.json.decode(frame.head, type=_Hello)
        role = hello.role
        worker = self.worker
        if role == "keeper" and worker is None and not self._hello.done():
            self._keeper = channel
            self._hello.set_result(channel.peer)
        elif role == "worker" and worker is not None and worker.number == frame.stream and worker.channel is None:
            worker.channel = channel
            if hello.mailbox and self.has_mailboxes:
                self._give_mailbox(worker, channel)
            if not self._hello.done():
                self._hello.set_result(channel.peer)
        elif role == "snapshot" and self.on_snapshot is not None:
            self._snapshot = channel
            self.on_snapshot(channel)
            self.on_snapshot = None
        else:
            raise ValueError(f"unexpected HELLO of {role} {frame.stream}")
        self._strangers.discard(channel)

    def _give_mailbox(self, worker: Worker, channel: FrameChannel) -> None:
        try:
            with contextlib.ExitStack() as undo:
                mailbox = Mailbox()
                undo.callback(mailbox.close)
                mailbox.offer(channel)
                undo.pop_all()
                worker.mailbox = mailbox
        except OSError as error:  # everything works without it
            log.warning("a worker gets its events over its connection: %s; folder %s", error, self._folder)

    def _from_keeper(self, frame: Frame) -> None:
        if frame.kind != EXITED:
            raise ValueError(f"unexpected frame of kind {frame.kind} from a keeper")
        if self.worker is not None and frame.stream == self.worker.number:
            self._bury(self.worker, msgspec.json.decode(frame.head or b"{}", type=ProcessEnd))

    def _bury(self, worker: Worker, end: ProcessEnd) -> None:
        worker.obituary = end
        if worker.has_hung_up:
            self._end_worker(worker.obituary)
        else:
            # What it said before it ended may still be on the way: its own connection is read to the end first.
            self._loop.call_later(_PATIENCE_S / 2, self._presume_ended, worker)

    def _end_worker(self, end: ProcessEnd) -> None:
        worker = self.worker
        if worker is None or worker.ended.done():
            return
        worker.end(end)
        if self.on_worker_end is not None:
            self.on_worker_end(worker)

    def channel_lost(self, channel: FrameChannel, error: Exception | None) -> None:
        """From `FrameReceiver`."""
        self._strangers.discard(channel)
        worker = self.worker
        if channel is self._keeper:
            self._keeper = None
            self._end_worker(ProcessEnd(signal=9))
        elif worker is not None and channel is worker.channel:
            worker.channel, worker.has_hung_up = None, True
            if worker.obituary is not None:
                self._end_worker(worker.obituary)
            else:
                # The keeper says how it ended; it is not trusted to say so for ever.
                self._loop.call_later(_PATIENCE_S, self._presume_ended, worker)

    def _presume_ended(self, worker: Worker) -> None:
        if worker is self.worker:
            self._end_worker(worker.obituary or ProcessEnd())
