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
_log = logging.getLogger("samovar.uploads")


def parsed(text: str) -> dict[str, Path]:
    """The setting `upload_folders`: buckets and their folders."""
    pairs = (part.partition("=") for part in text.split(",") if part.strip())
    return {bucket.strip(): Path(folder.strip()).expanduser().absolute() for bucket, _, folder in pairs}


class Folder:
    """One folder and its bucket. Hidden files, and links, are nobody's uploads."""

    def __init__(self, objects: Objects, bucket: str, path: Path) -> None:
        self._objects = objects
        self._bucket = bucket
        self._path = path
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting: dict[Path, asyncio.Task[None]] = {}

    async def watch(self) -> None:
        """Bring the bucket up to date, then follow the folder, for ever."""
        pause = 1.0
        while True:
            try:
                self._path.mkdir(parents=True, exist_ok=True)
                await self._objects.create_bucket(self._bucket)
                changes = awatch(self._path, debounce=_DEBOUNCE_MS, step=_STEP_MS, recursive=True)
                first = asyncio.ensure_future(anext(changes))  # it listens before anything is looked at
                await self._catch_up()
                self._take(await first)
                async for more in changes:
                    self._take(more)
            except (SamovarError, OSError) as error:
                _log.warning("folder %s cannot be watched as bucket %s: %s", self._path, self._bucket, error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 30.0)

    def _take(self, changes: set[tuple[Change, str]]) -> None:
        for kind, name in changes:
            path = Path(name)
            if self._is_upload(path) and path not in self._waiting:
                task = asyncio.create_task(self._follow(path, gone=kind is Change.deleted))
                self._waiting[path] = task
                task.add_done_callback(lambda _, done=path: self._waiting.pop(done))  # type: ignore[misc]

    def _is_upload(self, path: Path) -> bool:
        return not any(part.startswith(".") for part in path.relative_to(self._path).parts)

    async def _follow(self, path: Path, *, gone: bool) -> None:
        """Wait until a file is whole, then have the bucket as the folder is; some tries, with pauses."""
        for number in range(1, _TRIES + 1):
            try:
                async with self._turns:
                    await self._settle(path, gone=gone)
            except (SamovarError, OSError) as error:
                _log.warning("%s could not be brought to bucket %s: %s", path, self._bucket, error)
                await asyncio.sleep(number**2)
            else:
                return

    async def _settle(self, path: Path, *, gone: bool) -> None:
        deadline = time.monotonic() + _GIVE_UP_S
        while time.monotonic() < deadline:
            found = await asyncio.to_thread(_stat, path)
            if found is None:
                if gone:
                    await self._delete(path)
                return
            age = time.time() - found.st_mtime
            if age >= SETTLED_S or age < -SETTLED_S:
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
        async with self._objects.upstream.asked("DELETE", target(self._bucket, self._key(path))) as answer:
            if answer.status >= 300:
                raise ServiceUnavailable(f"the S3 server answered with status {answer.status}")

    async def _catch_up(self) -> None:
        """Put what came while nobody watched. Objects without a file stay: others may have put them."""
        for path, found in await asyncio.to_thread(self._files):
            async with self._objects.upstream.asked("HEAD", target(self._bucket, self._key(path))) as answer:
                there = {name.lower(): value for name, value in answer.headers} if answer.status < 300 else {}
            if not _is_same(there, found):
                await self._follow(path, gone=False)

    def _files(self) -> list[tuple[Path, os.stat_result]]:
        found = ((path, _stat(path)) for path in sorted(self._path.rglob("*")) if self._is_upload(path))
        return [(path, each) for path, each in found if each is not None]


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
