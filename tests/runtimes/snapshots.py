"""The invoker's side of a snapshot process, small enough for tests: real processes, real namespaces."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from samovar.link import wire
from tests.runtimes.peer import PATIENCE_S, VARIABLES, Connected, Message, Peer, Worker, accept, listen


class Origin:
    """A worker that was asked for a snapshot process, and the workers that were forked from that."""

    def __init__(self, peer: Peer, code: Path, variables: Mapping[str, str] | None = None) -> None:
        self.peer = peer
        self._variables = {**VARIABLES, "LAMBDA_TASK_ROOT": str(code), **(variables or {})}
        self._seats = 0
        self._open: list[Connected] = []
        self._forked: list[Worker] = []
        self.worker = peer.spawn("app.handler", code, variables, snapshot=True)
        self.ready = self.worker.wait_ready()
        self.obstacle: str | None = self.ready.head.get("snapshot")
        self.error: str | None = self.ready.head.get("error")
        if self.obstacle is None and self.error is None:
            self.snapshot = peer.accept()
            self._open.append(self.snapshot)
            hello = self.snapshot.receive()
            assert hello is not None
            self.hello = hello
            self.snapshot_pid: int = hello.head["pid"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._forked:
            worker.output.close()
        for connection in self._open:
            connection.socket.close()

    def ask(self, socket_dir: Path, variables: Mapping[str, str] | None = None) -> int:
        """Send FORK and return the seat's number."""
        self._seats += 1
        fields = {"socket_dir": str(socket_dir), "environment": {**self._variables, **(variables or {})}}
        self.snapshot.send(wire.FORK, self._seats, body=json.dumps(fields).encode())
        return self._seats

    def greeted(self, variables: Mapping[str, str] | None = None) -> tuple[int, Connected, Message, Path]:
        """Fork a worker: its seat, its connection, its HELLO, and the folder of its sockets."""
        folder = self.peer.folder / "seats" / str(self._seats + 1)
        folder.mkdir(parents=True)
        with listen(folder / "invoker.sock") as invoker:
            seat = self.ask(folder, variables)
            connection = accept(invoker)
        self._open.append(connection)
        hello = connection.receive()
        assert hello is not None
        return seat, connection, hello, folder

    def fork(self, variables: Mapping[str, str] | None = None) -> Worker:
        """Fork a worker and wait until it is ready."""
        worker = self.bound(variables)
        ready = worker.wait_ready()
        assert set(ready.head) == {"init_ms"}, ready
        return worker

    def bound(self, variables: Mapping[str, str] | None = None) -> Worker:
        """Fork a worker up to the point where it begins to be one of its own."""
        seat, connection, hello, folder = self.greeted(variables)
        map_identities(hello.head["pid"])
        with listen(folder / "output.sock") as outputs:
            connection.send(wire.BIND, 1, {})
            output, _ = outputs.accept()
        output.settimeout(PATIENCE_S)
        worker = Worker(seat, connection, output, hello)
        self._forked.append(worker)
        return worker

    def exited(self) -> Message:
        """The snapshot process's next message, which must be EXITED."""
        message = self.snapshot.receive()
        assert message is not None
        assert message.kind == wire.EXITED
        return message


def map_identities(pid: int) -> None:
    """Let a process in a new user namespace be who it was before, as an invoker does that may be anybody.

    The test is skipped where somebody runs it who may not: nobody forks snapshot processes there, either.
    """
    if os.geteuid() != 0:
        pytest.skip("only root says who is who in the namespace of another process")
    process = Path(f"/proc/{pid}")
    (process / "setgroups").write_text("deny")
    (process / "uid_map").write_text(f"{os.getuid()} {os.getuid()} 1")
    (process / "gid_map").write_text(f"{os.getgid()} {os.getgid()} 1")
