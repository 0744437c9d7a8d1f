from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from invoker.isolation.sandbox import bwrap
from tests.runtimes.peer import Peer, Worker
from tests.runtimes.snapshots import Origin

Launch = Callable[..., Worker]
Prepare = Callable[..., Origin]
PYTHON = getattr(sys, "_base_executable", None) or sys.executable


@pytest.fixture
def socket_dir() -> Iterator[Path]:
    """A folder whose path is short enough for a unix socket, whatever pytest's own is called."""
    with tempfile.TemporaryDirectory(prefix="smv-") as folder:
        yield Path(folder)


@pytest.fixture
def peer(socket_dir: Path) -> Iterator[Peer]:
    """A keeper of the interpreter that runs the tests."""
    with Peer(socket_dir, PYTHON) as started:
        yield started


@pytest.fixture
def code(tmp_path: Path) -> Callable[[str], Path]:
    """Writes `app.py` and returns its folder."""

    def write(text: str) -> Path:
        (tmp_path / "app.py").write_text(text, encoding="utf-8")
        return tmp_path

    return write


@pytest.fixture
def launch(peer: Peer, code: Callable[[str], Path]) -> Launch:
    """Starts a worker that serves `app.handler` of the given text."""

    def start(text: str, **variables: str) -> Worker:
        return peer.start("app.handler", code(text), variables)

    return start


def box(*folders: Path) -> list[str]:
    """A command's prefix that gives it a `/tmp` with nothing in it but `folders`, and no rights of root."""
    kept = [word for folder in folders for word in ("--bind", str(folder), str(folder))]
    return [
        str(bwrap.find()),
        "--dev-bind",
        "/",
        "/",
        "--tmpfs",
        "/tmp",
        *kept,
        "--cap-drop",
        "ALL",
        "--die-with-parent",
    ]


@pytest.fixture
def prepare(socket_dir: Path, tmp_path: Path, code: Callable[[str], Path]) -> Iterator[Prepare]:
    """Starts a worker that serves `app.handler` of the given text and is asked for a snapshot process."""
    with ExitStack() as stack:

        def start(text: str, **variables: str) -> Origin:
            peer = stack.enter_context(Peer(socket_dir, PYTHON, prefix=box(socket_dir, tmp_path)))
            return stack.enter_context(Origin(peer, code(text), variables))

        yield start
