"""What runs inside an environment: the keeper, and the worker it forks.

This file starts both and holds what they share: frames, connections, orders. What each of them does is in
`samovar_keeper.py` and `samovar_worker.py` beside it; `samovar_snapshot.py` makes a worker one that further workers can
be forked from. All speak docs/runtime-protocol.md, need the standard library only, and run on Python 3.9 and later.
Environments of other languages have the same keeper, and a worker of their own.

The keeper says hello before it imports anything that costs time (the other files among it, which would
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
PORT_VARIABLE = "SAMOVAR_PORT"
"""Set where processes in here are to reach the platform: the port of loopback at which they do."""
PORTS_SOCKET = "ports.sock"
WORKER_VARIABLE = "SAMOVAR_WORKER"
"""Names the module that is the worker where that is not Python's own: its `run` gets the order and never returns."""
ORDER_VARIABLE = "SAMOVAR_ORDER"
"""Set where a worker is started by another process than a keeper's fork: what it is to do, as `words` has it."""
OWN_FOLDER = os.path.dirname(os.path.abspath(__file__))
START_VARIABLES = ("LD_", "PYTHON", "MALLOC_", "GLIBC_")
"""Prefixes of variables that are read once, when a process starts."""

HEADER = struct.Struct("!IIHBB")
CHUNK_SIZE = 256 * 1024
MAX_FRAME = 1024 * 1024
END = 0x01
CHUNK, HELLO, SPAWN, KILL, EXITED, READY, EVENT, RESULT, FORK, BIND = 3, 10, 11, 12, 13, 14, 15, 16, 17, 18


def encode(kind: int, stream: int, head: bytes = b"", body: bytes = b"", end: int = END) -> Iterator[bytes]:
    """A message as frames: one when the body is small, else a first frame and chunks. Without `end`, more follow."""
    view = memoryview(body)
    for start in range(0, len(body) or 1, CHUNK_SIZE):
        part = view[start : start + CHUNK_SIZE]
        last = start + CHUNK_SIZE >= len(body)
        yield HEADER.pack(len(head) + len(part), stream, len(head), kind, end if last else 0) + head + part
        kind, head = CHUNK, b""


class Decoder:
    """Cuts a byte stream into frames `(kind, flags, stream, head, body)`; a chunk in as many as it arrives in."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._left = 0
        """Bytes still to come of the chunk that is being handed out."""
        self._stream = self._flags = 0
        """Of that chunk."""

    @property
    def is_within_chunk(self) -> bool:
        """Whether much is to be expected."""
        return self._left > 0

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes. Raises `ValueError` on a frame no honest peer would send."""
        frames: list[Frame] = []
        source: bytes | bytearray = data
        if self._buffer:
            self._buffer += data
            source = self._buffer
        position = self._part_of_chunk(source, 0, frames) if self._left else 0
        while len(source) - position >= HEADER.size:
            length, stream, head_length, kind, flags = HEADER.unpack_from(source, position)
            if length > MAX_FRAME or head_length > length:
                raise ValueError(f"frame of {length} bytes with a head of {head_length} bytes")
            start = position + HEADER.size
            middle, end = start + head_length, start + length
            if len(source) < end:
                if kind == CHUNK and not head_length:
                    self._left, self._stream, self._flags = length, stream, flags
                    position = self._part_of_chunk(source, start, frames)
                break
            frames.append((kind, flags, stream, bytes(source[start:middle]), bytes(source[middle:end])))
            position = end
        if source is data:
            self._buffer += data[position:]
        else:
            del self._buffer[:position]
        return frames

    def _part_of_chunk(self, source: bytes | bytearray, start: int, frames: list[Frame]) -> int:
        part = bytes(source[start : start + self._left])
        self._left -= len(part)
        if part:
            frames.append((CHUNK, self._flags & ~END if self._left else self._flags, self._stream, b"", part))
        return start + len(part)


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

    def send_part(self, kind: int, stream: int, head: bytes, body: bytes) -> None:
        """Send the beginning of a message, or more of it; `send` with CHUNK ends it."""
        for part in encode(kind, stream, head, body, 0):
            self._socket.sendall(part)

    def receive(self) -> list[Frame] | None:
        """Read once; the frames completed by that (perhaps none), or `None` when the invoker is gone."""
        try:
            data = self._socket.recv(CHUNK_SIZE if self._decoder.is_within_chunk else 65536)
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


def hand_over_port(socket_dir: str) -> None:
    """Listen on loopback and give the listening socket to the invoker, which serves it from outside of this network."""
    if PORT_VARIABLE not in os.environ:
        return
    invoker = connect(socket_dir, PORTS_SOCKET)
    port = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    try:
        port.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        port.bind(("127.0.0.1", int(os.environ[PORT_VARIABLE])))
        port.listen(128)
        invoker.sendmsg([b"port"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", port.fileno()))])
    except OSError as error:  # everything else works without it
        sys.stderr.write(f"the platform cannot be reached from in here: {error}\n")
    finally:
        port.close()
        invoker.close()


def await_owner(stem_dir: str) -> None:
    """Be a stem cell: warm up, say so, and wait until the invoker has put a function's folders into their places."""
    import ctypes  # noqa: F401 - this and the next two are for the keeper's first steps
    import select  # noqa: F401
    import signal  # noqa: F401

    if WORKER_VARIABLE not in os.environ:
        runtime_module("samovar_snapshot")
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
        self.snapshot: bool = fields.get("snapshot", False)
        """Whether the worker is to fork a snapshot process when it has the handler loaded."""
        self.announce = -1
        """Where the worker tells its keeper the snapshot process's id."""
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
        os.write(file, f"{self.number}\n{self.started}\n{self.announce}\n{self.socket_dir}\n".encode() + self.body)
        os.lseek(file, 0, os.SEEK_SET)
        if self.announce >= 0:
            os.set_inheritable(self.announce, True)
        python = sys.executable or "/proc/self/exe"
        flags = ["-S"] if sys.flags.no_site else []
        os.execve(python, [python, *flags, __file__, "--worker", str(file)], self.environment)  # noqa: S606 - no shell wanted

    @classmethod
    def inherited(cls, file: int) -> Order:
        """The order a former interpreter of this process left open."""
        with open(file, "rb") as memory:
            number, started, announce, socket_dir, body = memory.read().split(b"\n", 4)
        order = cls(int(number), socket_dir.decode(), float(started), body)
        order.announce = int(announce)
        if order.announce >= 0:
            os.set_inheritable(order.announce, False)
        return order

    @classmethod
    def told(cls) -> Order:
        """The order in our own variable. All other variables are the function's, as a wrapper script has left them."""
        import json

        told = json.loads(os.environ.pop(ORDER_VARIABLE))
        environment = dict(os.environ)
        handler = environment.get("_HANDLER") or told["handler"]
        body = json.dumps({**told, "handler": handler, "environment": environment}).encode()
        return cls(told["number"], told["socket_dir"], told["started"], body)


def words(order: Order, socket_dir: str) -> str:
    """An order for a worker that finds the invoker's socket in `socket_dir`; see `Order.told`."""
    import json

    fields = {
        "number": order.number,
        "socket_dir": socket_dir,
        "started": order.started,
        "handler": order.handler,
        "search_path": order.search_path,
        "max_response_bytes": order.max_response_bytes,
    }
    return json.dumps(fields)


def preload() -> None:
    """Import what every worker uses, so that a fork is ready at once and shares the memory."""
    import gc

    if WORKER_VARIABLE not in os.environ:
        complete_site()
    runtime_module(os.environ.get(WORKER_VARIABLE, "samovar_worker"))
    runtime_module("samovar_keeper")
    gc.freeze()  # a worker's garbage collector then leaves the shared pages alone


def complete_site() -> None:
    """In an interpreter started with -S, do what `site` does for others, but run no `.pth` file.

    Those are programs that a host's packages want run in every interpreter: they have no business with a function,
    and can cost its environment more time and memory than all the rest.
    """
    if not sys.flags.no_site or "site" in sys.modules:
        return
    import site

    sys.path += [folder for folder in site.getsitepackages() if os.path.isdir(folder)]
    for provide in (site.setquit, site.setcopyright, site.sethelper):
        provide()


def runtime_module(name: str) -> ModuleType:
    """One of the runtime's modules, from the folder of this file alone, whatever the search path is."""
    import importlib

    sys.path.insert(0, OWN_FOLDER)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(OWN_FOLDER)


def settle(order: Order) -> None:
    """Give the process the environment, output and search path the function expects."""
    settle_environment(order.environment)
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = open(number, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.path[:] = [*order.search_path, *(path for path in sys.path if os.path.abspath(path) != OWN_FOLDER)]
    sys.argv[1:] = []


def settle_environment(variables: dict[str, str]) -> None:
    """Replace all variables of this process."""
    os.environ.clear()
    os.environ.update(variables)
    time.tzset()


def keep(socket_dir: str) -> Order:
    """Be the keeper. Returns only in a worker's new process: with the order to carry out."""
    connection = Connection(socket_dir)
    connection.send(HELLO, 0, b'{"role": "keeper", "pid": %d, "protocol": %d}' % (os.getpid(), PROTOCOL))
    hand_over_port(socket_dir)
    preload()
    order: Order = runtime_module("samovar_keeper").Keeper(connection, socket_dir).run()
    return order


def main() -> None:
    """Run as the keeper, as a worker that executes itself anew (`--worker FD`), or as one that others have started."""
    if sys.argv[1:2] == ["--worker"]:
        order = Order.inherited(int(sys.argv[2]))
        complete_site()
    elif ORDER_VARIABLE in os.environ:
        order = Order.told()
        complete_site()
    else:
        if STEM_VARIABLE in os.environ:
            await_owner(os.environ[STEM_VARIABLE])
        order = keep(os.environ.get("SAMOVAR_SOCKET_DIR") or SOCKET_DIR)
        if WORKER_VARIABLE in os.environ:
            runtime_module(os.environ[WORKER_VARIABLE]).run(order)
        if order.needs_new_interpreter():
            order.execute()
    worker = runtime_module("samovar_worker")
    settle(order)
    connection = Connection(order.socket_dir)
    snapshot = runtime_module("samovar_snapshot").Snapshot(order, connection) if order.snapshot else None
    worker.Worker(order, connection, snapshot).run()


if __name__ == "__main__":
    main()
