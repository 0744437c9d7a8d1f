"""The interpreter that is carried into boxes whose own image or host has none: one folder, mounted read-only.

A keeper (`runtimes/python/bootstrap.py`) is what makes a process tree an environment, and it is Python. Boxes of other
languages, and container images of strangers, need not have one. So the interpreter this process runs on is copied, with
its standard library, the shared libraries it has loaded and the loader that loads them; started through that loader it
needs nothing of what is around it, whatever C library that is. See docs/decisions/0018-runtime-api-inside.md.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import msgspec

from invoker.environments.runtimes import Runtime
from samovar.errors import EnvironmentFailure

PLACE = "/var/samovar"
"""Where boxes see it."""
_LIBRARIES = "lib"
_PROGRAM = "bin/python3"
_KEEPER = "keeper"
_NOTHING = "nothing"
_TIMEOUT_S = 30.0
_LEFT_OUT = (
    # Of the standard library: what no keeper imports, and what would ask for libraries of its own.
    *("test", "tests", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip", "unittest"),
    *("site-packages", "dist-packages", "distutils", "config-*", "pydoc_data"),
    *("_ssl.*", "_hashlib.*", "_sqlite3.*", "_tkinter.*", "_curses*", "readline.*", "_test*"),
    *("_dbm.*", "_gdbm.*", "_xx*", "_lzma.*", "_bz2.*", "_uuid.*", "nis.*", "_crypt.*"),
)
_PROBE = """
import sys
sys.modules.update(_ssl=None, _hashlib=None)  # no keeper needs them, nor their libraries
import asyncio, ctypes, json, os, select, signal, sysconfig, zlib
maps = {line.split(None, 5)[5].strip() for line in open("/proc/self/maps") if " /" in line}
print(json.dumps({
    "executable": os.path.realpath("/proc/self/exe"),
    "version": sys.version,
    "prefix": sys.base_prefix,
    "libraries": sorted({sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}),
    "mapped": sorted(path for path in maps if ".so" in os.path.basename(path)),
}))
"""


class _Facts(msgspec.Struct, frozen=True):
    """What the interpreter says of itself."""

    executable: str
    version: str
    prefix: str
    libraries: list[str]
    """Folders of the standard library."""
    mapped: list[str]
    """Shared objects in its memory, its own modules among them."""

    def shared(self) -> list[Path]:
        """The shared objects that are not modules: the loader, the C library and the others."""
        own = tuple(folder.rstrip("/") + "/" for folder in self.libraries)
        return [Path(path) for path in self.mapped if not path.startswith(own)]

    def loader(self) -> str:
        """The name of what loads the others, as their makers name it (ld-linux-x86-64.so.2, ld-musl-x86_64.so.1)."""
        for path in self.shared():
            if path.name.startswith(("ld-", "ld64", "ld.so")):
                return path.name
        raise EnvironmentFailure(f"{self.executable} has no loader: it is linked statically, and cannot be carried")


@dataclass(frozen=True, slots=True)
class Carried:
    """The folder, made."""

    folder: Path
    loader: str

    @property
    def nothing(self) -> Path:
        """An empty folder, for what a box without a language has at `/var/runtime`."""
        return self.folder / _NOTHING

    def command(self, root: str = PLACE) -> tuple[str, ...]:
        """What starts a keeper, where the folder is to be seen at `root`."""
        libraries = f"{root}/{_LIBRARIES}"
        python = ("--library-path", libraries, f"{root}/{_PROGRAM}", "-I", "-S")
        return (f"{libraries}/{self.loader}", *python, f"{root}/{_KEEPER}/bootstrap.py")


def variables(known: Runtime, command: Sequence[str] = ()) -> dict[str, str]:
    """What tells a carried keeper which module its workers are, and these what to start, if they ask."""
    told = {"SAMOVAR_WORKER": known.worker}
    if known.is_extended:
        told["SAMOVAR_LANGUAGE"] = known.language
    return {**told, "SAMOVAR_COMMAND": msgspec.json.encode(list(command)).decode()} if command else told


class Carrier:
    """Makes the folder when first asked for it. It is named after what is in it, so a newer Samovar makes another."""

    def __init__(self, parent: Path) -> None:
        """`parent` is ours alone: what is in it and not in use is removed."""
        self._parent = parent
        self._lock = threading.Lock()
        self._made: Carried | None = None

    def provide(self) -> Carried:
        """The folder. Blocks for a second the first time. Raises `EnvironmentFailure`."""
        with self._lock:
            if self._made is None:
                try:
                    self._made = self._make(_ask())
                except OSError as error:
                    raise EnvironmentFailure(f"the interpreter cannot be copied: {error}") from error
            return self._made

    def _make(self, facts: _Facts) -> Carried:
        folder = self._parent / _digest(facts)
        made = Carried(folder, facts.loader())
        if folder.is_dir():
            return made
        self._parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=self._parent))
        try:
            _fill(draft, facts)
            draft.chmod(0o755)
            draft.rename(folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        for other in self._parent.iterdir():
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
        return made


def provide(carrier: Carrier | None) -> Carried:
    """What a carrier provides. Raises `EnvironmentFailure`, also where there is no carrier."""
    if carrier is None:
        raise EnvironmentFailure("this isolation was made without an interpreter to carry into boxes")
    return carrier.provide()


def _ask() -> _Facts:
    executable = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    try:
        asked = subprocess.run(
            [executable, "-I", "-S", "-c", _PROBE], capture_output=True, timeout=_TIMEOUT_S, check=True
        )
        return msgspec.json.decode(asked.stdout, type=_Facts)
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError) as error:
        raise EnvironmentFailure(f"{executable} does not tell what it is made of: {error}") from error


def _digest(facts: _Facts) -> str:
    digest = hashlib.sha256(msgspec.json.encode(facts))
    for source, target in _sources():
        digest.update(b"\0" + target.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]


def _sources() -> Iterator[tuple[Path, str]]:
    """The files of ours that run inside, and the library they lean on, with what they are called there."""
    runtimes = Path(str(files("runtimes")))
    h11 = find_spec("h11")
    assert h11 is not None, "it is declared"
    assert h11.origin is not None, "it is a package of files"
    for folder, place in ((runtimes / "python", ""), (runtimes / "node", ""), (runtimes / "provided", "provided/")):
        yield from ((path, f"{place}{path.name}") for path in _python_files(folder, keep_package=bool(place)))
    for path in _python_files(Path(h11.origin).parent, keep_package=True):
        yield path, f"h11/{path.name}"


def _python_files(folder: Path, *, keep_package: bool) -> Iterable[Path]:
    return (path for path in sorted(folder.glob("*.py")) if keep_package or path.name != "__init__.py")


def _put_library(shared: Path, folder: Path) -> None:
    """Copy it, with the names it may be asked for by: those who need libz.so.1.2.13 know it as libz.so.1."""
    shutil.copy2(shared, folder / shared.name)
    name, suffix, version = shared.name.partition(".so.")
    parts = version.split(".")
    for count in range(1, len(parts)):
        (folder / f"{name}{suffix}{'.'.join(parts[:count])}").symlink_to(shared.name)


def _fill(draft: Path, facts: _Facts) -> None:
    for folder in (_LIBRARIES, "bin", _KEEPER, _NOTHING):
        (draft / folder).mkdir()
    for shared in facts.shared():
        _put_library(shared, draft / _LIBRARIES)
    shutil.copy2(facts.executable, draft / _PROGRAM)
    for library in facts.libraries:
        # Where the interpreter looks for it, from its own place upwards.
        place = draft / Path(library).relative_to(facts.prefix)
        shutil.copytree(library, place, ignore=shutil.ignore_patterns(*_LEFT_OUT), dirs_exist_ok=True)
    for source, target in _sources():
        path = draft / _KEEPER / target
        path.parent.mkdir(exist_ok=True)
        shutil.copy2(source, path)
    # Compiled here, because an environment cannot write: its keeper would compile at every start.
    command = [facts.executable, "-m", "compileall", "-q", str(draft / _KEEPER)]
    subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)
    for path in draft.rglob("*"):  # boxes run as other users, whatever our own umask is
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
