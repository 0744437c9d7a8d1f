"""The snapshot process: forked from a worker that has the handler loaded, it takes no event and forks further workers.

What a forked worker may share with its siblings it has from the snapshot process: modules, globals, memory. Before it
says READY it has its own user and mount namespaces (so that the invoker can give it its own `/tmp`), sockets, output,
environment and random numbers. docs/runtime-protocol.md tells the rest. Standard library only, Python 3.9 and later.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import time
import traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from runtimes.python import bootstrap
    from runtimes.python import samovar_keeper as keeper
    from runtimes.python import samovar_namespaces as namespaces
    from runtimes.python import samovar_obstacles as obstacles

    Hook = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
else:
    import samovar_keeper as keeper
    import samovar_namespaces as namespaces
    import samovar_obstacles as obstacles

    import __main__ as bootstrap  # the file this process runs; under its own name it would be read a second time

BIND_TIMEOUT_S = 10.0
"""How long a forked worker waits for the invoker to have its `/tmp` and its limits in place."""
WORKER_NUMBER = 1
"""Of a forked worker, on the sockets that are its own."""


class Snapshot:
    """How a worker is divided into itself, the snapshot process, and the workers that are forked from that.

    Made before the handler is loaded.
    """

    def __init__(self, order: bootstrap.Order, connection: bootstrap.Connection) -> None:
        self._order = order
        self._connection = connection
        self._surroundings = obstacles.Surroundings()

    def take(self) -> tuple[str | None, bootstrap.Connection]:
        """Fork the snapshot process.

        Returns in the worker: why it could not be (`None` when it is there), and the worker's connection. Returns
        again in every worker that is forked from the snapshot process, with that worker's own connection; the order
        is then that worker's, too. Raises what a hook of the function raises.
        """
        for function, given, named in reversed(hooks("get_before_snapshot")):
            function(*given, **named)
        why_not = ", ".join([*self._surroundings.obstacles(), *namespaces.missing()]) or self._divide()
        if self._order.announce >= 0:
            os.close(self._order.announce)
            self._order.announce = -1
        return why_not, self._connection

    def run_restore_hooks(self) -> None:
        """Let the function renew what must not be as it was in the snapshot."""
        for function, given, named in hooks("get_after_restore"):
            function(*given, **named)

    def _divide(self) -> str | None:
        """Fork twice, so that the snapshot process is a child of the keeper and not of the function."""
        gc.freeze()  # the garbage collectors of all workers then leave the shared pages alone
        waiting, telling = os.pipe()
        try:
            pid = os.fork()
        except OSError as error:
            os.close(waiting)
            os.close(telling)
            return f"cannot fork: {error.strerror}"
        if not pid:
            os.close(telling)
            self._become_snapshot(waiting)
            return None
        os.close(waiting)
        code = os.waitpid(pid, 0)[1]
        # A library that is written for forks (OpenBLAS) has ended its threads by now, and starts them when needed.
        threads = len(os.listdir("/proc/self/task")) - 1
        if not code and not threads:
            os.write(telling, b"!")
        os.close(telling)
        if threads:
            return obstacles.count(threads, "thread was started", "threads were started")
        return "cannot fork twice" if code else None

    def _become_snapshot(self, waiting: int) -> None:
        """Serve the invoker as the snapshot process. Returns only in a forked worker."""
        try:
            if os.fork():
                os._exit(0)
            if not os.read(waiting, 1):
                os._exit(0)  # the worker has threads
            os.close(waiting)
            self._connection = SnapshotProcess(self._order, self._connection, self._surroundings).run()
        except BaseException:  # noqa: BLE001 - whatever it is, this process must not go on as the worker it was
            traceback.print_exc()
            os._exit(1)


class SnapshotProcess:
    """The process that keeps the memory of a worker that has just loaded its handler."""

    def __init__(
        self, order: bootstrap.Order, former: bootstrap.Connection, surroundings: obstacles.Surroundings
    ) -> None:
        self._order = order
        self._surroundings = surroundings
        self._seats: dict[int, tuple[int, int]] = {}
        """Seat number of each worker that lives, and where it tells what kept it from starting; by process id."""
        os.setsid()
        keeper.control_process(keeper.PR_SET_PDEATHSIG, signal.SIGKILL)
        os.write(order.announce, b"%d" % os.getpid())
        os.close(order.announce)
        order.announce = -1
        former.close()
        self._connection = bootstrap.Connection(order.socket_dir)
        hello = b'{"role": "snapshot", "pid": %d, "protocol": %d}' % (os.getpid(), bootstrap.PROTOCOL)
        self._connection.send(bootstrap.HELLO, order.number, hello)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for number in (1, 2):
            os.dup2(nowhere, number)
        os.close(nowhere)
        self._children = keeper.Children()

    def run(self) -> bootstrap.Connection:
        """Fork a worker for every FORK until the invoker is gone. Returns only in a worker: with its connection."""
        poller = select.poll()
        for source in (self._connection, self._children):
            poller.register(source, select.POLLIN)
        while True:
            ready = {source for source, _ in poller.poll()}
            if self._children.fileno() in ready:
                self._children.acknowledge()
                self._report(keeper.ended_children())
            if self._connection.fileno() not in ready:
                continue
            frames = self._connection.receive()
            if frames is None:
                os._exit(0)  # without the function's own code for the end of a process
            for kind, _, seat, _, body in frames:
                if kind == bootstrap.FORK and (connection := self._fork(seat, body)):
                    return connection

    def _report(self, ended: dict[int, int]) -> None:
        for pid, code in ended.items():
            seat, words = self._seats.pop(pid)
            why = os.read(words, 4096).decode("utf-8", "replace")
            os.close(words)
            self._send_exited(seat, keeper.how_it_ended(code), why)

    def _send_exited(self, seat: int, end: bytes, why: str = "") -> None:
        head = json.dumps({**json.loads(end), "error": why}).encode() if why else end
        self._connection.send(bootstrap.EXITED, seat, head)

    def _fork(self, seat: int, body: bytes) -> bootstrap.Connection | None:
        """Fork a worker: its connection in the worker, `None` here."""
        started = time.monotonic()
        snapshot = os.getpid()
        words, telling = os.pipe()
        try:
            pid = os.fork()
        except OSError as error:
            os.close(words)
            os.close(telling)
            self._send_exited(seat, b'{"status": 1}', f"cannot fork: {error.strerror}")
            return None
        if pid:
            os.close(telling)
            self._seats[pid] = seat, words
            return None
        try:
            os.close(words)
            self._forget()
            connection = self._become_worker(started, snapshot, body)
            os.close(telling)
        except BaseException as error:  # noqa: BLE001 - the snapshot process reports it, on the only connection there is
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            os.write(telling, why.encode("utf-8", "replace")[:4096])
            os._exit(1)
        return connection

    def _forget(self) -> None:
        """Undo, in a forked worker, what makes the snapshot process one."""
        self._children.close()
        self._connection.close()
        for _, words in self._seats.values():
            os.close(words)

    def _become_worker(self, started: float, snapshot: int, body: bytes) -> bootstrap.Connection:
        """Make this process a worker by itself; the order is its own from here on."""
        fields = json.loads(body)
        order = self._order
        order.number, order.socket_dir, order.started = WORKER_NUMBER, fields["socket_dir"], started
        order.environment = fields["environment"]
        os.setsid()
        namespaces.separate()
        keeper.control_process(keeper.PR_SET_PDEATHSIG, signal.SIGKILL)  # until the invoker has it in hand
        if os.getppid() != snapshot:
            raise RuntimeError("the snapshot process has ended")
        connection = bootstrap.Connection(order.socket_dir, is_worker=True)
        hello = b'{"role": "worker", "pid": %d, "protocol": %d, "mailbox": true}' % (os.getpid(), bootstrap.PROTOCOL)
        connection.send(bootstrap.HELLO, order.number, hello)
        await_bind(connection)
        namespaces.drop_capabilities()
        keeper.control_process(keeper.PR_SET_PDEATHSIG, 0)
        keeper.direct_output(order.socket_dir)
        bootstrap.settle_environment(order.environment)
        self._surroundings.separate_files()
        reseed()
        return connection


def await_bind(connection: bootstrap.Connection) -> None:
    """Return when the invoker has this process's `/tmp` and limits in place. Raises `RuntimeError`."""
    poller = select.poll()
    poller.register(connection, select.POLLIN)
    deadline = time.monotonic() + BIND_TIMEOUT_S
    while poller.poll(max(0, deadline - time.monotonic()) * 1000):
        frames = connection.receive()
        if frames is None:
            raise RuntimeError("the invoker hung up before BIND")
        if any(kind == bootstrap.BIND for kind, *_ in frames):
            return
    raise RuntimeError(f"no BIND within {BIND_TIMEOUT_S:g} s of HELLO")


def reseed() -> None:
    """Give this process random numbers of its own. `random` sees to that itself, at every fork."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def hooks(getter: str) -> list[Hook]:
    """What the function has registered with AWS's `snapshot_restore_py`, in the order of registration.

    AWS Lambda developer guide, "Implement code before or after Lambda function snapshots".
    """
    module = sys.modules.get("snapshot_restore_py")
    return list(getattr(module, getter)()) if module is not None else []
