"""The data directory: its folders and modes, its one owner, its schema, and what killed supervisors leave."""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from samovar.errors import StartRefused
from samovar.settings import Settings
from samovar.supervisor import data_dir, leftovers, state
from samovar.supervisor.state import PlatformState, ProcessState


@pytest.fixture
def settings() -> Iterator[Settings]:
    """A data directory with a path short enough for a socket in it."""
    with TemporaryDirectory(prefix="data-") as folder:
        yield Settings(data_dir=f"{folder}/data")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folders_are_private_but_for_the_way_to_code_and_sockets(settings: Settings) -> None:
    data_dir.prepare(settings)
    for path in (settings.data, settings.code_dir, settings.run_dir):
        assert _mode(path) == 0o711
    for path in (data_dir.store_dir(settings), settings.logs_dir, settings.journal_dir):
        assert _mode(path) == 0o700


def test_preparing_again_changes_nothing_but_wrong_modes(settings: Settings) -> None:
    data_dir.prepare(settings)
    (settings.code_dir / "kept").touch()
    settings.journal_dir.chmod(0o755)
    data_dir.prepare(settings)
    assert (settings.code_dir / "kept").exists()
    assert _mode(settings.journal_dir) == 0o700


def test_a_file_in_the_way_is_refused_by_path(settings: Settings) -> None:
    settings.data.write_text("")
    with pytest.raises(StartRefused) as refusal:
        data_dir.prepare(settings)
    assert str(settings.data) in refusal.value.message
    assert "--data-dir" in refusal.value.message


def test_a_path_too_long_for_sockets_gets_a_folder_of_ours_elsewhere(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path / ("x" * 100)))
    try:
        data_dir.prepare(settings)
        assert settings.run_dir.parent == Path("/tmp")
        assert _mode(settings.run_dir) == 0o711
    finally:
        shutil.rmtree(settings.run_dir)


def test_a_link_planted_in_the_shared_folder_is_refused(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path / ("y" * 100)))
    settings.run_dir.symlink_to(tmp_path)
    try:
        with pytest.raises(StartRefused, match="somebody else made it"):
            data_dir.prepare(settings)
    finally:
        settings.run_dir.unlink()


def test_a_newer_schema_is_refused(settings: Settings) -> None:
    data_dir.prepare(settings)
    stamp = settings.data / "samovar.json"
    assert json.loads(stamp.read_text())["schema"] == data_dir.SCHEMA
    stamp.write_text('{"schema": 99, "created_by": "9.0"}')
    with pytest.raises(StartRefused, match="written by a newer Samovar"):
        data_dir.prepare(settings)


def test_a_damaged_stamp_is_refused(settings: Settings) -> None:
    data_dir.prepare(settings)
    (settings.data / "samovar.json").write_text("{")
    with pytest.raises(StartRefused, match="is damaged"):
        data_dir.prepare(settings)


def test_nobody_owns_a_directory_that_is_not_there(settings: Settings) -> None:
    assert data_dir.owner(settings) is None


def test_a_second_owner_is_refused_naming_the_first(settings: Settings) -> None:
    data_dir.prepare(settings)
    with data_dir.owned(settings):
        assert data_dir.owner(settings) == os.getpid()
        with pytest.raises(StartRefused) as refusal, data_dir.owned(settings):
            raise AssertionError("two owners")
        assert f"(pid {os.getpid()})" in refusal.value.message
        assert f"samovar down --data-dir {settings.data}" in refusal.value.message
    assert data_dir.owner(settings) is None


def test_the_owner_that_died_owns_nothing(settings: Settings) -> None:
    data_dir.prepare(settings)
    data_dir.lock_path(settings).write_text("1\n")
    assert data_dir.owner(settings) is None
    with data_dir.owned(settings):
        assert data_dir.owner(settings) == os.getpid()


def _process(name: str, pid: int, birth: int | None) -> ProcessState:
    return ProcessState(name=name, phase="running", pid=pid, birth=birth)


def _recorded(settings: Settings, *processes: ProcessState) -> None:
    recorded = PlatformState(
        pid=1,
        birth=1,
        started=0,
        version="",
        url="",
        data_dir="",
        store="",
        isolation="",
        ready=True,
        processes=list(processes),
    )
    state.write(state.path_of(settings), recorded)


def test_recorded_processes_that_still_run_are_ended(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    data_dir.prepare(settings)
    caplog.set_level(logging.WARNING)
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as left:
        _recorded(settings, _process("gateway", left.pid, state.birth_of(left.pid)))
        leftovers.remove(settings)
        assert left.wait(1) != 0
    assert state.read(state.path_of(settings)) is None


def test_another_process_with_a_recorded_pid_is_left_alone(settings: Settings) -> None:
    data_dir.prepare(settings)
    _recorded(settings, _process("gateway", os.getpid(), 1))
    leftovers.remove(settings)
    assert state.read(state.path_of(settings)) is None


def test_stale_sockets_are_removed(settings: Settings) -> None:
    data_dir.prepare(settings)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(settings.invoker_socket))
    box = settings.run_dir / "environments" / "0123456789abcdef"
    box.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(box / "invoker.sock"))
    leftovers.remove(settings)
    assert list(settings.run_dir.iterdir()) == []
