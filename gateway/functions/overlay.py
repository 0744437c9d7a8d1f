"""Layers: unpacked packages laid one over the other in one folder. Blocking; no other state.

Files are hard links to those of the packages, so that a folder costs nothing but its names, and is there even when a
package is removed. Folders of the same name are merged; of anything else of the same name the later one stays, as when
Lambda unpacks one layer after the other into `/opt`. Nothing is ever written through a link.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateway.functions.unpack import flush

_NOT_LINKED: Final = (errno.EMLINK, errno.EPERM, errno.EXDEV)
"""A file has as many names as it can have, or the host lets nobody link what belongs to another user."""


def overlay(packages: Sequence[Path], target: Path) -> None:
    """Fill the existing, empty folder `target` with what is in `packages`, the later over the earlier; read-only.

    Raises `OSError` as the disk gives it; `target` is left half-filled then.
    """
    for package in packages:
        _merge(package, target)
    for folder, _, _ in os.walk(target, topdown=False):
        os.chmod(folder, 0o555)  # noqa: S103 - environments read it as another user
        flush(folder)


def size_of(package: Path) -> int:
    """Bytes of all files of an unpacked package. Raises `OSError`."""
    return sum(os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(package) for name in names)


def _merge(source: Path, target: Path) -> None:
    with os.scandir(source) as entries:
        for entry in entries:
            place = target / entry.name
            if entry.is_dir(follow_symlinks=False):
                if place.is_symlink() or not place.is_dir():
                    place.unlink(missing_ok=True)
                    place.mkdir()
                _merge(Path(entry.path), place)
                continue
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)
            _take(entry, place)


def _take(entry: os.DirEntry[str], place: Path) -> None:
    if entry.is_symlink():
        place.symlink_to(os.readlink(entry.path))
        return
    try:
        os.link(entry.path, place)
    except OSError as error:
        if error.errno not in _NOT_LINKED:
            raise
        shutil.copy2(entry.path, place)
        flush(place)
