"""A carried keeper under test, and the function's program played by the test itself."""

from __future__ import annotations

import http.client
import json
import os
import tempfile
import textwrap
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from invoker.isolation.carried import Carried, Carrier
from tests.runtimes.peer import PATIENCE_S, Peer, Worker

PREFIX = "/2018-06-01/runtime"


@cache
def carried() -> Carried:
    """The folder, made once for each of the processes that share a run; its name changes with what is in it."""
    sharer = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    return Carrier(Path(tempfile.gettempdir()) / f"samovar-carried-{os.geteuid()}-{sharer}").provide()


def keeper(folder: Path, worker: str, **variables: str) -> Peer:
    """A keeper on the carried interpreter, with that module for its workers."""
    own = carried()
    return Peer(folder, "", {"SAMOVAR_WORKER": worker, **variables}, command=own.command(str(own.folder)))


def write_program(folder: Path, lines: str, name: str = "bootstrap") -> Path:
    """A shell script that the function is made of."""
    path = folder / name
    path.write_text("#!/bin/sh\n" + textwrap.dedent(lines))
    path.chmod(0o755)
    return path


class Said(NamedTuple):
    """An answer of the Runtime API."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


class Runtime:
    """What a runtime does: one connection to the API of a worker."""

    def __init__(self, worker: Worker, folder: Path) -> None:
        """The function's program has written where the API is to `address`."""
        address = folder / "address"
        while not (address.exists() and address.read_text().endswith("\n")):
            assert worker.pid
        self._http = http.client.HTTPConnection(address.read_text().strip(), timeout=PATIENCE_S)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Said:
        """Send a request and read its answer."""
        self.begin(method, path, body, **headers)
        return self.read()

    def begin(self, method: str, path: str, body: bytes | None = None, **headers: str) -> None:
        """Send a request."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._http.request(method, path if path.startswith("/20") else PREFIX + path, body, named)

    def read(self) -> Said:
        """Read the answer to the request that was begun."""
        response = self._http.getresponse()
        return Said(response.status, dict(response.getheaders()), response.read())

    def next(self) -> Said:
        """Ask for an event and wait for it."""
        return self.ask("GET", "/invocation/next")

    def close(self) -> None:
        """Hang up."""
        self._http.close()
