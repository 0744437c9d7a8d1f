"""`requirements.txt` to a folder of installed packages, kept for the next deploy with the same requirements.

`uv` resolves and installs. A built folder is renamed into the cache when it is complete, so a cache never
holds half a build; a file lock keeps two deploys from building the same one.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock, Timeout
from uv import find_uv_bin

from samovar.errors import CallerError

REQUIREMENTS = "requirements.txt"
BUILD_TIMEOUT_S = 900.0
_GLIBC = "manylinux_2_28"
"""Wheels for this glibc and older run in every runtime image, and on every host that is still maintained."""
_INCLUDE = re.compile(r"^\s*(?:-r|-c|--requirement|--constraint)[\s=]*(?P<path>[^\s#]+)")
_LOCAL = re.compile(r"^\s*(?:-e\b|--editable|\.|/|file:)|@\s*file:")
_NOT_COMPILED = r"/tests?/"

Report = Callable[[str], None]
"""Told what is being done, a line at a time."""


class BuildFailed(CallerError):
    """The requirements cannot be installed; the message ends with uv's own words."""


def install(folder: Path, runtime: str, *, cache: Path, report: Report, fresh: bool = False) -> Path | None:
    """Install the requirements of the function in `folder`; return where they are, or `None` if it has none.

    `fresh` builds anew even if the cache has these requirements (unpinned ones may have newer releases).
    Raises `BuildFailed`.
    """
    requirements = folder / REQUIREMENTS
    if not runtime.startswith("python") or not requirements.is_file():
        return None
    texts = dict(read_all(requirements))
    if not any(line.split("#")[0].strip() for text in texts.values() for line in text.splitlines()):
        return None
    built = cache.absolute() / cache_key(texts, runtime, folder)
    with _only_one(built):
        refresh = fresh or is_local(texts)
        if refresh or not built.is_dir():
            _build(_Order(requirements, runtime.removeprefix("python"), refresh), built, report)
    return built


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where built requirements are kept (XDG Base Directory Specification)."""
    base = environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "samovar" / "requirements"


def read_all(path: Path) -> Iterator[tuple[Path, str]]:
    """A requirements file and, after it, every file it includes by `-r` or `-c`, each once."""
    waiting, seen = [path.resolve()], set[Path]()
    while waiting:
        current = waiting.pop(0)
        if current in seen:
            continue
        seen.add(current)
        try:
            text = current.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BuildFailed(f"{current} cannot be read: {error}") from error
        yield current, text
        included = (match["path"] for line in text.splitlines() if (match := _INCLUDE.match(line)))
        waiting += [(current.parent / name).resolve() for name in included if "://" not in name]


def cache_key(texts: Mapping[Path, str], runtime: str, folder: Path) -> str:
    """A name for what these requirements install: their text, and everything else that decides the outcome."""
    parts = [runtime, sys.platform, platform.machine(), version("uv"), str(_runs_here(runtime.removeprefix("python")))]
    for path, text in texts.items():
        parts += [os.path.relpath(path, folder.resolve()), text]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def is_local(texts: Mapping[Path, str]) -> bool:
    """Whether a requirement is a folder or file of this machine, which may change while the text stays."""
    return any(_LOCAL.search(line) for text in texts.values() for line in text.splitlines())


@contextmanager
def _only_one(built: Path) -> Iterator[None]:
    """Wait until nobody else builds the same requirements."""
    try:
        built.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(built.with_suffix(".lock"), timeout=BUILD_TIMEOUT_S):
            yield
    except Timeout as error:
        raise BuildFailed(
            f"another deploy has been building the same requirements for {BUILD_TIMEOUT_S:.0f} s"
        ) from error
    except OSError as error:
        raise BuildFailed(
            f"the cache {built.parent} cannot be written: {error.strerror}; set XDG_CACHE_HOME"
        ) from error


@dataclass(frozen=True, slots=True)
class _Order:
    """What uv is to install. `refresh` lets it trust nothing it has cached itself."""

    requirements: Path
    python: str
    refresh: bool


def _build(order: _Order, built: Path, report: Report) -> None:
    with tempfile.TemporaryDirectory(dir=built.parent, prefix=".building-", ignore_cleanup_errors=True) as temporary:
        target = Path(temporary) / "site"
        target.mkdir()
        _run_uv(order, target, report)
        _tidy(target)
        if _runs_here(order.python):
            report("compiling to bytecode")
            _compile(target)
        if built.exists():
            shutil.rmtree(built)
        target.rename(built)


def _run_uv(order: _Order, target: Path, report: Report) -> None:
    requirements = order.requirements
    command = [
        find_uv_bin(), "pip", "install", "--no-config", "--color", "never", "--no-progress",
        "--requirement", requirements.name, "--target", str(target), "--python", sys.executable,
        "--python-version", order.python, "--python-platform", f"{platform.machine()}-{_GLIBC}",
    ]  # fmt: skip
    if order.refresh:
        command.append("--refresh")
    if not _runs_here(order.python):
        command += ["--only-binary", ":all:"]  # a source build here would be one for this interpreter
    said: list[str] = []
    with subprocess.Popen(
        command, cwd=requirements.parent, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, errors="replace",
    ) as process:  # fmt: skip
        watchdog = threading.Timer(BUILD_TIMEOUT_S, process.kill)
        watchdog.start()
        try:
            for line in process.stderr or ():
                said.append(line.rstrip())
                report(line.strip())
            status = process.wait()
        finally:
            watchdog.cancel()
            process.kill()
    if status < 0:
        raise BuildFailed(f"{requirements.name}: uv was stopped by signal {-status} (it has {BUILD_TIMEOUT_S:.0f} s)")
    if status:
        raise BuildFailed(
            f"{requirements.name} cannot be installed. uv says:\n"
            + "\n".join(line for line in said if not line.startswith("Using "))
        )


def _tidy(target: Path) -> None:
    """Drop what imports never need: scripts for a shell, and uv's lock."""
    shutil.rmtree(target / "bin", ignore_errors=True)
    (target / ".lock").unlink(missing_ok=True)


def _compile(target: Path) -> None:
    """Compile ahead: the code folder is read-only, so the runtime could not keep what it compiles.

    Unchecked hashes, because a zip file does not keep the times that pycs are checked by otherwise.
    A file that does not compile (templates, code for other versions) stays as it is.
    """
    command = [
        sys.executable, "-m", "compileall", "-q", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash",
        "-s", str(target), "-p", "/var/task", "-x", _NOT_COMPILED, str(target),
    ]  # fmt: skip
    subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=BUILD_TIMEOUT_S)


def _runs_here(python: str) -> bool:
    """Whether the runtime's interpreter is of the version this process runs on, on the system functions run on."""
    return sys.platform == "linux" and python == f"{sys.version_info.major}.{sys.version_info.minor}"
