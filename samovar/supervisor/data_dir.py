"""The data directory: who may use it, how it is laid out, and that one platform owns it at a time.

0711  .                 others may pass through, to code/ and run/, but not list it
0711  code/  run/       environments may run as another user; names in there are not guessable or are theirs
0700  store/ logs/ journal/ beat/ logs-platform/
0600  samovar.lock      held with flock(2) as long as the platform runs; holds the supervisor's pid
0600  samovar.json      the schema of everything above, for migrations
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

import samovar
from samovar.errors import StartRefused
from samovar.settings import Settings

SCHEMA = 1
"""Raised when an older Samovar could no longer read what a newer one wrote."""
PASSABLE, PRIVATE = 0o711, 0o700
SHARED = Path("/tmp")  # noqa: S108 - named to be distrusted: anybody may have put something there before us
_LOCK_TRIES, _LOCK_PAUSE_S = 10, 0.05
"""`owner` takes the lock for an instant to see whether it is free; a start that meets it there tries again."""


class _Stamp(msgspec.Struct, frozen=True):
    schema: int
    created_by: str


def store_dir(settings: Settings) -> Path:
    """Where the embedded store keeps its append-only file."""
    return settings.data / "store"


def platform_logs_dir(settings: Settings) -> Path:
    """Where the platform's own processes log when nobody watches a terminal."""
    return settings.data / "logs-platform"


def lock_path(settings: Settings) -> Path:
    """The file whose lock says that a platform runs."""
    return settings.data / "samovar.lock"


def prepare(settings: Settings) -> None:
    """Create what is missing and check what is there. Raises `StartRefused`; running it again changes nothing."""
    try:
        for path in (settings.data, settings.code_dir):
            _folder(path, PASSABLE)
        for path in (store_dir(settings), settings.logs_dir, settings.journal_dir):
            _folder(path, PRIVATE)
        _folder(platform_logs_dir(settings), PRIVATE)
        _folder(settings.run_dir, PASSABLE)
        _check_schema(settings.data / "samovar.json")
    except OSError as error:
        raise StartRefused(
            f"data directory {settings.data} cannot be used by user id {os.geteuid()}: "
            f"{error.strerror} ({error.filename}); name another with --data-dir, or change its owner"
        ) from error


def _folder(path: Path, mode: int) -> None:
    path.mkdir(parents=True, exist_ok=True, mode=mode)
    found = path.lstat()
    if path.parent == SHARED and (not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid()):
        raise StartRefused(f"{path} must be a folder of user id {os.geteuid()}, somebody else made it; remove it")
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _check_schema(path: Path) -> None:
    if not path.exists():
        path.write_bytes(msgspec.json.encode(_Stamp(SCHEMA, samovar.__version__)))
        path.chmod(0o600)
        return
    try:
        stamp = msgspec.json.decode(path.read_bytes(), type=_Stamp)
    except msgspec.DecodeError as error:
        raise StartRefused(
            f"{path} is damaged ({error}); restore it, or write {{'schema': {SCHEMA}}} as JSON"
        ) from error
    if stamp.schema > SCHEMA:
        raise StartRefused(
            f"data directory {path.parent} was written by a newer Samovar (schema {stamp.schema}, this one reads "
            f"{SCHEMA}); install that version, or name another directory with --data-dir"
        )


@contextmanager
def owned(settings: Settings) -> Iterator[None]:
    """Hold the data directory. Raises `StartRefused` naming the process that holds it already."""
    path = lock_path(settings)
    with path.open("a+") as file:
        path.chmod(0o600)
        if not _lock(file):
            raise StartRefused(
                f"data directory {settings.data} is in use by another Samovar (pid {owner(settings) or 'unknown'}); "
                f"stop it with `samovar down --data-dir {settings.data}`, or name another with --data-dir"
            )
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
        file.truncate(0)


def _lock(file: IO[str]) -> bool:
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOCK_PAUSE_S)
        else:
            return True
    return False


def owner(settings: Settings) -> int | None:
    """The pid of the supervisor that holds the data directory; `None` when nobody does.

    Raises `StartRefused` when the directory is another user's.
    """
    try:
        file = lock_path(settings).open("r")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise StartRefused(f"data directory {settings.data} belongs to another user; run this as that user") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = file.read().strip()
            return int(text) if text.isdigit() else None
    return None
