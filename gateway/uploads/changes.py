"""What SeaweedFS tells of its files, read as changes of objects. Pure.

The filer keeps a bucket as a folder below `/buckets`, an object as a file in it; parts of unfinished uploads below
`.uploads`, versions of an object below `KEY.versions`. Each change of its metadata names the entry before and after.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from gateway.uploads.record import Change

ROOT: Final = "/buckets/"
_UPLOADS: Final = ".uploads"
_VERSIONS: Final = ".versions"
_ETAG: Final = "Seaweed-X-Amz-ETag"
_OWNER: Final = "Seaweed-X-Amz-Owner"
_VERSION: Final = "Seaweed-X-Amz-Version-Id"
_MARKER: Final = "Seaweed-X-Amz-Delete-Marker"
_PARTS: Final = "X-Seaweedfs-Multipart-Parts-Count"
_TAG: Final = "X-Amz-Tagging-"
_ACL: Final = "Seaweed-X-Amz-Acl"
_OF_NOTHING: Final = "d41d8cd98f00b204e9800998ecf8427e"
"""The entity tag S3 tells of a delete marker: that of an empty object."""


class _FileId(msgspec.Struct, frozen=True, rename="camel"):
    volume_id: int = 0
    file_key: int = 0


class _Chunk(msgspec.Struct, frozen=True, rename="camel"):
    fid: _FileId | None = None
    modified_ts_ns: int = 0


class _Attributes(msgspec.Struct, frozen=True, rename="camel"):
    file_size: int = 0
    mtime: int = 0
    mime: str = ""
    md5: bytes = b""


class Entry(msgspec.Struct, frozen=True, rename="camel"):
    """A file or folder of the filer."""

    name: str
    is_directory: bool = False
    chunks: tuple[_Chunk, ...] = ()
    attributes: _Attributes = _Attributes()
    extended: dict[str, bytes] = {}
    content: bytes = b""

    def says(self, name: str) -> str:
        """What the S3 server noted at it."""
        return self.extended.get(name, b"").decode("utf-8", "replace")

    @property
    def tags(self) -> dict[str, bytes]:
        """The object's tags."""
        return {name: value for name, value in self.extended.items() if name.startswith(_TAG)}

    @property
    def data(self) -> tuple[object, ...]:
        """What is another one whenever the object was written anew."""
        return self.chunks, self.content, self.attributes.mtime, self.attributes.md5


class _Notification(msgspec.Struct, frozen=True, rename="camel"):
    old_entry: Entry | None = None
    new_entry: Entry | None = None
    new_parent_path: str = ""


class Told(msgspec.Struct, frozen=True, rename="camel"):
    """One change as the filer tells it."""

    directory: str
    event_notification: _Notification
    ts_ns: int


decode: Final = msgspec.json.Decoder(Told, strict=False).decode
"""The filer writes large numbers as text."""


def changes(told: Told) -> Iterator[Change]:
    """What it means for objects: nothing, one change, or two when an object was renamed."""
    old, new = told.event_notification.old_entry, told.event_notification.new_entry
    after = told.event_notification.new_parent_path or told.directory
    moved = old is not None and new is not None and (old.name, told.directory) != (new.name, after)
    if old is not None and (new is None or moved):
        yield from _removed(told, old)
    if new is not None and (old is None or moved or old.data != new.data):
        yield from _created(told, after, new)
    elif old is not None and new is not None and _MARKER not in new.extended:
        yield from _noted(told, old, new)


def _created(told: Told, directory: str, entry: Entry) -> Iterator[Change]:
    where = _object(directory, entry)
    if where is None:
        return
    bucket, key = where
    event = f"ObjectCreated:{'CompleteMultipartUpload' if _PARTS in entry.extended else 'Put'}"
    if _MARKER in entry.extended:
        event = "ObjectRemoved:DeleteMarkerCreated"
    yield _change(told, bucket, key, event, entry)


def _noted(told: Told, old: Entry, new: Entry) -> Iterator[Change]:
    """What was noted at an object that is as it was. What was noted again as it stood is nothing the filer tells."""
    where = _object(told.directory, new)
    if where is None:
        return
    if old.tags != new.tags:
        yield _change(told, *where, f"ObjectTagging:{'Put' if new.tags else 'Delete'}", new)
    if old.extended.get(_ACL) != new.extended.get(_ACL):
        yield _change(told, *where, "ObjectAcl:Put", new)


def _removed(told: Told, entry: Entry) -> Iterator[Change]:
    where = _object(told.directory, entry)
    if where is not None:
        yield _change(told, *where, "ObjectRemoved:Delete", entry)


def _change(told: Told, bucket: str, key: str, event: str, entry: Entry) -> Change:
    etag = entry.says(_ETAG) or entry.attributes.md5.hex()
    return Change(
        bucket=bucket,
        key=key,
        event=event,
        at_ns=told.ts_ns,
        size=entry.attributes.file_size or len(entry.content),
        etag=etag or (_OF_NOTHING if _MARKER in entry.extended else ""),
        version=entry.says(_VERSION),
        modified_s=entry.attributes.mtime,
        owner=entry.says(_OWNER),
    )


def _object(directory: str, entry: Entry) -> tuple[str, str] | None:
    """Bucket and key of an entry; `None` for what is no object."""
    if not directory.startswith(ROOT):
        return None
    bucket, _, folder = directory.removeprefix(ROOT).partition("/")
    if bucket.startswith(".") or folder.partition("/")[0] == _UPLOADS:
        return None
    if _VERSION in entry.extended and folder.endswith(_VERSIONS):
        return bucket, folder.removesuffix(_VERSIONS)
    key = f"{folder}/{entry.name}" if folder else entry.name
    if not entry.is_directory:
        return bucket, key
    # S3 has no folders, but an object may have a key that ends in a slash; folders made on the way have no type.
    return (bucket, f"{key}/") if entry.attributes.mime or _ETAG in entry.extended else None
