"""The keeper: starts workers, ends them and whatever they leave behind, and never runs a function's code.

`bootstrap.py` has connected it to the invoker and said hello. Standard library only, Python 3.9 and later.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtimes.python import bootstrap
else:
    import __main__ as bootstrap  # the file this process runs; under its own name it would be read a second time

KILL_TIMEOUT_S = 0.9
"""The invoker destroys the environment when no EXITED follows a KILL within a second."""


class Keeper:
    """The first process of ours in an environment."""

    def __init__(self, connection: bootstrap.Connection, socket_dir: str) -> None:
        self._connection = connection
        self._socket_dir = socket_dir
        self._worker: tuple[int, int] | None = None
        """Number and process id of the worker that lives."""
        self._announced = -1
        """Where the worker tells the process id of the snapshot process it has forked."""
        self._shelter = Shelter()

    def run(self) -> bootstrap.Order:
        """Serve the invoker until it is gone. Returns only in a forked child: with the order to carry out."""
        control_process(PR_SET_CHILD_SUBREAPER, 1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C on a terminal we share is the invoker's business
        self._children = Children()
        poller = select.poll()
        for source in (self._connection, self._children):
            poller.register(source, select.POLLIN)
        while True:
            ready = {source for source, _ in poller.poll()}
            if self._children.fileno() in ready:
                self._children.acknowledge()
                self._report(self._reap())
            if self._connection.fileno() not in ready:
                continue
            frames = self._connection.receive()
            if frames is None:
                end_descendants()
                raise SystemExit(0)
            for kind, _, stream, _, body in frames:
                if kind == bootstrap.SPAWN and (order := self._spawn(stream, body)):
                    return order
                if kind == bootstrap.KILL and self._worker is not None and self._worker[0] == stream:
                    self._report(self._end_worker())

    def _reap(self) -> dict[int, int]:
        """As `ended_children`; what the snapshot process is called must be known before its id can be used again."""
        self._meet_snapshot()
        ended = ended_children()
        self._shelter.forget(ended)
        return ended

    def _end_worker(self) -> dict[int, int]:
        self._meet_snapshot()
        ended = end_descendants(self._shelter)
        self._shelter.forget(ended)
        self._forget_announcement()  # a snapshot process that has not spoken by now has been ended
        return ended

    def _meet_snapshot(self) -> None:
        """Learn the process id of the snapshot process, once the worker has forked one."""
        if self._announced < 0:
            return
        try:
            told = os.read(self._announced, 32)
        except BlockingIOError:
            return
        if told.isdigit():
            self._shelter.open(int(told))
        self._forget_announcement()

    def _forget_announcement(self) -> None:
        if self._announced >= 0:
            os.close(self._announced)
            self._announced = -1

    def _report(self, ended: dict[int, int]) -> None:
        """If the worker is among the ended, end what it has left behind and tell the invoker."""
        if self._worker is None or self._worker[1] not in ended:
            return
        number, pid = self._worker
        self._worker = None
        self._end_worker()
        self._send_exited(number, how_it_ended(ended[pid]))

    def _spawn(self, number: int, body: bytes) -> bootstrap.Order | None:
        """Fork; the order in the child, `None` in the keeper."""
        order = bootstrap.Order(number, self._socket_dir, time.monotonic(), body)
        self._report(self._reap())  # the last worker's end may not have been noticed yet
        if self._worker is not None:
            self._refuse(number, f"worker {self._worker[0]} still lives")
            return None
        if order.snapshot:
            self._announced, order.announce = os.pipe()
            os.set_blocking(self._announced, False)
        try:
            pid = os.fork()
        except OSError as error:
            pid = -1
            self._refuse(number, f"cannot fork: {error.strerror}")
        if pid == 0:
            self._forget()
            detach(order)
            return order
        if pid > 0:
            self._worker = number, pid
        if order.announce >= 0:
            os.close(order.announce)
        return None

    def _refuse(self, number: int, why: str) -> None:
        self._send_exited(number, json.dumps({"status": 1, "error": why}).encode())

    def _send_exited(self, number: int, head: bytes) -> None:
        try:
            self._connection.send(bootstrap.EXITED, number, head)
        except ConnectionError:
            return  # the invoker is gone: the next read says so, and everything is ended

    def _forget(self) -> None:
        """Undo, in a forked child, what makes the keeper the keeper."""
        self._children.close()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._forget_announcement()
        self._connection.close()


class Children:
    """Wakes a poll when a child process has ended."""

    def __init__(self) -> None:
        self._pipe = os.pipe()
        for end in self._pipe:
            os.set_blocking(end, False)
        self._former_descriptor = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        self._former_handler = signal.signal(signal.SIGCHLD, lambda *_: None)

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._pipe[0]

    def acknowledge(self) -> None:
        """Take note of the children that have ended so far."""
        os.read(self._pipe[0], 512)

    def close(self) -> None:
        """Handle signals as before; also in a forked child, whose signals are its own."""
        signal.set_wakeup_fd(self._former_descriptor)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL if self._former_handler is None else self._former_handler)
        for end in self._pipe:
            os.close(end)


class Shelter:
    """The processes that do not end with a worker, though they are below the keeper: those of other environments.

    They descend from the snapshot process, or were moved to a control group of their own by the invoker; nothing
    that runs inside can do that. The latter tells them apart after the snapshot process has died.
    """

    def __init__(self) -> None:
        self.snapshot = 0
        """Process id of the snapshot process; 0 while there is none."""
        self._is_open = False

    def open(self, snapshot: int) -> None:
        """Further workers will be forked from that process."""
        self.snapshot = snapshot
        self._is_open = True

    def forget(self, ended: dict[int, int]) -> None:
        """Those processes are no more; their ids may name others from now on."""
        if self.snapshot in ended:
            self.snapshot = 0

    def covers(self, pid: int) -> bool:
        """Whether this process, and with it what is below it, is none of the keeper's worker."""
        return pid == self.snapshot or (self._is_open and control_groups(str(pid)) not in (b"", control_groups("self")))


def control_groups(process: str) -> bytes:
    """Which control groups a process is in, as proc_pid_cgroup(5) writes it; empty when it has ended."""
    try:
        with open(f"/proc/{process}/cgroup", "rb") as groups:
            return groups.read()
    except OSError:
        return b""


PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def control_process(option: int, value: int) -> None:
    """prctl(2). Where Python comes without ctypes the environment works, but its daemons end only with it."""
    try:
        import ctypes
    except ImportError:
        return
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def ended_children() -> dict[int, int]:
    """Wait statuses of the children that have ended, by process id."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, code = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if not pid:
            return ended
        ended[pid] = code


def how_it_ended(code: int) -> bytes:
    """Head of EXITED for a wait status."""
    return b'{"signal": %d}' % os.WTERMSIG(code) if os.WIFSIGNALED(code) else b'{"status": %d}' % (code >> 8)


def descendants(root: int, shelter: Shelter | None = None) -> dict[int, int]:
    """Process groups of all processes below `root`, by process id, but for those in the shelter.

    Daemons are among them: when what started them has ended, they fall to the keeper, the subreaper.
    """
    found: dict[int, tuple[int, int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as stat:
                parent, group = stat.read().rpartition(b")")[2].split()[1:3]
        except (OSError, ValueError):
            continue  # it has ended in the meantime
        found[int(name)] = int(parent), int(group)
    family, fresh = {root}, {root}
    while fresh:
        children = {pid for pid, (parent, _) in found.items() if parent in fresh and pid not in family}
        fresh = {pid for pid in children if shelter is None or not shelter.covers(pid)}
        family |= fresh
    return {pid: found[pid][1] for pid in family - {root}}


def end_descendants(shelter: Shelter | None = None) -> dict[int, int]:
    """Kill every process below this one that has no shelter; the wait statuses of those that were our children.

    Whole groups are killed, because the kernel does that in one step: no process forks its way out of it. Where
    something still lives in the end, we go, and the invoker, which sees that, destroys the environment.
    """
    deadline = time.monotonic() + KILL_TIMEOUT_S
    ended = ended_children()
    while family := descendants(os.getpid(), shelter):
        groups = set(family.values()) - {0, 1, os.getpgrp()}
        for target in [*(-group for group in groups), *family]:
            try:
                os.kill(target, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            raise SystemExit(f"processes {sorted(family)} cannot be killed")
        time.sleep(0.0002)
        ended.update(ended_children())
    return ended


def detach(order: bootstrap.Order) -> None:
    """Make a forked child a worker's process: own session, no input, output to the invoker."""
    os.setsid()
    control_process(PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("1000")
    except OSError as error:
        sys.stderr.write(f"the worker cannot offer itself to the OOM killer: {error}\n")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    direct_output(order.socket_dir)


def direct_output(socket_dir: str) -> None:
    """Make the invoker's socket for output this process's stdout and stderr."""
    output = bootstrap.connect(socket_dir, "output.sock")
    for number in (1, 2):
        os.dup2(output.fileno(), number)
    output.close()
