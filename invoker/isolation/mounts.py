"""Putting folders of the host, or an empty one, into a box that runs already.

A folder is cloned as a mount that is attached nowhere, made read-only, and moved to its place from inside the
box's mount namespace. So it is never to be seen on the host, no mount of the host has to be shared, and it goes
with the box. The calls are those of Linux 5.12 (mount_setattr(2), open_tree(2), move_mount(2)) and want
CAP_SYS_ADMIN; Python has none of them, and the C library only lately.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
"""Numbers of the system calls, the same on every architecture."""
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
_READ_ONLY_NOSUID_NODEV = 0x7
_MS_NOSUID, _MS_NODEV, _MS_PRIVATE = 2, 4, 1 << 18
_CLONE_FS, _CLONE_NEWNS = 0x200, 0x20000

_libc = ctypes.CDLL(None, use_errno=True)


class _Attributes(ctypes.Structure):
    """`struct mount_attr`; see mount_setattr(2)."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")]


def unavailable() -> str | None:
    """Why this process cannot do it on this host; `None` when it can."""
    try:
        os.close(_read_only_clone(Path("/")))
    except OSError as error:
        rights = "" if os.geteuid() == 0 else ", as it is not root"
        return f"the invoker may not mount{rights} ({error.strerror})"
    return None


async def in_thread_of_its_own(action: Callable[[], T]) -> T:
    """Run `action` in a thread that does nothing else and ends with it."""
    with ThreadPoolExecutor(max_workers=1) as lone:
        return await asyncio.get_running_loop().run_in_executor(lone, action)


def enter(namespace: int) -> None:
    """Let the calling thread see files as the processes of a mount namespace do; there is no way back for it.

    Only for a thread of its own. `namespace` is open on `/proc/PID/ns/mnt`. Raises `OSError`.
    """
    _check(_libc.unshare(_CLONE_FS), "unshare")  # threads share root and working directory otherwise
    _check(_libc.setns(namespace, _CLONE_NEWNS), "setns")


@contextlib.contextmanager
def visiting(namespace: int) -> Iterator[None]:
    """As `enter`, for the length of a block; for threads that do nothing but this. Raises `OSError`."""
    own = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(namespace)
        try:
            yield
        finally:
            _check(_libc.setns(own, _CLONE_NEWNS), "setns")
    finally:
        os.close(own)


def put(folders: Mapping[str, Path], namespace: int) -> None:
    """Mount `folders` (place inside → folder of the host) read-only in a mount namespace, over what is there.

    Only for a thread of its own, as `enter`. Raises `OSError`; what was mounted by then stays.
    """
    clones: dict[str, int] = {}
    try:
        for place, folder in folders.items():
            clones[place] = _read_only_clone(folder)
        enter(namespace)
        for place, clone in clones.items():
            moved = _libc.syscall(_MOVE_MOUNT, clone, b"", _AT_FDCWD, os.fsencode(place), _MOVE_MOUNT_F_EMPTY_PATH)
            _check(moved, f"mounting at {place}")
    finally:
        for clone in clones.values():
            os.close(clone)


def put_tmpfs(place: str, options: str, namespace: int) -> None:
    """Mount an empty tmpfs in a mount namespace, over what is there; `options` as in tmpfs(5).

    Only for such threads as `visiting`. Raises `OSError`.
    """
    with visiting(namespace):
        mounted = _libc.mount(b"tmpfs", os.fsencode(place), b"tmpfs", _MS_NOSUID | _MS_NODEV, options.encode())
        _check(mounted, f"mounting at {place}")


def _read_only_clone(folder: Path) -> int:
    """A mount of a folder that is attached nowhere yet; it ends with its descriptor unless it is moved."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC
    clone: int = _check(_libc.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(folder), flags), f"cloning {folder}")
    attributes = _Attributes(attr_set=_READ_ONLY_NOSUID_NODEV, propagation=_MS_PRIVATE)
    size = ctypes.sizeof(attributes)
    try:
        _check(_libc.syscall(_MOUNT_SETATTR, clone, b"", _AT_EMPTY_PATH, ctypes.byref(attributes), size), "protecting")
    except OSError:
        os.close(clone)
        raise
    return clone


def _check(result: int, doing: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{doing}: {os.strerror(number)}")
    return result
