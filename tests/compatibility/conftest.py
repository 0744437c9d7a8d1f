"""boto3 against a whole gateway: a process of its own, on a real store, reached over TCP."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # it ships no types
import pytest
from botocore.config import Config  # type: ignore[import-untyped]  # it ships no types

from tests.valkey import Valkey

ROOT = Path(__file__).parents[2]
_STARTS_WITHIN_S = 30.0


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a gateway without an invoker."""
    store = Valkey()
    listener = socket.create_server(("127.0.0.1", 0))
    try:
        store.start()
        environment = os.environ | {
            "SAMOVAR_DATA_DIR": str(tmp_path_factory.mktemp("data")),
            "SAMOVAR_REDIS_URL": store.url,
        }
        command = [sys.executable, "-m", "gateway", "--fd", str(listener.fileno())]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, pass_fds=[listener.fileno()])
        try:
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            _wait_until_answered(f"{address}/samovar/v1/status", process)
            yield address
        finally:
            process.terminate()
            assert process.wait(30) in (0, -15)
    finally:
        listener.close()
        store.close()


def _wait_until_answered(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the gateway did not start: {error}") from error
            time.sleep(0.02)


@pytest.fixture
def aws(endpoint: str) -> Iterator[Any]:
    """boto3's Lambda client; removes the functions a test made."""
    client = boto3.client(
        "lambda",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"max_attempts": 0}, read_timeout=30),
    )
    yield client
    for page in client.get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            client.delete_function(FunctionName=function["FunctionName"])
    client.close()
