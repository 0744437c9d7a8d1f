"""The `sandbox` isolation: one bubblewrap a box, control groups where the host gives them, a watch where not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from invoker.environments.kits import Kits
from invoker.environments.runtimes import Interpreter, Runtime, extended, require_interpreter
from invoker.environments.runtimes import runtime as find_runtime
from invoker.isolation.carried import Carrier, provide, variables
from invoker.isolation.cgroup import MEGABYTE, Cgroups
from invoker.isolation.child import Child
from invoker.isolation.contract import OPT_DIR, RUNTIME_DIR, TASK_ROOT, BoxSpec, refuse_image
from invoker.isolation.local import LocalBox, Meter, View, finished, remove, stop, sweep
from invoker.isolation.sandbox import probe
from invoker.isolation.sandbox.bwrap import Program
from invoker.isolation.sandbox.launch import Launched, Launcher, Order
from invoker.isolation.sandbox.network import Bridge, resolver
from invoker.isolation.sandbox.stem import SandboxStem
from invoker.isolation.sandbox.users import GROUP, PASSWD, Users
from invoker.isolation.seats import Seats, scale_out
from invoker.isolation.stem_cell import Unsupported
from invoker.isolation.watch import Watch
from samovar.errors import EnvironmentFailure
from samovar.link.operations import IsolationStatus

_BUILD_DEADLINE_S = 10.0
_VIEW = View(task_root=TASK_ROOT, runtime_dir=RUNTIME_DIR, tmp_dir="/tmp")  # noqa: S108 - the box's own
_FILES = {
    "/etc/passwd": PASSWD.encode(),
    "/etc/group": GROUP.encode(),
    # The two names of the sandbox are Lambda's: extensions listen there for telemetry.
    "/etc/hosts": b"127.0.0.1 localhost samovar sandbox.localdomain sandbox\n::1 localhost\n",
    "/etc/nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files dns\n",
}


class SandboxIsolation:
    """Starts boxes with bubblewrap. Needs Linux with user namespaces, nothing else; works for root and for others."""

    name = "sandbox"

    def __init__(
        self,
        instance: str,
        *,
        find_interpreter: Callable[[str], Interpreter] = require_interpreter,
        find_cgroups: Callable[[str], Cgroups | None] = Cgroups.find,
        seats: Seats | None = None,
        carrier: Carrier | None = None,
        kits: Kits | None = None,
    ) -> None:
        """`instance` is the same for every invoker on one data directory and for no other.

        `find_interpreter` may take its time and raises `EnvironmentFailure` for a runtime this host lacks;
        `find_cgroups` answers `None` where boxes must do without. With `seats`, environments can be forked into boxes.
        `carrier` has the keeper of runtimes that are no Python; without it they cannot be started. `kits` has what
        Python finds in its runtime; without them that is the runtime alone.
        """
        self._instance = instance
        self._seats = seats
        self._find_interpreter = find_interpreter
        self._find_cgroups = find_cgroups
        self._carrier = carrier
        self._kits = kits
        self._users = Users(instance) if os.geteuid() == 0 else None
        self._bridge = Bridge()
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="sandbox")
        self._tools: tuple[Launcher, Cgroups | None] | None = None

    def can_seat(self, spec: BoxSpec) -> bool:
        """See `Isolation.can_seat`."""
        if self._seats is None or self._seats.why_none(self.name) is not None or spec.is_extended:
            return False
        return find_runtime(spec.runtime).can_fork

    async def start(self, spec: BoxSpec) -> LocalBox:
        """See `Isolation.start`."""
        launched, child, held = await self._start(spec, stem=False)
        return LocalBox(spec.id, launched.first, child, _meter(launched, spec, held), _VIEW, held)

    def can_bind(self, spec: BoxSpec) -> bool:
        """See `StemIsolation.can_bind`: what is mounted at `OPT_DIR` would hide an interpreter that runs from there."""
        if spec.image is not None or spec.is_extended:
            return False
        return spec.layers_dir is None or not _lies_in_opt(self._mounts(spec.runtime))

    async def start_stem(self, spec: BoxSpec) -> SandboxStem:
        """See `StemIsolation.start_stem`."""
        _, cgroups = self._ready()
        if cgroups is None or "memory" not in cgroups.limits():
            raise Unsupported("there are no control groups in which to raise a limit")
        launched, child, held = await self._start(spec, stem=True)
        return SandboxStem(spec.id, launched, child, _VIEW, held)

    async def _start(self, spec: BoxSpec, *, stem: bool) -> tuple[Launched, Child, contextlib.AsyncExitStack]:
        """A box that has been built, and all it holds."""
        refuse_image(spec, self.name)
        launcher, _ = self._ready()
        known = extended(spec.runtime) if spec.is_extended else find_runtime(spec.runtime)
        program = await asyncio.to_thread(self._program, known)
        async with contextlib.AsyncExitStack() as held:
            try:
                order = self._order(spec, program, stem)
                starting = asyncio.get_running_loop().run_in_executor(self._starter, launcher.launch, order)
                launched, cancelled = await finished(starting)
                child = self._hold(launched, order.connect is not None, held)
                if cancelled:
                    raise asyncio.CancelledError
                await _built(launched, child)
            except OSError as error:
                raise EnvironmentFailure(f"the sandbox could not be started: {error}") from error
            return launched, child, held.pop_all()
        raise AssertionError("an exit stack that swallowed an error")

    async def prepare(self, runtime: str) -> None:
        """See `Isolation.prepare`: looks for the interpreter."""
        await asyncio.to_thread(self._program, find_runtime(runtime))

    async def sweep(self) -> int:
        """See `Isolation.sweep`."""
        return await sweep(self._ready()[1])

    async def status(self) -> IsolationStatus:
        """See `Isolation.status`. Builds an empty box to find out."""
        try:
            launcher, cgroups = self._ready()
            detail = await asyncio.get_running_loop().run_in_executor(self._starter, probe.run, launcher)
        except (EnvironmentFailure, OSError) as error:
            return IsolationStatus(name=self.name, available=False, detail=str(error))
        limits = {**_mechanisms(cgroups), "scale-out": scale_out(self._seats, self.name)}
        return IsolationStatus(name=self.name, available=True, detail=detail, limits=limits)

    async def close(self) -> None:
        """See `Isolation.close`."""
        await asyncio.to_thread(self._bridge.close)
        if self._kits is not None:
            self._kits.close()
        self._starter.shutdown()
        if self._users is not None:
            self._users.close()
        if self._tools is not None and self._tools[1] is not None:
            self._tools[1].close()

    def _ready(self) -> tuple[Launcher, Cgroups | None]:
        """What the host offers, found out once."""
        if self._tools is None:
            cgroups = self._find_cgroups(self._instance)
            self._tools = Launcher(self._users, cgroups), cgroups
        return self._tools

    def _order(self, spec: BoxSpec, program: Program, stem: bool) -> Order:
        files = dict(_FILES)
        if spec.layers_dir is not None and _lies_in_opt(program.mounts):
            raise EnvironmentFailure(
                f"the interpreter of {spec.runtime} on this host is in {OPT_DIR}, where the function's layers belong: "
                "run the function with isolation docker, or install the interpreter elsewhere"
            )
        if spec.network != "none":
            files["/etc/resolv.conf"] = resolver(spec.network)
        connect = self._bridge.connect if spec.network == "bridge" else None
        seats = self.can_seat(spec)
        return Order(spec=spec, program=program, stem=stem, seats=seats, files=files, connect=connect)

    def _mounts(self, name: str) -> tuple[str, ...]:
        return self._find_interpreter(name).mounts if find_runtime(name).interpreters else ()

    def _program(self, known: Runtime) -> Program:
        if not known.interpreters:
            carried = provide(self._carrier)
            return Program(
                arguments=carried.command(),
                mounts=(),
                runtime_dir=carried.nothing,
                keeper_dir=carried.folder,
                variables=variables(known),
            )
        interpreter = self._find_interpreter(known.name)
        kit = known if self._kits is None else self._kits.equip(known, interpreter.executable)
        # -S: the .pth files of this host's packages are run for nobody. The bootstrap adds the packages themselves.
        flags = ("-S",) if known.language == "python" else ()
        command = (interpreter.executable, *flags, f"{RUNTIME_DIR}/{known.bootstrap.name}")
        if not known.worker:
            return Program(arguments=command, mounts=interpreter.mounts, runtime_dir=kit.folder)
        carried = provide(self._carrier)
        return Program(
            arguments=carried.command(),
            mounts=interpreter.mounts,
            runtime_dir=kit.folder,
            keeper_dir=carried.folder,
            variables=variables(known, command),
        )

    def _hold(self, launched: Launched, bridged: bool, held: contextlib.AsyncExitStack) -> Child:
        """Take over what a launch made: the exit stack undoes it in reverse, processes first."""
        if self._users is not None and launched.user is not None:
            held.callback(self._users.give_back, launched.user)
        if launched.group is not None:
            held.push_async_callback(remove, launched.group)
        if bridged:
            held.push_async_callback(asyncio.to_thread, self._bridge.disconnect, launched.first)
        held.callback(os.close, launched.first_pidfd)
        held.enter_context(launched.gate)
        child = Child(launched.process)
        held.push_async_callback(stop, child, lambda: _kill(launched.first_pidfd))
        return child


def _kill(pidfd: int) -> None:
    """Kill the first process of a box; the kernel kills all others of its pid namespace before it is gone."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)


async def _built(launched: Launched, child: Child) -> None:
    """Return once bubblewrap has passed its gate, which it reads last: the box is built, the keeper is next."""
    try:
        async with asyncio.timeout(_BUILD_DEADLINE_S):
            await asyncio.get_running_loop().sock_recv(launched.gate, 1)
    except ConnectionResetError:  # it ended with the gate's byte unread
        await child.wait()
        raise EnvironmentFailure(f"bubblewrap could not build the box: {child.errors or 'no reason given'}") from None
    except TimeoutError:
        raise EnvironmentFailure(f"bubblewrap did not build the box within {_BUILD_DEADLINE_S:g} s") from None
    finally:
        launched.gate.close()


def _meter(launched: Launched, spec: BoxSpec, held: contextlib.AsyncExitStack) -> Meter:
    if launched.group is not None and launched.group.limits_memory:
        return launched.group.gauge
    watch = Watch(launched.first, spec.limits.memory_mb * MEGABYTE)
    held.callback(watch.close)
    return watch


def _lies_in_opt(mounts: tuple[str, ...]) -> bool:
    return any(Path(path).is_relative_to(OPT_DIR) for path in mounts)


def _mechanisms(cgroups: Cgroups | None) -> dict[str, str]:
    substitutes = {"memory": "memory watch and rlimit", "cpu": "not limited: no control groups", "pids": "rlimit"}
    held = cgroups.limits() if cgroups is not None else {}
    fixed = {"open_files": "rlimit", "tmp": "tmpfs", "system calls": "seccomp"}
    return {**substitutes, **held, **fixed}
