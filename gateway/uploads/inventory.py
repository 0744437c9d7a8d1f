"""Which objects there were when somebody last knew, so that one which has gone without a word is missed.

What was put leaves an object to be found; what was removed leaves nothing but the memory that it was there. Buckets are
remembered if somebody is told of removals from them. It is a file, because a bucket may have more objects than belong
into anybody's memory; it outlives `kill -9`, as the kernel has what was written.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Self

from gateway.uploads.record import Change
from samovar.errors import ServiceUnavailable
from samovar.settings import Settings

_SCHEMA: Final = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA cache_size = -1024;
CREATE TABLE IF NOT EXISTS buckets (bucket TEXT PRIMARY KEY, round INTEGER, is_complete INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
  bucket TEXT, key TEXT, etag TEXT, version TEXT, modified_s INTEGER, round INTEGER, PRIMARY KEY (bucket, key)
) WITHOUT ROWID;
"""
_PUT: Final = """
INSERT OR REPLACE INTO objects
VALUES (?1, ?2, ?3, ?4, ?5, coalesce((SELECT round FROM buckets WHERE bucket = ?1), 0))
"""
_FIND: Final = "SELECT bucket, key, etag, version, modified_s FROM objects WHERE bucket = ? AND key = ?"
_MISSING: Final = """
SELECT bucket, key, etag, version, modified_s FROM objects
WHERE bucket = ?1 AND key > ?2 AND round < (SELECT round FROM buckets WHERE bucket = ?1) ORDER BY key LIMIT 500
"""
_FORGET: Final = """
DELETE FROM objects
WHERE bucket = ?1 AND key IN (SELECT key FROM objects WHERE bucket = ?1 ORDER BY key LIMIT 500)
"""
_log = logging.getLogger(__name__)


def path_of(settings: Settings) -> Path:
    """Beside the objects of the embedded server; it is there for an S3 of somebody else's, too."""
    return settings.s3_dir / "known.sqlite"


class Inventory:
    """The objects of buckets, as they were last put, heard of or seen. A context manager.

    A *round* is one look at all objects of a bucket: afterwards those that were neither seen nor heard of in it are
    missing. The first round of a bucket makes its account complete; before it, nothing is known to be missing.

    Every method raises `ServiceUnavailable` when the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._database = _opened(path)
        except sqlite3.OperationalError as error:
            raise ServiceUnavailable(f"{path} cannot be opened: {error}") from error
        except sqlite3.DatabaseError as error:
            _log.warning("%s cannot be read and is made anew: %s", path, error)
            for each in path.parent.glob(f"{path.name}*"):
                each.unlink()
            self._database = _opened(path)
        self._gone: dict[str, set[str]] = {}
        """Of buckets in a round, what was removed while it is running: a page that is older may still list it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def put(self, change: Change) -> None:
        """An object was made, or written anew."""
        self._gone.get(change.bucket, set()).discard(change.key)
        self._write([change])

    def drop(self, bucket: str, key: str) -> None:
        """An object has gone, and that is told."""
        if bucket in self._gone:
            self._gone[bucket].add(key)
        with _writing():
            self._database.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", (bucket, key))

    def find(self, bucket: str, key: str) -> Change | None:
        """An object as it was last known."""
        with _writing():
            rows = self._database.execute(_FIND, (bucket, key)).fetchall()
        return next((_change(row) for row in rows), None)

    def is_complete(self, bucket: str) -> bool:
        """Whether all objects of a bucket are known here."""
        with _writing():
            row = self._database.execute("SELECT is_complete FROM buckets WHERE bucket = ?", (bucket,)).fetchone()
        return row is not None and bool(row[0])

    def begin(self, bucket: str) -> None:
        """Begin a round."""
        self._gone[bucket] = set()
        with _writing():
            self._database.execute(
                "INSERT INTO buckets VALUES (?, 1, 0) ON CONFLICT (bucket) DO UPDATE SET round = round + 1", (bucket,)
            )

    def seen(self, bucket: str, objects: Iterable[Change]) -> None:
        """A page of a bucket's objects in this round."""
        gone = self._gone.get(bucket, set())
        self._write([each for each in objects if each.key not in gone])

    def missing(self, bucket: str) -> Iterator[Change]:
        """What was there before this round and was not seen in it; nothing where not all was known before."""
        after = ""
        while self.is_complete(bucket):
            with _writing():
                rows = self._database.execute(_MISSING, (bucket, after)).fetchall()
            if not rows:
                return
            yield from map(_change, rows)
            after = rows[-1][1]

    def end(self, bucket: str) -> None:
        """End a round that has seen all."""
        self._gone.pop(bucket, None)
        with _writing():
            self._database.execute("UPDATE buckets SET is_complete = 1 WHERE bucket = ?", (bucket,))

    def keep_only(self, buckets: Collection[str]) -> Generator[None]:
        """Forget all other buckets, some objects with each step, so that others have their turn between.

        A bucket whose forgetting is not carried to its end is complete no more, and is forgotten the next time.
        """
        with _writing():
            known = [row[0] for row in self._database.execute("SELECT bucket FROM buckets")]
        for bucket in set(known).difference(buckets):
            with _writing():
                self._database.execute("UPDATE buckets SET is_complete = 0 WHERE bucket = ?", (bucket,))
            while self._forget_some(bucket):
                yield
            with _writing():
                self._database.execute("DELETE FROM buckets WHERE bucket = ?", (bucket,))

    def _forget_some(self, bucket: str) -> bool:
        with _writing():
            return self._database.execute(_FORGET, (bucket,)).rowcount > 0

    def _write(self, objects: Sequence[Change]) -> None:
        rows = [(each.bucket, each.key, each.etag, each.version, each.modified_s) for each in objects]
        with _writing():
            self._database.execute("BEGIN")
            try:
                self._database.executemany(_PUT, rows)
                self._database.execute("COMMIT")
            finally:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    try:
        database.executescript(_SCHEMA)
    except sqlite3.DatabaseError:
        with suppress(sqlite3.Error):
            database.close()
        raise
    return database


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise ServiceUnavailable(f"what is known of objects cannot be kept: {error}") from error


def _change(row: tuple[str, str, str, str, int]) -> Change:
    """The removal of an object that was known so."""
    bucket, key, etag, version, modified_s = row
    return Change(
        bucket=bucket,
        key=key,
        event="ObjectRemoved:Delete",
        at_ns=0,
        etag=etag,
        version=version,
        modified_s=modified_s,
    )
