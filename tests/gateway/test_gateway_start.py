"""Starts of a gateway worker that are refused: one line that says what to change, and status 1."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from gateway.__main__ import EX_CONFIG, main
from samovar.settings import PREFIX


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings but a folder, whatever the shell that runs the tests has set."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SAMOVAR_DATA_DIR", str(tmp_path))


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == EX_CONFIG
    errors = capsys.readouterr().err
    assert len(errors.splitlines()) == 1
    return errors


def test_a_port_in_use(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        monkeypatch.setenv("SAMOVAR_PORT", str(port))
        message = refusal(capsys)
    assert message.startswith(f"cannot listen on 127.0.0.1 port {port}: Address already in use")
    assert message.endswith("choose another port with SAMOVAR_PORT.\n")


def test_a_host_that_is_not_ours(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMOVAR_HOST", "192.0.2.1")
    assert "cannot listen on 192.0.2.1 port 9000" in refusal(capsys)


def test_a_descriptor_that_is_no_socket(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--fd 0 is not a" in refusal(capsys, "--fd", "0")
    assert "--fd 999 is not a" in refusal(capsys, "--fd", "999")


def test_a_bad_setting(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMOVAR_PORT", "http")
    assert "setting port = 'http' is not allowed: a whole number" in refusal(capsys)
