"""From the wish for a box to bubblewrap building it: one blocking function, for the thread that starts boxes.

It must be one thread that lives as long as the boxes do, because bubblewrap dies with the *thread* that started
it, and because version 1 control groups take in a thread (see `Cgroup.entered`).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from invoker.isolation import rlimits
from invoker.isolation.cgroup import Cgroup, Cgroups
from invoker.isolation.child import Command, readable, spawn
from invoker.isolation.contract import BoxSpec
from invoker.isolation.sandbox import bwrap, seccomp
from invoker.isolation.sandbox.bwrap import Descriptors, Program
from invoker.isolation.sandbox.users import User, Users
from samovar.errors import EnvironmentFailure

_DEADLINE_S = 10.0
_OUT_OF_MEMORY_SCORE = "500"
"""When the host itself runs out of memory, boxes go before the platform (proc(5), `oom_score_adj`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to launch."""

    spec: BoxSpec
    program: Program
    stem: bool = False
    """Whether it is a box without code, which waits for its function."""
    seats: bool = False
    """Whether environments may be forked into it."""
    files: Mapping[str, bytes]
    """Path inside → content."""
    connect: Callable[[int], None] | None = None
    """Gives the network namespace of the process with that pid its way out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A bubblewrap that has been told all it needs."""

    process: subprocess.Popen[bytes]
    first: int
    """Host pid of the first process inside, the one that all others end with."""
    first_pidfd: int
    gate: socket.socket
    """Ends when bubblewrap has built the box; raises `ConnectionResetError` when it could not."""
    group: Cgroup | None
    user: User | None


class Launcher:
    """Launches boxes, with what the host gives: control groups or none, users of its own or none."""

    def __init__(self, users: Users | None, cgroups: Cgroups | None) -> None:
        self._bwrap = bwrap.find()
        self._users = users
        self._cgroups = cgroups
        self._held = cgroups.limits() if cgroups is not None else {}

    def launch(self, order: Order) -> Launched:
        """Start bubblewrap, limit it while it waits at its gate, and open the gate.

        Raises `EnvironmentFailure` with bubblewrap's own words, or `OSError`, after having undone everything.
        """
        spec = order.spec
        with contextlib.ExitStack() as undo:
            user = group = None
            if self._users is not None:
                user = self._users.take()
                undo.callback(self._users.give_back, user)
                admit(user.uid, spec.socket_dir)
            if self._cgroups is not None:
                group = self._cgroups.create(spec.id, spec.limits)
                undo.callback(_discard, group)
            info, info_theirs = os.pipe()
            gate, gate_theirs = socket.socketpair()
            undo.enter_context(gate)
            with contextlib.closing(os.fdopen(info, "rb", buffering=0)) as told:
                process, born_inside = self._spawn(order, group, user, (info_theirs, gate_theirs))
                undo.callback(_end, process)
                first = _first_process(process, told.fileno())
            try:
                if group is not None and not born_inside:
                    group.add(first)
                first_pidfd = self._limit(order, first)
                undo.callback(os.close, first_pidfd)
                gate.send(b"1")
            except (ProcessLookupError, FileNotFoundError, BrokenPipeError):
                # It has ended already, over something it could not mount.
                raise EnvironmentFailure(f"bubblewrap could not build the box: {_last_words(process)}") from None
            gate.setblocking(False)
            undo.pop_all()
        return Launched(process=process, first=first, first_pidfd=first_pidfd, gate=gate, group=group, user=user)

    def _limit(self, order: Order, first: int) -> int:
        """Put the first process inside its limits and on its network; answers with its pidfd. Raises `OSError`."""
        memory, pids = "memory" not in self._held, "pids" not in self._held
        rlimits.apply(first, order.spec.limits, memory=memory, pids=pids)
        Path(f"/proc/{first}/oom_score_adj").write_text(_OUT_OF_MEMORY_SCORE)
        if order.connect is not None:
            order.connect(first)
        return os.pidfd_open(first)

    def discard(self, launched: Launched) -> None:
        """End a launch that has become nobody's box, and undo it. Blocks until it is gone."""
        _end(launched.process)
        launched.gate.close()
        os.close(launched.first_pidfd)
        if launched.group is not None:
            _discard(launched.group)
        if self._users is not None and launched.user is not None:
            self._users.give_back(launched.user)

    def describe(self) -> str:
        """What launches boxes here, e.g. `bubblewrap 0.11.0, as a user of its own each`."""
        version = subprocess.run(
            (self._bwrap, "--version"), capture_output=True, text=True, timeout=_DEADLINE_S, check=True
        ).stdout.strip()
        return f"{version}, as {'a user of its own' if self._users is not None else 'the user of the invoker'} each"

    def _spawn(
        self, order: Order, group: Cgroup | None, user: User | None, ends: tuple[int, socket.socket]
    ) -> tuple[subprocess.Popen[bytes], bool]:
        """The process, and whether it was born in its control group."""
        info, gate = ends
        with contextlib.ExitStack() as theirs:
            theirs.callback(os.close, info)
            theirs.enter_context(gate)
            descriptors = Descriptors(
                files={path: theirs.enter_context(_memory(content)) for path, content in order.files.items()},
                seccomp=theirs.enter_context(_memory(seccomp.program(seats=order.seats))),
                info=info,
                block=gate.fileno(),
                user_namespace=user.namespace if user is not None else None,
            )
            words = bwrap.options(order.spec, order.program, descriptors, stem=order.stem)
            listed = theirs.enter_context(_memory(b"".join(os.fsencode(word) + b"\0" for word in words)))
            command = Command(
                arguments=(*_without_groups(), str(self._bwrap), "--args", str(listed), "--", *order.program.arguments),
                inherited=(*descriptors.all(), listed),
            )
            if group is None:
                return spawn(command), False
            with group.entered() as born_inside:
                return spawn(command), born_inside


def _without_groups() -> tuple[str, ...]:
    """A uid of its own is worth little with root's groups, and bubblewrap does not drop them."""
    return ("setpriv", "--clear-groups") if os.geteuid() == 0 and os.getgroups() else ()


def admit(uid: int, socket_dir: Path) -> None:
    """Let the box's user, and no other box's, connect to the sockets made for it."""
    os.chown(socket_dir, uid, uid)
    for entry in os.scandir(socket_dir):
        os.chown(entry.path, uid, uid, follow_symlinks=False)


@contextlib.contextmanager
def _memory(content: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("samovar")
    try:
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _first_process(process: subprocess.Popen[bytes], info: int) -> int:
    """The pid bubblewrap tells for the first process inside."""
    told, deadline = b"", time.monotonic() + _DEADLINE_S
    while readable(info, deadline - time.monotonic()):
        data = os.read(info, 4096)
        if not data:
            break
        told += data
    try:
        return int(json.loads(told)["child-pid"])
    except (ValueError, LookupError):
        raise EnvironmentFailure(f"bubblewrap could not start: {_last_words(process)}") from None


def _last_words(process: subprocess.Popen[bytes]) -> str:
    """What bubblewrap complained of before it ended, or is made to end."""
    process.kill()
    assert process.stderr is not None
    return process.stderr.read(4096).decode(errors="replace").strip() or "it gave no reason"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a launch that failed. Its child, if there is one, has not set its death signal yet: it goes first."""
    with contextlib.suppress(OSError):  # bubblewrap has ended by itself
        for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(pid), signal.SIGKILL)
    process.kill()
    process.wait()
    if process.stderr is not None:
        process.stderr.close()


def _discard(group: Cgroup) -> None:
    deadline = time.monotonic() + 1.0
    while True:
        group.kill()
        if group.remove() or time.monotonic() > deadline:
            return
        time.sleep(0.005)
