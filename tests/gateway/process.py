"""A gateway in a process of its own, reached over TCP."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from samovar.access.credentials import noted
from samovar.settings import Settings

ROOT = Path(__file__).parents[2]
STARTS_WITHIN_S = 30.0
STOPS_WITHIN_S = 30.0


class GatewayProcess(NamedTuple):
    """One gateway worker and where it answers."""

    process: subprocess.Popen[bytes]
    address: str


@contextmanager
def gateway_process(data_dir: Path, **settings: str) -> Iterator[GatewayProcess]:
    """Serve on a free port until the end of the block; a worker that still runs then has to stop cleanly."""
    given = {f"SAMOVAR_{name.upper()}": value for name, value in settings.items()}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SAMOVAR_")}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "--fd", str(listener.fileno())],
            cwd=ROOT,
            env=inherited | given | {"SAMOVAR_DATA_DIR": str(data_dir)},
            pass_fds=[listener.fileno()],
        )
        try:
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            # The socket listens already: the question waits in it until the worker takes it.
            httpx.get(f"{address}/samovar/v1/status", timeout=STARTS_WITHIN_S)
            with noted(Settings(data_dir=str(data_dir), port=listener.getsockname()[1])):
                yield GatewayProcess(process, address)
            process.terminate()
            assert process.wait(STOPS_WITHIN_S) == 0
        finally:
            process.kill()
            process.wait()
