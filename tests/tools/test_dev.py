"""`samovar dev` as people use it: save a file, call the function, read its log, press Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.platform import SAMOVAR, Platform

pytestmark = pytest.mark.component("bubblewrap", "valkey")

PATIENCE_S = 90.0
SOURCE = """
import os
def handler(event, context):
    print("poured WORD")
    return "WORD " + str(os.getpid())
"""
MANIFEST = 'name = "kettle"\nhandler = "app.handler"\nruntime = "python3.11"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A function's folder."""
    made = tmp_path / "kettle"
    made.mkdir()
    (made / "function.toml").write_text(MANIFEST)
    (made / "app.py").write_text(SOURCE.replace("WORD", "first"))
    return made


@contextlib.contextmanager
def developing(platform: Platform, folder: Path, said: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`samovar dev` in a process of its own, killed at the end if it still runs."""
    with said.open("wb") as out:
        process = subprocess.Popen(
            [SAMOVAR, "dev", folder], env=platform.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE_S)


def until(what: Callable[[], bool], why: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, why()
        time.sleep(0.02)


def test_each_save_is_in_force_and_told(platform: Platform, folder: Path, tmp_path: Path) -> None:
    said = tmp_path / "said"
    address = f"{platform.endpoint}/fn/kettle/"

    def told(text: str) -> None:
        until(lambda: text in said.read_text(), said.read_text)

    def answers(word: str) -> None:
        until(lambda: httpx.get(address).text.startswith(word), said.read_text)

    with developing(platform, folder, said) as process:
        told("Ctrl-C ends")
        answers("first")
        told("poured first")
        (folder / "app.py").write_text(SOURCE.replace("WORD", "second"))
        answers("second")
        told("kettle at ")
        told("poured second")

        (folder / "app.py").write_text("def handler(:\n")
        told("app.py:1: invalid syntax")
        answers("second")  # which is still in force
        (folder / "app.py").write_text("import nothing_like_it\n\ndef handler(event, context): ...\n")
        until(lambda: httpx.get(address).status_code == 502, said.read_text)
        told("Runtime.ImportModuleError")
        (folder / "function.toml").write_text(MANIFEST + "memroy = 256\n")
        told("there is no key `memroy`")
        (folder / "function.toml").write_text(MANIFEST)
        (folder / "app.py").write_text(SOURCE.replace("WORD", "third"))
        answers("third")

        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0, said.read_text()
    assert "samovar/cli" not in said.read_text()
    assert httpx.get(address).text.startswith("third")
