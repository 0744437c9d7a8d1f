from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.runtimes.peer import Peer, Worker

Launch = Callable[..., Worker]


@pytest.fixture
def socket_dir() -> Iterator[Path]:
    """A folder whose path is short enough for a unix socket, whatever pytest's own is called."""
    with tempfile.TemporaryDirectory(prefix="smv-") as folder:
        yield Path(folder)


@pytest.fixture
def peer(socket_dir: Path) -> Iterator[Peer]:
    """A keeper of the interpreter that runs the tests."""
    with Peer(socket_dir, getattr(sys, "_base_executable", None) or sys.executable) as started:
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
