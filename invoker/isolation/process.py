"""The isolation `none`: the runtime as a plain process of the invoker's user. For trying things out, never for
code one does not trust: nothing is hidden from it, and only what control groups hold is limited.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from invoker.environments.kits import Kits
from invoker.environments.runtimes import Interpreter, Runtime, extended, require_interpreter
from invoker.environments.runtimes import runtime as find_runtime
from invoker.isolation import rlimits
from invoker.isolation.carried import Carrier, provide, variables
from invoker.isolation.cgroup import MEGABYTE, Cgroup, Cgroups
from invoker.isolation.child import Child, Command, spawn
from invoker.isolation.contract import OPT_DIR, BoxSpec, refuse_image
from invoker.isolation.local import LocalBox, Meter, View, remove, stop, sweep
from invoker.isolation.watch import Watch, processes
from samovar.errors import EnvironmentFailure
from samovar.link.operations import IsolationStatus

_INHERITED = ("PATH", "LANG", "LD_LIBRARY_PATH")
"""Variables of the invoker the keeper needs to find what the host's programs find."""


class _Program(NamedTuple):
    """What is started."""

    arguments: tuple[str, ...]
    runtime_dir: Path
    variables: dict[str, str]


class ProcessIsolation:
    """Starts keepers without anything around them."""

    name = "none"

    def __init__(
        self,
        instance: str,
        *,
        find_interpreter: Callable[[str], Interpreter] = require_interpreter,
        find_cgroups: Callable[[str], Cgroups | None] = Cgroups.find,
        carrier: Carrier | None = None,
        kits: Kits | None = None,
    ) -> None:
        """As `SandboxIsolation`."""
        self._find_interpreter = find_interpreter
        self._carrier = carrier
        self._kits = kits
        self._cgroups = find_cgroups(f"{instance}-none")
        self._prefix = f"samovar-{instance}-"
        self._own: set[str] = set()

    def can_seat(self, spec: BoxSpec) -> bool:
        """See `Isolation.can_seat`: there is no `/tmp` to have one of its own of."""
        return False

    async def start(self, spec: BoxSpec) -> LocalBox:
        """See `Isolation.start`. The network is the host's, whatever is asked for."""
        refuse_image(spec, self.name)
        known = extended(spec.runtime) if spec.is_extended else find_runtime(spec.runtime)
        program = await asyncio.to_thread(self._program, known)
        async with contextlib.AsyncExitStack() as held:
            try:
                folder = held.enter_context(tempfile.TemporaryDirectory(prefix=f"{self._prefix}{spec.id}-"))
                self._own.add(folder)
                held.callback(self._own.discard, folder)
                group = self._cgroups.create(spec.id, spec.limits) if self._cgroups is not None else None
                if group is not None:
                    held.push_async_callback(remove, group)
                child = Child(spawn(_command(spec, program, folder)))
                held.push_async_callback(stop, child, lambda: _kill(child))
                if group is not None:
                    await asyncio.to_thread(group.add, child.pid)
                pids = self._cgroups is None or "pids" not in self._cgroups.limits()
                rlimits.apply(child.pid, spec.limits, memory=False, pids=pids)
            except OSError as error:
                raise EnvironmentFailure(f"the process could not be started: {error}") from error
            view = View(
                task_root=str(spec.code_dir),
                runtime_dir=str(program.runtime_dir),
                tmp_dir=folder,
                opt_dir=str(spec.layers_dir or OPT_DIR),
            )
            return LocalBox(spec.id, child.pid, child, _meter(group, child, spec, held), view, held.pop_all())
        raise AssertionError("an exit stack that swallowed an error")

    async def prepare(self, runtime: str) -> None:
        """See `Isolation.prepare`: looks for the interpreter."""
        await asyncio.to_thread(self._program, find_runtime(runtime))

    def _program(self, known: Runtime) -> _Program:
        if not known.interpreters:
            carried = provide(self._carrier)
            return _Program(carried.command(str(carried.folder)), carried.nothing, variables(known))
        interpreter = self._find_interpreter(known.name).executable
        kit = known if self._kits is None else self._kits.equip(known, interpreter)
        command = (interpreter, str(kit.bootstrap))
        if not known.worker:
            return _Program(command, kit.folder, {})
        carried = provide(self._carrier)
        return _Program(carried.command(str(carried.folder)), kit.folder, variables(known, command))

    async def sweep(self) -> int:
        """See `Isolation.sweep`."""
        left = await sweep(self._cgroups)
        return max(left, await asyncio.to_thread(self._sweep_folders))

    def _sweep_folders(self) -> int:
        left = [
            folder for folder in Path(tempfile.gettempdir()).glob(f"{self._prefix}*") if str(folder) not in self._own
        ]
        for folder in left:
            shutil.rmtree(folder)
        return len(left)

    async def status(self) -> IsolationStatus:
        """See `Isolation.status`."""
        substitutes = {"memory": "memory watch", "cpu": "not limited", "pids": "rlimit", "tmp": "not limited"}
        held = self._cgroups.limits() if self._cgroups is not None else {}
        limits = {**substitutes, **held, "open_files": "rlimit"}
        return IsolationStatus(name=self.name, available=True, detail="no isolation: trusted code only", limits=limits)

    async def close(self) -> None:
        """See `Isolation.close`."""
        if self._cgroups is not None:
            self._cgroups.close()


def _command(spec: BoxSpec, program: _Program, tmp_dir: str) -> Command:
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    own = {"SAMOVAR_SOCKET_DIR": str(spec.socket_dir), "TMPDIR": tmp_dir, "PYTHONDONTWRITEBYTECODE": "1"}
    return Command(
        arguments=program.arguments,
        environment={**inherited, **own, **spec.variables, **program.variables},
        directory=spec.code_dir,
        session=True,
    )


def _kill(child: Child) -> None:
    """Kill the keeper and all that descends from it, also what has left its session."""
    if child.ended:
        return
    for pid in reversed(processes(child.pid)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _meter(group: Cgroup | None, child: Child, spec: BoxSpec, held: contextlib.AsyncExitStack) -> Meter:
    if group is not None and group.limits_memory:
        return group.gauge
    watch = Watch(child.pid, spec.limits.memory_mb * MEGABYTE, spared=1)
    held.callback(watch.close)
    return watch
