"""The interpreter that is carried into boxes: whole, readable by strangers, and made once."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from invoker.isolation import carried
from invoker.isolation.carried import Carrier
from invoker.isolation.sandbox import bwrap
from samovar.errors import EnvironmentFailure

PROBE = """
import asyncio, ctypes, json, os, signal, socket, sys
sys.path.insert(0, sys.argv[1])
import bootstrap
sys.modules["__main__"] = bootstrap  # as it is when it is started
import h11, provided, samovar_keeper
maps = {line.split(None, 5)[5].strip() for line in open("/proc/self/maps") if " /" in line}
print(json.dumps([sys.version, h11.__file__, sorted(path for path in maps if ".so" in path or "python" in path)]))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> carried.Carried:
    """The folder."""
    former = os.umask(0o077)
    try:
        return Carrier(tmp_path_factory.mktemp("carried")).provide()
    finally:
        os.umask(former)


@pytest.mark.component("bubblewrap")
def test_it_runs_where_there_is_nothing_else(made: carried.Carried) -> None:
    python = made.command()[:-1]
    box = [str(bwrap.find()), "--unshare-all", "--ro-bind", str(made.folder), carried.PLACE, "--proc", "/proc"]
    done = subprocess.run([*box, *python, "-c", PROBE, f"{carried.PLACE}/keeper"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    version, h11, mapped = json.loads(done.stdout)
    assert version == sys.version
    assert h11.startswith(f"{carried.PLACE}/keeper/h11/")
    assert mapped
    assert all(path.startswith(f"{carried.PLACE}/") for path in mapped)


def test_others_may_read_it_whatever_the_umask_is(made: carried.Carried) -> None:
    assert stat.S_IMODE(made.folder.stat().st_mode) == 0o755
    modes = {stat.S_IMODE(path.stat().st_mode) for path in made.folder.rglob("*")}
    assert modes == {0o755, 0o644}
    assert list(made.nothing.iterdir()) == []


def test_it_is_made_once(made: carried.Carried) -> None:
    before = (made.folder / "bin" / "python3").stat().st_ino
    again = Carrier(made.folder.parent).provide()
    assert again == made
    assert (made.folder / "bin" / "python3").stat().st_ino == before


def test_an_isolation_without_a_carrier_says_so() -> None:
    with pytest.raises(EnvironmentFailure, match="without an interpreter to carry"):
        carried.provide(None)


def test_a_parent_that_cannot_be_written_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFailure, match=r"cannot be copied: .*Not a directory"):
        Carrier(tmp_path / "file" / "carried").provide()
