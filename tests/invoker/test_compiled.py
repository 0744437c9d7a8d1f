"""The runtime compiled for the sandbox: whole, readable by strangers, made once, and not needed."""

from __future__ import annotations

import importlib.util
import marshal
import os
import stat
from pathlib import Path

import pytest

from invoker.isolation.compiled import Compiler
from invoker.runtimes import Interpreter, default_runtime, require_interpreter, runtime

KNOWN = runtime(default_runtime())


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the folder of the default runtime has been made."""
    folder = tmp_path_factory.mktemp("compiled")
    former = os.umask(0o077)
    try:
        Compiler(folder).provide(KNOWN, require_interpreter(KNOWN.name))
    finally:
        os.umask(former)
    return folder


@pytest.fixture
def started(parent: Path) -> Path:
    """What an interpreter is told to run."""
    return Compiler(parent).provide(KNOWN, require_interpreter(KNOWN.name))


def test_every_file_is_compiled_and_tells_where_a_box_has_it(started: Path) -> None:
    assert started.name == "bootstrap.pyc"
    sources = {path.name for path in KNOWN.folder.glob("*.py")}
    assert {path.name for path in started.parent.glob("*.py")} == sources
    compiled = [Path(importlib.util.cache_from_source(started.parent / name)) for name in sources]
    assert {marshal.loads(path.read_bytes()[16:]).co_filename for path in [*compiled, started]} == {
        f"/var/runtime/{name}" for name in sources
    }


def test_others_may_read_it_whatever_the_umask_is(started: Path) -> None:
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (started.parent, *started.parent.rglob("*"))}
    assert modes == {0o755, 0o644}


def test_it_is_made_once_and_replaces_what_is_not_in_use(started: Path) -> None:
    before = started.stat().st_ino
    (started.parent.parent / f"{KNOWN.name}-0123").mkdir()
    another = started.parent.parent / "python0.1-0123"
    another.mkdir(exist_ok=True)
    again = Compiler(started.parent.parent).provide(KNOWN, require_interpreter(KNOWN.name))
    assert (again, again.stat().st_ino) == (started, before)
    assert sorted(started.parent.parent.iterdir()) == sorted([started.parent, another])


@pytest.mark.parametrize("executable", ["/none", "/bin/false"])
def test_what_cannot_be_compiled_starts_from_its_source(
    tmp_path: Path, executable: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert Compiler(tmp_path).provide(KNOWN, Interpreter(executable, "3.11.0", ())) == KNOWN.bootstrap
    assert "starts from its source" in caplog.text
    assert list(tmp_path.iterdir()) == []
