"""`python -m gateway`: workers that share a socket, and their end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        bound.set_inheritable(True)
        yield bound


def start(folder: Path, fd: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gateway", "--fd", str(fd)],
        env={**os.environ, "SAMOVAR_DATA_DIR": str(folder)},
        pass_fds=(fd,),
        stderr=subprocess.PIPE,
        text=True,
    )


def end(worker: subprocess.Popen[str]) -> None:
    worker.send_signal(signal.SIGTERM)
    errors = worker.communicate(timeout=20)[1]
    assert worker.returncode == 0, errors
    assert "Traceback" not in errors


def test_workers_take_over_a_socket_and_answer_while_all_else_is_away(tmp_path: Path, listener: socket.socket) -> None:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/fn/orders"
    fd = listener.fileno()
    first = start(tmp_path, fd)
    second = None
    try:
        assert httpx.get(url, timeout=20).status_code == 503
        second = start(tmp_path, fd)
        end(first)
        response = httpx.get(url, timeout=20)
        assert response.status_code == 503
        assert response.headers["x-amzn-errortype"] == "ServiceUnavailableException"
        assert response.headers["retry-after"] == "1"
        end(second)
    finally:
        for worker in (first, second):
            if worker is not None and worker.poll() is None:
                worker.kill()
                worker.communicate()
