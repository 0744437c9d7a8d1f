"""What Python environments see at `/var/runtime`: the runtime's own files, and AWS's SDK beside them.

Lambda's Python runtimes bring boto3 and what it needs (AWS Lambda developer guide, "Runtime-included SDK versions"). So
each Python runtime has a *kit*: a folder with both, made when it is first needed, mounted by the sandbox, copied into
the images of docker. Its SDK is the one Samovar is installed with, or, for a Python that one no longer supports, the
release that the catalog pins, downloaded. See docs/decisions/0033-sdk-in-the-runtime.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import msgspec
from uv import find_uv_bin

from invoker.environments.runtimes import Runtime
from samovar.errors import EnvironmentFailure

log = logging.getLogger("samovar.invoker.kits")

SDK = {
    "boto3": "boto3",
    "botocore": "botocore",
    "s3transfer": "s3transfer",
    "jmespath": "jmespath",
    "python-dateutil": "dateutil",
    "six": "six",
    "urllib3": "urllib3",
}
"""Distributions that Lambda's runtimes bring, and the module each is imported by."""
_DOWNLOAD_TIMEOUT_S = 60.0
_COMPILE_TIMEOUT_S = 120.0
_OWN_TIMEOUT_S = 20.0
_OLDEST = re.compile(r"^Requires-Python:.*>=\s*3\.(\d+)", re.MULTILINE)
_IGNORED_BY_DOCKER = "Dockerfile\n.dockerignore\n**/__pycache__\n"
_READABLE = stat.S_IROTH


class Kits:
    """Makes each runtime's kit once. A kit is named after what is in it, so a newer Samovar makes another."""

    def __init__(self, parent: Path) -> None:
        """`parent` is ours alone: former kits of a runtime are removed from it."""
        self._parent = parent
        self._locks = {"": threading.Lock()}
        self._made: dict[str, Runtime] = {}
        self._compilers: set[subprocess.Popen[bytes]] = set()

    def equip(self, runtime: Runtime, interpreter: str = "") -> Runtime:
        """The runtime with its kit for a folder; itself where its language has none.

        Blocks the first time: a fraction of a second, or a download. `interpreter`, where the host has one, compiles
        the runtime's own files, and the SDK in the background. Without an SDK, because a download failed, the kit is
        the runtime's own files, and the next process asks again. Raises `EnvironmentFailure` when the folder cannot be
        written.
        """
        if runtime.language != "python":
            return runtime
        with self._lock(runtime.name):
            if runtime.name not in self._made:
                try:
                    folder = self._make(runtime)
                except OSError as error:
                    raise EnvironmentFailure(f"the files of {runtime.name} cannot be written: {error}") from error
                self._made[runtime.name] = msgspec.structs.replace(
                    runtime,
                    folder=folder,
                    bootstrap=folder / runtime.bootstrap.name,
                    dockerfile=folder / runtime.dockerfile.name,
                )
                if interpreter:
                    self._compile(interpreter, folder)
            return self._made[runtime.name]

    def close(self) -> None:
        """End what still compiles; an environment compiles for itself what is missing."""
        for compiler in list(self._compilers):
            compiler.kill()

    def _lock(self, name: str) -> threading.Lock:
        with self._locks[""]:
            return self._locks.setdefault(name, threading.Lock())

    def _make(self, runtime: Runtime) -> Path:
        self._parent.mkdir(parents=True, exist_ok=True)
        with _sdk_of(runtime, self._parent) as sdk:
            folder = self._parent / f"{runtime.name}-{_digest(runtime, sdk)}"
            if not folder.is_dir():
                self._fill(folder, runtime, sdk)
        for other in self._parent.glob(f"{runtime.name}-*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
        return folder

    def _fill(self, folder: Path, runtime: Runtime, sdk: list[Path]) -> None:
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=self._parent))
        try:
            for path in _own_files(runtime):
                shutil.copyfile(path, draft / path.name)
                (draft / path.name).chmod(0o644)
            (draft / ".dockerignore").write_text(_IGNORED_BY_DOCKER)
            (draft / ".dockerignore").chmod(0o644)
            for part in sdk:
                if part.is_dir():
                    shutil.copytree(part, draft / part.name, copy_function=_link)
                else:
                    _link(str(part), str(draft / part.name))
            for place in [draft, *(path for path in draft.rglob("*") if path.is_dir())]:
                place.chmod(0o755)  # boxes run as other users, whatever our own umask is
            draft.rename(folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise

    def _compile(self, interpreter: str, folder: Path) -> None:
        """Once for all environments, which cannot write; with nothing to do where the installer has compiled.

        The runtime's own files first, because an environment that has to do it keeps two megabytes that only the
        compiler needed.
        """
        compile_all = (interpreter, "-I", "-m", "compileall", "-q", "-q")
        command = ["nice", *compile_all, str(folder)]
        try:
            subprocess.run([*compile_all, "-l", str(folder)], capture_output=True, timeout=_OWN_TIMEOUT_S, check=False)
            compiler = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        except (OSError, subprocess.TimeoutExpired) as error:
            log.warning("the runtime of functions is not compiled: %s", error)
            return
        self._compilers.add(compiler)
        threading.Thread(target=self._reap, args=(compiler,), name="sdk-compiler", daemon=True).start()

    def _reap(self, compiler: subprocess.Popen[bytes]) -> None:
        try:
            compiler.wait(_COMPILE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            compiler.kill()
            compiler.wait()
        self._compilers.discard(compiler)


def _own_files(runtime: Runtime) -> list[Path]:
    return sorted(path for path in runtime.folder.iterdir() if path.is_file() and path.name != "__init__.py")


def _digest(runtime: Runtime, sdk: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in _own_files(runtime):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    for part in sdk:  # the folders of metadata have versions in their names
        digest.update(part.name.encode() + b"\0")
    return digest.hexdigest()[:16]


def _link(source: str, target: str) -> None:
    """A second name of the same file, where that is allowed and others may read it; else a copy."""
    if os.stat(source).st_mode & _READABLE:
        with contextlib.suppress(OSError):
            os.link(source, target)
            return
    shutil.copyfile(source, target)
    os.chmod(target, 0o644)


@contextlib.contextmanager
def _sdk_of(runtime: Runtime, parent: Path) -> Iterator[list[Path]]:
    """The SDK's files and folders for that runtime, for the length of a block; nothing where it cannot be had."""
    installed = _installed()
    minor = int(runtime.name.rpartition(".")[2])
    if installed is not None and minor >= _oldest_minor(installed):
        yield installed
        return
    with tempfile.TemporaryDirectory(prefix=".download-", dir=parent, ignore_cleanup_errors=True) as temporary:
        site = Path(temporary)
        try:
            _download(runtime, site)
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            log.warning(
                "functions of %s find no boto3 unless they bring it: the one installed here needs a newer Python, and "
                "%s could not be downloaded. %s",
                runtime.name, runtime.sdk, said.strip(),
            )  # fmt: skip
            yield []
            return
        yield _parts(site)


def _download(runtime: Runtime, site: Path) -> None:
    command = [
        find_uv_bin(), "pip", "install", "--no-config", "--color", "never", "--no-progress", "--only-binary", ":all:",
        "--target", str(site), "--python", sys.executable,
        "--python-version", runtime.name.removeprefix("python"), runtime.sdk or "boto3",
    ]  # fmt: skip
    subprocess.run(
        command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_DOWNLOAD_TIMEOUT_S
    )


def _installed() -> list[Path] | None:
    """The SDK in the place of Samovar's own libraries, which is one place for all of it; `None` if it is not whole."""
    found = find_spec("boto3")
    if found is None or found.origin is None:
        return None
    parts = _parts(Path(found.origin).parent.parent)
    return parts if len(parts) == 2 * len(SDK) else None


def _parts(site: Path) -> list[Path]:
    """Of each distribution its package, or module, and its metadata."""
    return [path for name, module in SDK.items() for path in _of_distribution(site, name, module)]


def _of_distribution(site: Path, name: str, module: str) -> Iterator[Path]:
    yield from (path for path in (site / module, site / f"{module}.py") if path.exists())
    yield from sorted(site.glob(f"{name.replace('-', '[-_]')}-[0-9]*.dist-info"))[-1:]


def _oldest_minor(parts: list[Path]) -> int:
    """The oldest 3.x that all of them support."""
    metadata = [part / "METADATA" for part in parts if part.suffix == ".dist-info"]
    stated = [_OLDEST.search(path.read_text(errors="replace")) for path in metadata]
    return max((int(match[1]) for match in stated if match is not None), default=0)
