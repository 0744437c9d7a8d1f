"""What the embedded store has written is on the disk a second later, without the store waiting for it.

Valkey's own `appendfsync everysec` keeps what it acknowledges in its memory while a write to the disk is going on
(valkey.conf, 'appendfsync'), and a `kill -9` at that moment loses it. So the store hands every write to the kernel
before it acknowledges it, and the supervisor has the kernel write.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

EVERY_S = 1.0

log = logging.getLogger("samovar.up")


class DiskSync:
    """The files of one folder that is written by somebody else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._synced: dict[Path, tuple[int, int]] = {}
        """What files were like when they were last written to the disk."""

    def sync(self) -> list[Path]:
        """Have what has changed since the last time written to the disk, and return those files. Blocks.

        Raises `OSError` when the disk fails; the next time tries the same files again.
        """
        found = _stamps(self._folder)
        changed = [path for path, stamp in found.items() if self._synced.get(path) != stamp]
        for path in changed:
            with contextlib.suppress(FileNotFoundError):  # the store has written a newer one in its place
                _to_disk(path)
        if found.keys() != self._synced.keys() and self._folder.is_dir():
            _to_disk(self._folder)
        self._synced = found
        return changed

    async def keep_up(self, every_s: float = EVERY_S) -> None:
        """Do so again and again, until cancelled."""
        is_failing = False
        while True:
            await asyncio.sleep(every_s)
            try:
                await asyncio.to_thread(self.sync)
                is_failing = False
            except OSError as error:
                if not is_failing:
                    log.warning("the store's files are not written to the disk, a power cut would lose them: %s", error)
                is_failing = True


@contextlib.asynccontextmanager
async def syncing(folder: Path | None) -> AsyncIterator[None]:
    """Keep up with a folder, for the length of a block; with none there is nothing to do."""
    if folder is None:
        yield
        return
    task = asyncio.create_task(DiskSync(folder).keep_up(), name="disk-sync")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _stamps(folder: Path) -> dict[Path, tuple[int, int]]:
    """Size and time of the last change of each file."""
    stamps = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                found = entry.stat(follow_symlinks=False)
                stamps[Path(entry.path)] = found.st_size, found.st_mtime_ns
    return stamps


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
