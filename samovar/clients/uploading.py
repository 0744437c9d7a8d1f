"""Many files into one bucket, some at a time, with one account of how far it is."""

from __future__ import annotations

import mimetypes
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Lock
from typing import Final, Self

import msgspec

from samovar.clients.buckets import Buckets, Progress, Uploaded
from samovar.errors import CallerError

AT_ONCE: Final = 4
"""Small files cost a round trip each, which others can fill."""
_UNKNOWN: Final = "application/octet-stream"


class UploadError(CallerError):
    """There is nothing here that can be sent; the message names the file or folder."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One file, and what it is to become."""

    file: Path
    key: str
    content_type: str
    size: int

    @classmethod
    def of(cls, file: Path, key: str, content_type: str | None) -> Self:
        """The type is guessed from the file's name where none is given. Raises `UploadError`."""
        try:
            size = file.stat().st_size
        except OSError as error:
            raise UploadError(f"{file} cannot be read: {error.strerror}") from error
        kind = content_type or mimetypes.guess_type(file.name)[0] or _UNKNOWN
        return cls(file=file, key=key, content_type=kind, size=size)


def files_below(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file below a folder, by its path in it with slashes, in order.

    Links to files are followed, links to folders are not: they may lead round in circles. Raises `UploadError`.
    """

    def give_up(error: OSError) -> None:
        raise UploadError(f"{error.filename} cannot be read: {error.strerror}") from error

    for where, folders, names in os.walk(folder, onerror=give_up):
        folders.sort()
        for name in sorted(names):
            file = Path(where, name)
            if file.is_file():
                yield file.relative_to(folder).as_posix(), file


def upload_all(buckets: Buckets, bucket: str, orders: Sequence[Order], progress: Progress) -> list[Uploaded]:
    """Upload them, in the order they are given; `progress` is told of bytes of all of them together.

    The first that fails keeps those that have not begun from beginning. Raises `UploadError` for a file that cannot be
    read, and whatever `Buckets.upload` raises.
    """
    account = _Account(sum(order.size for order in orders), progress)

    def upload(order: Order) -> Uploaded:
        try:
            return buckets.upload(order.file, bucket, order.key, order.content_type, account.of_one())
        except OSError as error:
            raise UploadError(f"{order.file} cannot be read: {error.strerror}") from error

    with ThreadPoolExecutor(min(AT_ONCE, len(orders))) as pool:
        running = deque(pool.submit(upload, order) for order in orders)
        try:
            wait(running, return_when=FIRST_EXCEPTION)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        failed = next((one for one in running if not one.cancelled() and one.exception()), None)
        if failed is not None:
            done = sum(1 for one in running if not one.cancelled() and not one.exception())
            _raise_after(failed.exception(), done, len(orders))
        return [one.result() for one in running]


def _raise_after(error: BaseException | None, done: int, wanted: int) -> None:
    """Raise what one upload failed with, and say how many were done where there was more than one."""
    assert error is not None
    if wanted > 1 and isinstance(error, CallerError):
        error.message += f" ({done} of {wanted} files are uploaded)"
    raise error


class _Account:
    """Bytes sent, of all files together. Threads count side by side."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total = total
        self._done = 0
        self._lock = Lock()
        self._progress = progress

    def of_one(self) -> Progress:
        """What one file's progress is told to."""
        before = 0

        def update(done: int, _: int) -> None:
            nonlocal before
            with self._lock:
                self._done += done - before
                before = done
                self._progress(self._done, self._total)

        return update
