"""Users for a user namespace that a process in a box has just made: the same numbers as in the box around it.

The kernel takes an identity map from a process in the namespace around the new one alone (user_namespaces(7)). Around a
container that is usually our own. In the sandbox it is the box's, which a process with threads, such as an invoker,
cannot enter: there a shell that runs as the box's user waits in it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import threading
from pathlib import Path

from invoker.isolation.child import readable
from samovar.errors import EnvironmentFailure

_DEADLINE_S = 5.0
_LOOP = """
while read -r pid; do
    echo deny > "/proc/$pid/setgroups" && echo "$2 $2 1" > "/proc/$pid/gid_map" && echo "$1 $1 1" > "/proc/$pid/uid_map"
    echo "$?"
done
"""


class IdMaps:
    """Writes the maps of the new namespaces of one box's processes, for one user. Everything here blocks."""

    def __init__(self, source: int) -> None:
        """`source` is the pid of a process in the box that others are forked from. Raises `EnvironmentFailure`."""
        try:
            owner = os.stat(f"/proc/{source}")
            self._uid = _inside(Path(f"/proc/{source}/uid_map"), owner.st_uid)
            self._gid = _inside(Path(f"/proc/{source}/gid_map"), owner.st_gid)
            around, own = (os.stat(f"/proc/{process}/ns/user").st_ino for process in (source, "self"))
            self._turn = threading.Lock()
            self._shell = self._wait_inside(source) if around != own else None
        except OSError as error:
            raise EnvironmentFailure(f"the user namespace of a box is out of reach: {error.strerror}") from error

    def _wait_inside(self, source: int) -> subprocess.Popen[bytes]:
        """A shell in the namespace of `source`. It ends when its input does, at the latest with this process."""
        user = ("--setuid", str(self._uid), "--setgid", str(self._gid))
        return subprocess.Popen(
            ("nsenter", f"--user=/proc/{source}/ns/user", *user, "--", "sh", "-c", _LOOP, "sh", *user[1::2]),
            env={},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )

    def write(self, pid: int, process: int) -> None:
        """Map the users of the namespace of `pid`, whose folder in `/proc` is open as `process`. Raises `OSError`."""
        if self._shell is None:
            _write("setgroups", "deny", process)
            _write("gid_map", f"{self._gid} {self._gid} 1", process)
            _write("uid_map", f"{self._uid} {self._uid} 1", process)
            return
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        with self._turn:
            self._shell.stdin.write(f"{pid}\n".encode())
            if not readable(self._shell.stdout.fileno(), _DEADLINE_S) or self._shell.stdout.readline() != b"0\n":
                raise PermissionError(errno.EPERM, "its users could not be mapped")

    def close(self) -> None:
        """Let go of the namespace. Idempotent."""
        if self._shell is None:
            return
        shell, self._shell = self._shell, None
        with contextlib.suppress(ProcessLookupError):
            shell.kill()
        shell.communicate()


def _inside(file: Path, outside: int) -> int:
    """What an id of the host is called in the namespace of a map."""
    for line in file.read_text().splitlines():
        first, first_outside, count = map(int, line.split())
        if first_outside <= outside < first_outside + count:
            return first + outside - first_outside
    raise EnvironmentFailure(f"the user {outside} of the host is nobody in the box")


def _write(name: str, text: str, folder: int) -> None:
    file = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)
