"""Unpacking a deployment package from a stranger into an empty folder. Blocking; no other state.

Files, folders and symbolic links are taken over, nothing else. A link is kept when what it resolves to, followed
for real through all other links, lies inside the package: `node_modules/.bin` and versioned shared objects need
that, and the folder means the same wherever it is mounted. Absolute links are refused.

Modes become 0555 for folders and executables and 0444 for all other files: environments run as another user and
must not write. Times are kept, because interpreters compare them with those in their compiled files.
"""

from __future__ import annotations

import calendar
import io
import os
import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Final, NamedTuple

from samovar.errors import InvalidParameterValue, InvalidZipFile

NOT_A_ZIP: Final = "Could not unzip uploaded file. Please check your file, then try to upload again."
EMPTY_ZIP: Final = "Uploaded file must be a non-empty zip"
"""Both are AWS's words, under `InvalidParameterValueException`."""

MAX_ENTRIES: Final = 100_000
_MAX_NAME_BYTES: Final = 255
_MAX_PATH_BYTES: Final = 1024
_MAX_LINK_BYTES: Final = 1024
_CENTRAL_ENTRY: Final = b"PK\x01\x02"
_ENCRYPTED: Final = 0x1 | 0x40
_BROKEN: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    struct.error,
    NotImplementedError,
    ValueError,
    IndexError,
    OverflowError,
)
"""All that `zipfile` raises on archives that are damaged or lie."""
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BEST_DEFLATE: Final = 1032
"""DEFLATE cannot shrink anything further (zlib's technical notes), so a higher ratio is a lie about a size."""
_BLOCK: Final = 256 * 1024


class _Entry(NamedTuple):
    info: zipfile.ZipInfo
    parts: tuple[str, ...]
    kind: int
    """`stat.S_IFREG`, `S_IFDIR` or `S_IFLNK`."""
    executable: bool


def unpack(package: bytes, target: Path, max_bytes: int) -> None:
    """Unpack a zip into the existing, empty folder `target` and make it read-only, safe on disk.

    Raises `InvalidParameterValue` for what is no zip, is empty or unpacks to `max_bytes` or more;
    `InvalidZipFile`, naming the entry, for what cannot be unpacked safely; `OSError` as the disk gives it.
    On any of them `target` is left half-filled.
    """
    if package.count(_CENTRAL_ENTRY) > MAX_ENTRIES:
        raise InvalidZipFile(f"The package has more than {MAX_ENTRIES} entries; pack fewer, larger files")
    try:
        with zipfile.ZipFile(io.BytesIO(package)) as archive:
            entries = _check(archive, max_bytes)
            _write(archive, entries, target, max_bytes)
    except _BROKEN as error:
        raise InvalidParameterValue(NOT_A_ZIP) from error
    _seal(target)


def _check(archive: zipfile.ZipFile, max_bytes: int) -> list[_Entry]:
    """All entries, after every check that needs no inflating."""
    entries = [_entry(info) for info in archive.infolist()]
    if all(entry.kind == stat.S_IFDIR for entry in entries):
        raise InvalidParameterValue(EMPTY_ZIP)
    if sum(entry.info.file_size for entry in entries) >= max_bytes:
        raise too_large(max_bytes)
    seen: set[tuple[str, ...]] = set()
    for entry in entries:
        if entry.kind != stat.S_IFDIR:
            if entry.parts in seen:
                raise _unsafe(entry.info, "it appears twice")
            seen.add(entry.parts)
    return entries


def _entry(info: zipfile.ZipInfo) -> _Entry:
    mode = info.external_attr >> 16
    is_folder = info.orig_filename.endswith("/")
    kind = stat.S_IFMT(mode) or (stat.S_IFDIR if is_folder else stat.S_IFREG)
    if kind not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
        raise _unsafe(info, "it is neither a file, a folder nor a link")
    if is_folder != (kind == stat.S_IFDIR):
        raise _unsafe(info, "its name and its type disagree on whether it is a folder")
    if info.flag_bits & _ENCRYPTED:
        raise _unsafe(info, "it is encrypted; pack it without a password")
    if info.compress_type not in _METHODS:
        raise _unsafe(info, "it is compressed by another method than DEFLATE")
    if info.file_size > _BEST_DEFLATE * info.compress_size:
        raise _unsafe(info, f"{info.compress_size} bytes cannot hold the {info.file_size} it declares")
    return _Entry(info, _parts(info), kind, bool(mode & 0o111))


def _parts(info: zipfile.ZipInfo) -> tuple[str, ...]:
    """The components of an entry's path, after refusing whatever could lead elsewhere."""
    name = info.orig_filename
    if "\0" in name or "\\" in name:
        raise _unsafe(info, "its name has a NUL or a backslash; pack it with forward slashes")
    if name.startswith("/") or (len(name) > 1 and name[1] == ":" and name[0].isalpha()):
        raise _unsafe(info, "its path is absolute")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise _unsafe(info, "its path has a '..'")
    sizes = [len(os.fsencode(part)) for part in parts]
    if not parts and name.endswith("/"):
        return parts  # "./", the package's own folder
    if not parts or max(sizes) > _MAX_NAME_BYTES or sum(sizes) + len(sizes) > _MAX_PATH_BYTES:
        raise _unsafe(info, "its name is empty or too long")
    return parts


def _write(archive: zipfile.ZipFile, entries: list[_Entry], target: Path, max_bytes: int) -> None:
    """Folders and files first, links last: so nothing is ever written through a link."""
    left = max_bytes
    for entry in entries:
        path = target.joinpath(*entry.parts)
        try:
            if entry.kind == stat.S_IFDIR:
                path.mkdir(parents=True, exist_ok=True)
            elif entry.kind == stat.S_IFREG:
                path.parent.mkdir(parents=True, exist_ok=True)
                left -= _write_file(archive, entry, path, left, max_bytes)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise _unsafe(entry.info, "its path collides with another entry's") from error
    links = [entry for entry in entries if entry.kind == stat.S_IFLNK]
    for entry in links:
        _write_link(archive, entry, target)
    root = os.path.realpath(target)
    for entry in links:
        resolved = os.path.realpath(target.joinpath(*entry.parts))
        if os.path.commonpath([root, resolved]) != root:
            raise _unsafe(entry.info, "it links to a place outside the package")


def _write_file(archive: zipfile.ZipFile, entry: _Entry, path: Path, left: int, max_bytes: int) -> int:
    """Inflate one file, counting what really comes out. `x` mode refuses a name that exists, in any case folding."""
    written = 0
    with archive.open(entry.info) as source, path.open("xb") as file:
        while block := source.read(_BLOCK):
            written += len(block)
            if written >= left:
                raise too_large(max_bytes)
            file.write(block)
        os.fchmod(file.fileno(), 0o555 if entry.executable else 0o444)
    seconds = _epoch(entry.info)
    os.utime(path, (seconds, seconds))
    return written


def _write_link(archive: zipfile.ZipFile, entry: _Entry, target: Path) -> None:
    if entry.info.file_size > _MAX_LINK_BYTES:
        raise _unsafe(entry.info, "its link is too long")
    destination = os.fsdecode(archive.read(entry.info))
    if not destination or "\0" in destination or destination.startswith("/"):
        raise _unsafe(entry.info, "its link is empty or absolute")
    path = target.joinpath(*entry.parts)
    try:
        # Parents are made before any link exists, or through one that was checked to be a real folder here.
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.realpath(path.parent) != os.path.join(os.path.realpath(target), *entry.parts[:-1]):
            raise _unsafe(entry.info, "its path leads through a link")
        path.symlink_to(destination)
    except (FileExistsError, NotADirectoryError) as error:
        raise _unsafe(entry.info, "its path collides with another entry's") from error


def _seal(target: Path) -> None:
    """Flush every file, then take the write permission from every folder and flush it too."""
    for folder, _, names in os.walk(target, topdown=False):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                flush(path)
        os.chmod(folder, 0o555)  # noqa: S103 - environments read it as another user
        flush(folder)


def flush(path: str | Path) -> None:
    """Bring a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _epoch(info: zipfile.ZipInfo) -> int:
    """The entry's time of day, read as UTC because a zip does not say; 1980 when it is no date."""
    try:
        return calendar.timegm((*info.date_time, 0, 0, 0))
    except (ValueError, OverflowError):
        return calendar.timegm((1980, 1, 1, 0, 0, 0, 0, 0, 0))


def too_large(max_bytes: int) -> InvalidParameterValue:
    """What unpacks to this many bytes or more."""
    return InvalidParameterValue(f"Unzipped size must be smaller than {max_bytes} bytes")


def _unsafe(info: zipfile.ZipInfo, why: str) -> InvalidZipFile:
    return InvalidZipFile(f"The package cannot be unpacked safely: entry {info.orig_filename[:200]!r}: {why}")
