"""The small parts of the supervisor: waits, words, levels, addresses, state."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from samovar.errors import SettingError, StartRefused
from samovar.supervisor import state
from samovar.supervisor.backoff import Backoff
from samovar.supervisor.banner import banner
from samovar.supervisor.listener import open_listener, open_to, port_of
from samovar.supervisor.output import TerminalFormatter, level_of
from samovar.supervisor.process import describe_exit
from samovar.supervisor.readiness import without_password
from samovar.supervisor.state import PlatformState, ProcessState


def test_waits_double_up_to_the_longest() -> None:
    backoff = Backoff(first_s=1, longest_s=5)
    assert [backoff.after(lived_s=0) for _ in range(5)] == [1, 2, 4, 5, 5]


def test_waits_begin_anew_after_a_long_life() -> None:
    backoff = Backoff(first_s=1, longest_s=8, steady_s=20)
    backoff.after(0)
    backoff.after(19.9)
    assert backoff.after(20) == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exited with status 0"),
        (78, "exited with status 78"),
        (-signal.SIGSEGV, "was killed by SIGSEGV"),
        (-signal.SIGKILL, "was killed by SIGKILL (by hand, or because the host ran out of memory)"),
        (-63, "was killed by signal 63"),
    ],
)
def test_an_exit_is_told_in_words(code: int, words: str) -> None:
    assert describe_exit(code) == words


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("2026-11-23 06:11:09,053 WARNING gateway[12] x: slow", logging.WARNING),
        ("ERROR samovar.invoker no engine", logging.ERROR),
        ("DEBUG asyncio", logging.DEBUG),
        ("Traceback (most recent call last):", logging.INFO),
        ("a function said: " + "x" * 80 + " ERROR", logging.INFO),
        ("26155:M 23 Nov 2026 06:11:06.866 * Ready to accept connections unix", logging.DEBUG),
        ("26155:M 23 Nov 2026 06:11:06.853 # WARNING Memory overcommit must be enabled!", logging.DEBUG),
        ("26155:M 23 Nov 2026 06:11:32.159 # Valkey is now ready to exit, bye bye...", logging.INFO),
    ],
)
def test_a_line_has_the_level_it_names(line: str, level: int) -> None:
    assert level_of(line) == level


def test_a_terminal_line_bears_its_childs_name_and_colour() -> None:
    record = logging.LogRecord("samovar.up.invoker", logging.ERROR, "", 0, "no engine", None, None)
    assert TerminalFormatter(colour=False).format(record) == "   invoker │ no engine"
    assert TerminalFormatter(colour=True).format(record) == "\x1b[31m   invoker │ no engine\x1b[0m"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@box:6379/0", "redis://:***@box:6379/0"),
        ("rediss://me:se%40cret@box/1?x=1", "rediss://me:***@box/1?x=1"),
        ("redis://box:6379", "redis://box:6379"),
        ("unix:///run/store.sock", "unix:///run/store.sock"),
    ],
)
def test_a_stores_password_is_hidden(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_the_kernel_chooses_a_free_port() -> None:
    with (
        open_listener("127.0.0.1", 0) as listener,
        socket.create_connection(("127.0.0.1", port_of(listener))) as caller,
    ):
        assert caller.getpeername() == listener.getsockname()


def test_a_port_in_use_is_refused_naming_its_user() -> None:
    with open_listener("127.0.0.1", 0) as listener:
        port = port_of(listener)
        with pytest.raises(StartRefused) as refusal:
            open_listener("127.0.0.1", port)
    message = refusal.value.message
    assert message.startswith(f"port {port} of 127.0.0.1 is in use by")
    assert f"(pid {os.getpid()})" in message
    assert message.endswith("choose another with --port")


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_a_host_of_another_machine_is_refused_by_name(host: str) -> None:
    with pytest.raises(SettingError) as refusal:
        open_listener(host, 0)
    assert (refusal.value.name, refusal.value.value) == ("host", host)


def _platform() -> PlatformState:
    return PlatformState(
        pid=os.getpid(),
        birth=state.birth_of(os.getpid()),
        started=1.0,
        version="1.2.3",
        url="http://127.0.0.1:9000",
        data_dir="/data",
        store="unix:///data/run/store.sock",
        isolation="sandbox",
        ready=True,
        processes=[ProcessState(name="store", phase="running", pid=7, birth=8, started=2.0)],
    )


def test_the_state_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "platform.json"
    state.write(path, _platform())
    assert state.read(path) == _platform()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["platform.json"]


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"pid": "x"}'])
def test_a_missing_or_damaged_state_file_is_no_state(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "platform.json"
    if content is not None:
        path.write_bytes(content)
    assert state.read(path) is None


def test_a_process_is_told_from_a_later_one_with_its_pid() -> None:
    own = ProcessState(name="own", phase="running", pid=os.getpid(), birth=state.birth_of(os.getpid()))
    other = ProcessState(name="other", phase="running", pid=os.getpid(), birth=1)
    assert state.still_runs(own)
    assert not state.still_runs(other)
    assert not state.still_runs(ProcessState(name="never", phase="waiting"))


def test_the_banner_says_where_and_how_to_stop() -> None:
    text = banner(_platform(), detached=True, colour=False)
    assert text.startswith("Samovar 1.2.3 is ready.")
    for expected in ("http://127.0.0.1:9000/fn/NAME", "sandbox", "samovar down --data-dir /data"):
        assert expected in text
    assert "Ctrl-C" in banner(_platform(), detached=False, colour=False)
    assert "Open to" not in text


def test_a_port_that_others_reach_is_told_with_what_they_may_do() -> None:
    text = banner(msgspec.structs.replace(_platform(), open_to="every network"), detached=False, colour=False)
    assert "Open to    every network, without TLS; /fn/NAME asks nobody for a key" in text


@pytest.mark.parametrize(
    ("host", "reached_from"),
    [("127.0.0.1", ""), ("::1", ""), ("localhost", ""), ("0.0.0.0", "every network this machine is in")],
)
def test_who_reaches_a_port_is_read_from_its_address(host: str, reached_from: str) -> None:
    with open_listener(host, 0) as listener:
        assert open_to(listener) == reached_from


def test_ctrl_c_before_there_is_anything_to_stop_ends_in_silence(tmp_path: Path) -> None:
    environment = os.environ | {"SAMOVAR_DATA_DIR": str(tmp_path), "SAMOVAR_REDIS_URL": "redis://127.0.0.1:1"}
    words = [sys.executable, "-m", "samovar.supervisor"]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as up:
        assert up.stdout is not None
        assert "waiting for the store redis://127.0.0.1:1" in up.stdout.readline()
        up.send_signal(signal.SIGINT)
        assert up.stdout.read() == ""
    assert up.returncode == 130
