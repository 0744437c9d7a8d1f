"""What runs inside an environment of a Python runtime: the keeper, and the worker it forks.

The keeper connects to the invoker, forks a worker when told to, and reports how it ended. This file holds
what both share: frames, connections, processes. What a worker does with events is in `samovar_worker.py`
beside it. Both speak docs/runtime-protocol.md, need the standard library only, and run on Python 3.9 and later.

The keeper says hello before it imports anything that costs time (the worker's file among it, which would
take longer to compile than the interpreter takes to start), and imports what every worker needs before the first fork.
"""

from __future__ import annotations

import _socket  # `socket` would cost more than everything before HELLO; its C half is all that is needed
import os
import struct
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType
    from typing import NoReturn

    Frame = tuple[int, int, int, bytes, bytes]

PROTOCOL = 1
SOCKET_DIR = "/run/samovar"
STEM_VARIABLE = "SAMOVAR_STEM_CELL"
"""Set where the keeper is started before there is a function for it: the folder with the socket it waits on."""
STEM_SOCKET = "stem.sock"
OWN_FOLDER = os.path.dirname(os.path.abspath(__file__))
KILL_TIMEOUT_S = 0.9
"""The invoker destroys the environment when no EXITED follows a KILL within a second."""
START_VARIABLES = ("LD_", "PYTHON", "MALLOC_", "GLIBC_")
"""Prefixes of variables that are read once, when a process starts."""

HEADER = struct.Struct("!IIHBB")
CHUNK_SIZE = 256 * 1024
MAX_FRAME = 1024 * 1024
END = 0x01
CHUNK, HELLO, SPAWN, KILL, EXITED, READY, EVENT, RESULT, FORK, BIND = 3, 10, 11, 12, 13, 14, 15, 16, 17, 18


def encode(kind: int, stream: int, head: bytes = b"", body: bytes = b"") -> Iterator[bytes]:
    """A message as frames: one when the body is small, else a first frame and chunks."""
    for start in range(0, len(body) or 1, CHUNK_SIZE):
        part = body[start : start + CHUNK_SIZE]
        last = start + CHUNK_SIZE >= len(body)
        yield HEADER.pack(len(head) + len(part), stream, len(head), kind, END if last else 0) + head + part
        kind, head = CHUNK, b""


class Decoder:
    """Cuts a byte stream into frames `(kind, flags, stream, head, body)`."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes. Raises `ValueError` on a frame no honest peer would send."""
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        position = 0
        while len(buffer) - position >= HEADER.size:
            length, stream, head_length, kind, flags = HEADER.unpack_from(buffer, position)
            if length > MAX_FRAME or head_length > length:
                raise ValueError(f"frame of {length} bytes with a head of {head_length} bytes")
            start = position + HEADER.size
            middle, end = start + head_length, start + length
            if len(buffer) < end:
                break
            frames.append((kind, flags, stream, bytes(buffer[start:middle]), bytes(buffer[middle:end])))
            position = end
        del buffer[:position]
        return frames


class Connection:
    """Frames over one of the invoker's unix sockets."""

    def __init__(self, socket_dir: str) -> None:
        self._socket = connect(socket_dir, "invoker.sock")
        self._decoder = Decoder()

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._socket.fileno()

    def close(self) -> None:
        """Leave the connection to the process this one was forked from."""
        self._socket.close()

    def send(self, kind: int, stream: int, head: bytes = b"", body: bytes = b"") -> None:
        """Send one message."""
        for part in encode(kind, stream, head, body):
            self._socket.sendall(part)

    def receive(self) -> list[Frame] | None:
        """Read once; the frames completed by that (perhaps none), or `None` when the invoker is gone."""
        try:
            data = self._socket.recv(65536)
        except ConnectionError:
            return None
        return self._decoder.feed(data) if data else None

    def messages(self, kind: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Whole messages of one kind as `(stream, head, body)`, until the invoker is gone."""
        first, parts = (0, b""), []
        while True:
            frames = self.receive()
            if frames is None:
                return
            for got, flags, stream, head, body in frames:
                if got == kind:
                    first, parts = (stream, head), [body]
                elif got == CHUNK and stream == first[0]:
                    parts.append(body)
                else:
                    continue
                if flags & END:
                    yield (*first, b"".join(parts))
                    parts = []


def connect(socket_dir: str, name: str) -> _socket.socket:
    """Connect to one of the invoker's sockets, or end: without it there is nothing to do here."""
    path = os.path.join(socket_dir, name)
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError as error:
        raise SystemExit(f"the invoker's socket {path} cannot be reached: {error.strerror}") from error
    os.set_inheritable(connection.fileno(), False)
    return connection


def await_owner(stem_dir: str) -> None:
    """Be a stem cell: warm up, say so, and wait until the invoker has put a function's folders into their places."""
    import ctypes  # noqa: F401 - this and the next two are for the keeper's first steps
    import select  # noqa: F401
    import signal  # noqa: F401

    preload()
    invoker = connect(stem_dir, STEM_SOCKET)
    try:
        invoker.sendall(b"ready")
        bound = invoker.recv(16)
    except ConnectionError:
        bound = b""
    invoker.close()
    if not bound:
        raise SystemExit(0)


class Order:
    """What a SPAWN frame asks for."""

    def __init__(self, number: int, socket_dir: str, started: float, body: bytes) -> None:
        import json

        fields = json.loads(body)
        self.number = number
        self.socket_dir = socket_dir
        self.started = started
        """Reading of the monotonic clock at which initialisation began."""
        self.handler: str = fields["handler"]
        self.environment: dict[str, str] = fields["environment"]
        self.search_path: list[str] = fields["search_path"]
        self.max_response_bytes: int = fields["max_response_bytes"]
        self.body = body

    def needs_new_interpreter(self) -> bool:
        """Whether a variable is set that only a process that starts anew would notice."""
        return any(
            name.startswith(START_VARIABLES) and os.environ.get(name) != value
            for name, value in self.environment.items()
        )

    def execute(self) -> NoReturn:
        """Become a new interpreter that carries this order out; it reads the order from memory we leave open."""
        file = os.memfd_create("order", 0)  # no MFD_CLOEXEC: it must survive the exec
        os.write(file, f"{self.number}\n{self.started}\n{self.socket_dir}\n".encode() + self.body)
        os.lseek(file, 0, os.SEEK_SET)
        python = sys.executable or "/proc/self/exe"
        os.execve(python, [python, __file__, "--worker", str(file)], self.environment)  # noqa: S606 - no shell wanted

    @classmethod
    def inherited(cls, file: int) -> Order:
        """The order a former interpreter of this process left open."""
        with open(file, "rb") as memory:
            number, started, socket_dir, body = memory.read().split(b"\n", 3)
        return cls(int(number), socket_dir.decode(), float(started), body)


class Keeper:
    """The first process of ours in an environment: starts workers, ends them, never runs a function's code."""

    def __init__(self, socket_dir: str) -> None:
        self._socket_dir = socket_dir
        self._connection = Connection(socket_dir)
        self._worker: tuple[int, int] | None = None
        """Number and process id of the worker that lives."""

    def run(self) -> Order:
        """Serve the invoker until it is gone. Returns only in a forked child: with the order to carry out."""
        import select

        self._connection.send(HELLO, 0, b'{"role": "keeper", "pid": %d, "protocol": %d}' % (os.getpid(), PROTOCOL))
        preload()
        control_process(PR_SET_CHILD_SUBREAPER, 1)
        wake = self._listen_to_signals()
        poller = select.poll()
        for source in (self._connection.fileno(), wake):
            poller.register(source, select.POLLIN)
        while True:
            ready = {source for source, _ in poller.poll()}
            if wake in ready:
                os.read(wake, 512)
                self._report(ended_children())
            if self._connection.fileno() not in ready:
                continue
            frames = self._connection.receive()
            if frames is None:
                end_descendants()
                raise SystemExit(0)
            for kind, _, stream, _, body in frames:
                if kind == SPAWN and (order := self._spawn(stream, body)):
                    return order
                if kind == KILL and self._worker is not None and self._worker[0] == stream:
                    self._report(end_descendants())

    def _listen_to_signals(self) -> int:
        """Let ended children wake the poll; Ctrl-C on a terminal we share is the invoker's business."""
        import signal

        self._wake = os.pipe()
        for end in self._wake:
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return self._wake[0]

    def _report(self, ended: dict[int, int]) -> None:
        """If the worker is among the ended, end what it has left behind and tell the invoker."""
        if self._worker is None or self._worker[1] not in ended:
            return
        number, pid = self._worker
        self._worker = None
        end_descendants()
        code = ended[pid]
        status = b'{"signal": %d}' % os.WTERMSIG(code) if os.WIFSIGNALED(code) else b'{"status": %d}' % (code >> 8)
        self._connection.send(EXITED, number, status)

    def _spawn(self, number: int, body: bytes) -> Order | None:
        """Fork; the order in the child, `None` in the keeper."""
        order = Order(number, self._socket_dir, time.monotonic(), body)
        self._report(ended_children())  # the last worker's end may not have been noticed yet
        if self._worker is not None:
            self._refuse(number, f"worker {self._worker[0]} still lives")
            return None
        try:
            pid = os.fork()
        except OSError as error:
            self._refuse(number, f"cannot fork: {error.strerror}")
            return None
        if pid:
            self._worker = number, pid
            return None
        self._forget()
        return order

    def _refuse(self, number: int, why: str) -> None:
        import json

        self._connection.send(EXITED, number, json.dumps({"status": 1, "error": why}).encode())

    def _forget(self) -> None:
        """Undo, in a forked child, what makes the keeper the keeper."""
        import signal

        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for end in self._wake:
            os.close(end)
        self._connection.close()


def preload() -> None:
    """Import what every worker uses, so that a fork is ready at once and shares the memory."""
    import gc

    worker_module()
    gc.freeze()  # a worker's garbage collector then leaves the shared pages alone


def worker_module() -> ModuleType:
    """`samovar_worker`, from the folder of this file alone, whatever the search path is."""
    import importlib

    sys.path.insert(0, OWN_FOLDER)
    try:
        return importlib.import_module("samovar_worker")
    finally:
        sys.path.remove(OWN_FOLDER)


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


def descendants() -> dict[int, int]:
    """Process groups of all processes below this one, by process id.

    Daemons are among them: when what started them has ended, they fall to us, the subreaper.
    """
    found: dict[int, tuple[int, int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as stat:
                parent, group = stat.read().rpartition(b")")[2].split()[1:3]
        except (OSError, ValueError):
            continue  # it has ended in the meantime
        found[int(name)] = int(parent), int(group)
    family = {os.getpid()}
    while fresh := {pid for pid, (parent, _) in found.items() if parent in family and pid not in family}:
        family |= fresh
    return {pid: found[pid][1] for pid in family - {os.getpid()}}


def end_descendants() -> dict[int, int]:
    """Kill every process below this one; the wait statuses of those that were our children.

    Whole groups are killed, because the kernel does that in one step: no process forks its way out of it. Where
    something still lives in the end, we go, and the invoker, which sees that, destroys the environment.
    """
    import signal

    deadline = time.monotonic() + KILL_TIMEOUT_S
    ended = ended_children()
    while family := descendants():
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


def detach(order: Order) -> None:
    """Make a forked child a worker's process: own session, no input, output to the invoker."""
    import signal

    os.setsid()
    control_process(PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("1000")
    except OSError as error:
        sys.stderr.write(f"the worker cannot offer itself to the OOM killer: {error}\n")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    output = connect(order.socket_dir, "output.sock")
    for number in (1, 2):
        os.dup2(output.fileno(), number)
    output.close()
    os.close(nowhere)


def settle(order: Order) -> None:
    """Give the process the environment, output and search path the function expects."""
    os.environ.clear()
    os.environ.update(order.environment)
    time.tzset()
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = open(number, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.path[:] = [*order.search_path, *(path for path in sys.path if os.path.abspath(path) != OWN_FOLDER)]
    sys.argv[1:] = []


def main() -> None:
    """Run as the keeper, or as a worker that executes itself anew (`--worker FD`)."""
    if sys.argv[1:2] == ["--worker"]:
        order = Order.inherited(int(sys.argv[2]))
    else:
        if STEM_VARIABLE in os.environ:
            await_owner(os.environ[STEM_VARIABLE])
        order = Keeper(os.environ.get("SAMOVAR_SOCKET_DIR") or SOCKET_DIR).run()
        detach(order)
        if order.needs_new_interpreter():
            order.execute()
    worker = worker_module()
    settle(order)
    worker.Worker(order, Connection(order.socket_dir)).run()


if __name__ == "__main__":
    main()
