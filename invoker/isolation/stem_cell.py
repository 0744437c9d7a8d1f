"""One stem cell: a box without code whose keeper has started, warmed up, and waits for a function.

Its keeper holds a connection to `stem.sock` (docs/runtime-protocol.md, "Stem cells"), so that both sides know at once
when the other has gone. Binding puts the function's code and the folder with the invoker's sockets into the
box's mount namespace, raises the limits, and tells the keeper to go on as any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol, cast

from invoker.isolation import mounts
from invoker.isolation.cgroup import Places, apply_limits
from invoker.isolation.contract import OPT_DIR, SOCKET_DIR, STEM_DIR, TASK_ROOT, Box, BoxSpec, Isolation
from samovar.errors import EnvironmentFailure
from samovar.function import Limits

STEM_SOCKET = "stem.sock"
STEM_VARIABLES: Mapping[str, str] = {"SAMOVAR_STEM_CELL": STEM_DIR}
"""What tells a keeper that it is one, and where that socket is."""


class Unsupported(EnvironmentFailure):
    """This host cannot have stem cells; says why."""


class Stem(Box, Protocol):
    """A box that can be given to a function after it was started."""

    @property
    def control_groups(self) -> Places | None:
        """Where its limits are set, if the host shows us."""
        ...

    def admit(self, socket_dir: Path) -> None:
        """Let its processes use the sockets of a folder. Raises `OSError`."""
        ...

    def become(self, box: str) -> None:
        """Be the box of that id from now on, one that has used nothing yet."""
        ...

    async def agree_on_limits(self, limits: Limits) -> None:
        """Tell whoever keeps books of boxes of the limits that its control group has now. May take its time.

        Raises `EnvironmentFailure`.
        """
        ...


class StemIsolation(Isolation, Protocol):
    """An isolation that has stems."""

    def can_bind(self, spec: BoxSpec) -> bool:
        """Whether a stem can become this box, limits and network apart."""
        ...

    async def start_stem(self, spec: BoxSpec) -> Stem:
        """Start a box like `start`'s, but without code, with `BoxSpec.socket_dir` at `STEM_DIR`.

        Raises as `start` does, and `Unsupported`.
        """
        ...


class StemSocket(asyncio.Protocol):
    """Listens for the keeper of one stem cell, and tells when it is ready and when it is gone."""

    def __init__(self, folder: Path) -> None:
        self.on_end: Callable[[], None] | None = None
        """Told when the keeper hangs up; not when we do."""
        self._folder = folder
        self._server: asyncio.Server | None = None
        self._transport: asyncio.Transport | None = None
        self._ready = asyncio.Event()
        self._is_closed = False

    async def open(self) -> None:
        """Make the folder, and listen in it. Raises `OSError`."""
        self._folder.mkdir(mode=0o755, parents=True)
        path = self._folder / STEM_SOCKET
        loop = asyncio.get_running_loop()
        # In two steps, because between them there is a moment at which a cancelled task would lose the server.
        self._server = await loop.create_unix_server(lambda: self, str(path), start_serving=False)
        path.chmod(0o666)
        await self._server.start_serving()

    @property
    def is_connected(self) -> bool:
        """Whether the keeper is there."""
        return self._transport is not None and not self._transport.is_closing()

    async def ready(self) -> None:
        """Return when the keeper has warmed up."""
        await self._ready.wait()

    def go_on(self) -> None:
        """Tell the keeper that it belongs to a function now. Raises `EnvironmentFailure` if it is gone."""
        if self._transport is None or self._transport.is_closing():
            raise EnvironmentFailure("its keeper has ended")
        self._transport.write(b"bound")

    def close(self) -> None:
        """Stop listening, and remove the folder; the box keeps what it has of it. Idempotent."""
        self.on_end = None
        self._is_closed = True
        if self._transport is not None:
            self._transport.close()
        if self._server is not None:
            self._server.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From asyncio."""
        newcomer = cast(asyncio.Transport, transport)  # not a subclass of it in every event loop
        if self._is_closed or self._transport is not None:  # it was accepted before that, or is not the keeper
            newcomer.abort()
        else:
            self._transport = newcomer

    def data_received(self, data: bytes) -> None:
        """From asyncio."""
        self._ready.set()

    def connection_lost(self, error: Exception | None) -> None:
        """From asyncio."""
        if self.on_end is not None:
            self.on_end()


class StemCell:
    """See the module. Used once, by `bind`, or destroyed."""

    def __init__(self, runtime: str, box: Stem, socket: StemSocket) -> None:
        """Takes over a box that has been started, and its socket, which is open."""
        self.runtime = runtime
        self.box = box
        self._socket = socket
        self._namespace = -1
        """Held open from before it is warm: a pid may soon be somebody else's, a namespace never is."""

    @classmethod
    async def start(cls, spec: BoxSpec, start: Callable[[BoxSpec], Awaitable[Stem]], timeout_s: float) -> StemCell:
        """A warm cell, from a box that `start` makes. Raises `EnvironmentFailure`, and leaves nothing then."""
        socket = StemSocket(spec.socket_dir)
        try:
            await socket.open()
            cell = cls(spec.runtime, await start(spec), socket)
        except OSError as error:
            socket.close()
            raise Unsupported(f"no socket can be made in {spec.socket_dir}: {error.strerror}") from error
        except BaseException:
            socket.close()
            raise
        try:
            await cell._warm_up(timeout_s)
        except BaseException:
            with contextlib.suppress(EnvironmentFailure):  # the isolation tries again later
                await cell.destroy("it did not become a stem cell")
            raise
        return cell

    def on_end(self, tell: Callable[[], None]) -> None:
        """Have `tell` called when it dies before it is bound."""
        self._socket.on_end = tell

    async def _warm_up(self, timeout_s: float) -> None:
        if self.box.control_groups is None or self.box.pid is None:
            raise Unsupported("the host does not show the invoker the processes and control groups of boxes")
        await self._keeper_is_ready(timeout_s)
        try:
            self._namespace = os.open(f"/proc/{self.box.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
            await mounts.in_thread_of_its_own(partial(mounts.enter, self._namespace))
        except FileNotFoundError as error:
            raise EnvironmentFailure("a stem cell ended as soon as it was warm") from error
        except OSError as error:
            raise Unsupported(f"the invoker may not enter boxes: {error.strerror}") from error
        if not self._socket.is_connected:
            raise EnvironmentFailure("a stem cell ended as soon as it was warm")

    async def _keeper_is_ready(self, timeout_s: float) -> None:
        ready = asyncio.ensure_future(self._socket.ready())
        ended = asyncio.ensure_future(self.box.wait())
        try:
            await asyncio.wait({ready, ended}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                raise EnvironmentFailure(f"a stem cell ended before it was warm: it {ended.result()}")
            if not ready.done():
                raise EnvironmentFailure(f"a stem cell was not warm after {timeout_s:g} s")
        finally:
            ready.cancel()
            ended.cancel()

    async def bind(self, spec: BoxSpec) -> Stem:
        """Make it the box of `spec`. Raises `EnvironmentFailure` when it cannot be, and is to be destroyed then."""
        try:
            await mounts.in_thread_of_its_own(partial(self._furnish, spec))
        except OSError as error:
            raise EnvironmentFailure(f"it cannot be bound: {error.strerror}") from error
        self._socket.go_on()
        self._let_go()
        self.box.become(spec.id)
        return self.box

    def _furnish(self, spec: BoxSpec) -> None:
        assert self.box.control_groups is not None, "only a warm cell is bound"
        apply_limits(self.box.control_groups, spec.limits)
        self.box.admit(spec.socket_dir)
        layers = {} if spec.layers_dir is None else {OPT_DIR: spec.layers_dir}
        mounts.put({TASK_ROOT: spec.code_dir, **layers, SOCKET_DIR: spec.socket_dir}, self._namespace)

    async def destroy(self, reason: str) -> None:
        """Remove it with every trace. Idempotent. Raises `EnvironmentFailure` as `Box.destroy` does."""
        self._let_go()
        await self.box.destroy(reason)

    def _let_go(self) -> None:
        self._socket.close()
        namespace, self._namespace = self._namespace, -1
        if namespace >= 0:
            os.close(namespace)
