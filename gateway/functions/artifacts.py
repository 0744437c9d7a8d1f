"""Deployment packages on disk, named by their SHA-256: `<digest>/` unpacked and read-only, `<digest>.zip` as sent.

Layers are such packages. Where a function has several, they lie one over the other in a folder of their own, named by
the digest of theirs: `<digest>/`, and `<digest>.layers`, which lists them.

A package is unpacked beside its final place and renamed into it, so a folder with a digest for a name is always
whole. Names that begin with `.new-` or `.old-` are work in progress, or what a killed process left of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import stat
import tempfile
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from gateway.functions.overlay import overlay, size_of
from gateway.functions.unpack import EMPTY_ZIP, flush, unpack
from samovar.errors import InvalidParameterValue, RequestEntityTooLarge, ServiceFailure

GRACE_S: Final = 3600.0
"""How long a package that no function uses is kept: a deployment may be about to name it."""
_AT_ONCE: Final = 2
"""Packages being unpacked at the same time; more would only take the disk from running functions."""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_NEW, _OLD = ".new-", ".old-"
_ZIP, _LAYERS = ".zip", ".layers"
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


class Package(NamedTuple):
    """A deployment package that is safely on disk."""

    sha256: str
    """Lower-case hex digest."""
    size: int
    """Bytes as sent."""


def base64_digest(sha256: str) -> str:
    """A hex digest as the Lambda API prints it (`CodeSha256`)."""
    return b64encode(bytes.fromhex(sha256)).decode()


class Artifacts:
    """The packages under one folder."""

    def __init__(self, code_dir: Path, max_unpacked: int, max_packed: int) -> None:
        self.code_dir = code_dir
        self.max_unpacked = max_unpacked
        self.max_packed = max_packed
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._fetching = asyncio.Lock()

    def folder(self, sha256: str) -> Path:
        """Where the unpacked package is."""
        return self.code_dir / sha256

    def archive(self, sha256: str) -> Path:
        """Where the package as it was sent is."""
        return self.code_dir / f"{sha256}{_ZIP}"

    async def add(self, package: bytes) -> Package:
        """Keep and unpack a package, unless it is there already.

        Raises `RequestEntityTooLarge`, `InvalidParameterValue` or `InvalidZipFile` for what is wrong with it, and
        `ServiceFailure` when the disk is full or fails. Whatever is raised, nothing of it is left behind.
        """
        return await self._in_turn(self._bounded(package), keep=True)

    async def check(self, package: bytes) -> Package:
        """What `add` would return or raise, keeping nothing."""
        return await self._in_turn(self._bounded(package), keep=False)

    async def fetch(self, package: Callable[[], Awaitable[bytes]], *, keep: bool) -> Package:
        """As `add` or, unless it is to be kept, `check`, of a package that does not come with the request.

        Lambda bounds such a one only by what it unpacks to. As it may be large, one at a time is in memory.
        Raises what `package` raises, too.
        """
        async with self._fetching:
            return await self._in_turn(await package(), keep=keep)

    async def combine(self, digests: Sequence[str]) -> str:
        """Lay packages that are there one over the other, the last on top; the digest that names the folder.

        No packages make no folder, and have an empty digest; one is its own. Raises `ServiceFailure`.
        """
        if not digests:
            return ""
        async with self._turns:
            return await asyncio.to_thread(self._combine, digests)

    async def unpacked_size(self, digests: Sequence[str]) -> int:
        """Bytes of all files of these packages. Raises `ServiceFailure`."""
        return await asyncio.to_thread(self._unpacked_size, digests)

    async def release(self, *digests: str) -> None:
        """Start the grace time of what a function has just stopped using: running calls may still read it."""
        for digest in filter(None, digests):
            for suffix in (_ZIP, _LAYERS):
                with contextlib.suppress(FileNotFoundError):
                    await asyncio.to_thread(os.utime, self.code_dir / f"{digest}{suffix}")

    async def collect(self, used: Collection[str], grace_s: float = GRACE_S, now: float | None = None) -> list[str]:
        """Remove packages whose digest is not in `used`, and remains of interrupted work, older than `grace_s`.

        Returns the digests that were removed. `used` must have been read after the moment `now - grace_s`.
        """
        return await asyncio.to_thread(self._collect, frozenset(used), (now or time.time()) - grace_s)

    def _bounded(self, package: bytes) -> bytes:
        if len(package) > self.max_packed:
            raise RequestEntityTooLarge(f"Zipped size must be smaller than {self.max_packed} bytes")
        return package

    async def _in_turn(self, package: bytes, *, keep: bool) -> Package:
        async with self._turns:
            return await asyncio.to_thread(self._add, package, keep=keep)

    def _add(self, package: bytes, *, keep: bool) -> Package:
        if not package:
            raise InvalidParameterValue(EMPTY_ZIP)
        added = Package(hashlib.sha256(package).hexdigest(), len(package))
        with self._disk_errors():
            self.code_dir.mkdir(parents=True, exist_ok=True)
            if self._present(added.sha256, _ZIP):
                return added
            with self._work() as work:
                unpack(package, work / "code", self.max_unpacked)
                if keep:
                    _write_durably(work / _ZIP, package)
                    self._publish(work, added.sha256, _ZIP)
        return added

    def _combine(self, digests: Sequence[str]) -> str:
        missing = [digest for digest in digests if not self._present(digest, _ZIP)]
        if missing:
            raise ServiceFailure(f"The package {missing[0]} of a layer is not in {self.code_dir} any more.")
        if len(digests) == 1:
            return digests[0]
        listed = "\n".join(digests).encode()
        digest = hashlib.sha256(listed).hexdigest()
        with self._disk_errors():
            if not self._present(digest, _LAYERS):
                with self._work() as work:
                    overlay([self.folder(layer) for layer in digests], work / "code")
                    _write_durably(work / _LAYERS, listed)
                    self._publish(work, digest, _LAYERS)
        return digest

    def _unpacked_size(self, digests: Sequence[str]) -> int:
        with self._disk_errors():
            return sum(size_of(self.folder(digest)) for digest in digests)

    @contextlib.contextmanager
    def _work(self) -> Iterator[Path]:
        """A folder with an empty folder `code`, for what is on its way to its final place."""
        work = Path(tempfile.mkdtemp(prefix=_NEW, dir=self.code_dir))
        try:
            (work / "code").mkdir()
            yield work
        finally:
            _remove_tree(work)

    def _present(self, digest: str, suffix: str) -> bool:
        """Whether a folder is there; makes it young again then, so that `collect` leaves it alone."""
        with self._locked():
            companion = self.code_dir / f"{digest}{suffix}"
            if not (self.folder(digest).exists() and companion.exists()):
                return False
            os.utime(companion)
            return True

    def _publish(self, work: Path, sha256: str, suffix: str) -> None:
        code = work / "code"
        # Moving a folder rewrites its "..", for which only its owner's write permission will do.
        code.chmod(0o755)
        with self._locked():
            (work / suffix).replace(self.code_dir / f"{sha256}{suffix}")
            if not self.folder(sha256).exists():  # else another deployment of the same package was faster
                code.rename(self.folder(sha256))
                self.folder(sha256).chmod(0o555)
            flush(self.code_dir)

    def _collect(self, used: frozenset[str], before: float) -> list[str]:
        removed: list[str] = []
        for path in list(self.code_dir.iterdir()) if self.code_dir.is_dir() else []:
            with contextlib.suppress(FileNotFoundError):  # another sweep was here at the same time
                if path.name.startswith((_NEW, _OLD)):
                    if path.stat().st_mtime < before:
                        _remove_tree(path)
                elif _is_companion(path) and path.stem not in used and self._remove(path, before):
                    removed.append(path.stem)
        return removed

    def _remove(self, companion: Path, before: float) -> bool:
        """Take a folder out of sight at once, then delete it; unless it has become young again."""
        folder = self.folder(companion.stem)
        work = Path(tempfile.mkdtemp(prefix=_OLD, dir=self.code_dir))
        try:
            with self._locked():
                if companion.stat().st_mtime >= before:
                    return False
                if folder.exists():
                    folder.chmod(0o755)
                    folder.rename(work / "code")
                companion.unlink()
                return True
        finally:
            _remove_tree(work)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the folder against the other processes that deploy into it or sweep it."""
        with (self.code_dir / ".lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise ServiceFailure(
                    f"The code was not stored: no space is left for it in {self.code_dir} ({error.strerror}). "
                    "What was deployed before goes on serving. Free some space and deploy again."
                ) from error
            raise ServiceFailure(
                f"The code was not stored: {self.code_dir} cannot be written ({error.strerror}). "
                "What was deployed before goes on serving."
            ) from error


def _is_companion(path: Path) -> bool:
    return path.suffix in (_ZIP, _LAYERS) and _DIGEST.fullmatch(path.stem) is not None


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _remove_tree(path: Path) -> None:
    """Delete a folder whose folders may be read-only, which for anybody but root is an obstacle."""
    for folder, names, _ in os.walk(path):
        for name in (folder, *(os.path.join(folder, name) for name in names)):
            if not os.path.islink(name):
                os.chmod(name, stat.S_IRWXU)
    shutil.rmtree(path, ignore_errors=False)
