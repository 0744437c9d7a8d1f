"""Folders that are watched as buckets: what is put into one becomes an object; from there on it is as with uploads."""

from __future__ import annotations

import asyncio
import logging
import mimetypes
import os
import stat
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

from watchfiles import Change, awatch

from gateway.uploads.listing import listed
from gateway.uploads.objects import Objects, target
from gateway.uploads.refusals import S3Error
from samovar.errors import SamovarError, ServiceUnavailable

SETTLED_S: Final = 0.5
"""A file that was not written to for so long is whole. Whoever cannot promise that writes elsewhere, and renames."""
AT_ONCE: Final = 4
_GIVE_UP_S: Final = 3600.0
"""A file that is written to for longer is found at the next start."""
_TRIES: Final = 5
_PIECE: Final = 256 * 1024
_DEBOUNCE_MS, _STEP_MS = 200, 50
_LOOKS_EVERY_MS: Final = 5_000
"""How often it is asked whether the folder is still the one that is watched: of one that was moved nothing is said."""
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.5, 30.0
_log = logging.getLogger("samovar.uploads")


def parsed(text: str) -> dict[str, Path]:
    """The setting `upload_folders`: buckets and their folders."""
    pairs = (part.partition("=") for part in text.split(",") if part.strip())
    return {bucket.strip(): Path(folder.strip()).expanduser().absolute() for bucket, _, folder in pairs}


class FolderGone(OSError):
    """The folder is not there any more, or another one has its name."""


class Folder:
    """One folder and its bucket. Hidden files, and links, are nobody's uploads."""

    def __init__(self, objects: Objects, bucket: str, path: Path) -> None:
        self._objects = objects
        self._bucket = bucket
        self._path = path
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting: dict[Path, asyncio.Task[None]] = {}
        self._again: set[Path] = set()
        """Those of them that changed while they were being brought to the bucket."""

    async def watch(self) -> None:
        """Bring the bucket up to date, then follow the folder, for ever."""
        pause = _FIRST_PAUSE_S
        while True:
            began = time.monotonic()
            try:
                self._path.mkdir(parents=True, exist_ok=True)
                await self._objects.create_bucket(self._bucket)
                await self._follow(self._path.stat())
            except (SamovarError, OSError) as error:
                _log.warning("folder %s cannot be watched as bucket %s: %s", self._path, self._bucket, error)
            pause = _FIRST_PAUSE_S if time.monotonic() - began > _LAST_PAUSE_S else min(pause * 2, _LAST_PAUSE_S)
            await asyncio.sleep(pause)

    async def _follow(self, watched: os.stat_result) -> None:
        """Raises `FolderGone`: what is watched is a folder, not a name."""
        changes = awatch(
            self._path,
            debounce=_DEBOUNCE_MS,
            step=_STEP_MS,
            recursive=True,
            rust_timeout=_LOOKS_EVERY_MS,
            yield_on_timeout=True,
        )
        first = asyncio.ensure_future(anext(changes))  # it listens before anything is looked at
        await self._catch_up(self._path)
        self._take(await first)
        async for more in changes:
            self._take(more)
            try:
                is_same = os.path.samestat(watched, self._path.stat())
            except FileNotFoundError:
                is_same = False
            if not is_same:
                raise FolderGone("it has gone, or another folder has taken its place")

    def _take(self, changes: set[tuple[Change, str]]) -> None:
        for kind, name in changes:
            self._hear(Path(name), gone=kind is Change.deleted)

    def _hear(self, path: Path, *, gone: bool) -> None:
        if path == self._path or not self._is_upload(path):
            return
        if path in self._waiting:
            self._again.add(path)
        else:
            self._waiting[path] = asyncio.create_task(self._bring(path, gone=gone))

    def _is_upload(self, path: Path) -> bool:
        return not any(part.startswith(".") for part in path.relative_to(self._path).parts)

    async def _bring(self, path: Path, *, gone: bool) -> None:
        """Have the bucket as the folder is, once more when the file has changed meanwhile."""
        try:
            await self._try(path, gone=gone)
            while path in self._again:
                self._again.discard(path)
                await self._try(path, gone=True)
        finally:
            del self._waiting[path]

    async def _try(self, path: Path, *, gone: bool) -> None:
        """Some tries, with pauses. `gone`: the file was there, so that it is removed if it is not."""
        for number in range(1, _TRIES + 1):
            try:
                await self._settle(path, gone=gone)
            except (SamovarError, OSError) as error:
                _log.warning("%s could not be brought to bucket %s: %s", path, self._bucket, error)
                await asyncio.sleep(number**2)
            else:
                return

    async def _settle(self, path: Path, *, gone: bool) -> None:
        """Wait until a file is whole, which keeps nobody else waiting, and put it; or remove it."""
        deadline = time.monotonic() + _GIVE_UP_S
        while time.monotonic() < deadline:
            found = await asyncio.to_thread(_stat, path)
            if found is None:
                if await asyncio.to_thread(path.is_dir):
                    await self._catch_up(path)  # it was moved here with all that is in it, of which nothing is said
                elif gone:
                    await self._delete(path)
                return
            age = time.time() - found.st_mtime
            if age >= SETTLED_S or age < -SETTLED_S:
                async with self._turns:
                    await self._put(path, found.st_size)
                return
            await asyncio.sleep(SETTLED_S)

    def _key(self, path: Path) -> str:
        return path.relative_to(self._path).as_posix()

    async def _put(self, path: Path, size: int) -> None:
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        headers = [(b"content-length", b"%d" % size), (b"content-type", kind.encode())]
        where = target(self._bucket, self._key(path))
        async with self._objects.upstream.asked("PUT", where, headers, _pieces(path)) as answer:
            if answer.status >= 300:
                raise S3Error(f"the S3 server answered with status {answer.status}")

    async def _delete(self, path: Path) -> None:
        """Remove what a file was, or a folder with all that was in it: of neither is anything left to tell which."""
        async with self._turns:
            await self._remove(self._key(path))
            below = listed(self._objects.upstream.asked, self._bucket, self._key(path) + "/")
            for key in [change.key async for page in below for change in page]:
                if not (self._path / key).exists():
                    await self._remove(key)

    async def _remove(self, key: str) -> None:
        async with self._objects.upstream.asked("DELETE", target(self._bucket, key)) as answer:
            if answer.status >= 300:
                raise ServiceUnavailable(f"the S3 server answered with status {answer.status}")

    async def _catch_up(self, folder: Path) -> None:
        """Put what came while nobody watched. Objects without a file stay: others may have put them."""
        for path, found in await asyncio.to_thread(self._files, folder):
            async with self._objects.upstream.asked("HEAD", target(self._bucket, self._key(path))) as answer:
                there = {name.lower(): value for name, value in answer.headers} if answer.status < 300 else {}
            if not _is_same(there, found):
                self._hear(path, gone=False)

    def _files(self, folder: Path) -> list[tuple[Path, os.stat_result]]:
        found = ((path, _stat(path)) for path in sorted(folder.rglob("*")) if self._is_upload(path))
        return [(path, each) for path, each in found if each is not None and self._has_name(path)]

    @staticmethod
    def _has_name(path: Path) -> bool:
        """Keys are UTF-8; names of files may be any bytes."""
        try:
            os.fspath(path).encode()
        except UnicodeEncodeError:
            _log.warning("%r is no upload: its name is not UTF-8", path)
            return False
        return True


def _is_same(there: Mapping[bytes, bytes], file: os.stat_result) -> bool:
    """Whether an object can be the file: as long, and not older."""
    from email.utils import parsedate_to_datetime

    if int(there.get(b"content-length", b"-1")) != file.st_size:
        return False
    return parsedate_to_datetime(there[b"last-modified"].decode()).timestamp() + 1 >= file.st_mtime


def _stat(path: Path) -> os.stat_result | None:
    """A plain file's state; `None` for everything else."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while piece := await asyncio.to_thread(file.read, _PIECE):
            yield piece
