"""Who a box runs as.

Inside, every process is `sbx_user1051` (uid 993, gid 990), as on AWS Lambda. On the host that is:

- An unprivileged invoker's own user: bubblewrap makes the user namespace itself.
- When the invoker is root, a uid of the box's own, out of a range nobody else uses. bubblewrap has to begin as
  root, because the code and the interpreter may lie in folders only root may enter, so it is given a user
  namespace made here: it maps 993 to the box's uid and the host's ids to unused numbers, and has no root.
  bubblewrap becomes 993 before it mounts anything and drops all capabilities before it starts the keeper.
"""

from __future__ import annotations

import heapq
import os
import subprocess
import zlib
from dataclasses import dataclass

from invoker.isolation.child import readable
from samovar.errors import EnvironmentFailure

UID, GID = 993, 990
USER = "sbx_user1051"
_FIRST_UID, _INSTANCES, _UIDS_EACH = 1_879_048_192, 16_000, 16_384
"""systemd's "Users, Groups, UIDs and GIDs" lists 1879048192 to 2147352575 as unused."""
_HOST_IDS_INSIDE = 1_000_000
_HOST_IDS = 65_536
_DEADLINE_S = 10.0

PASSWD = f"root:x:0:0:root:/root:/sbin/nologin\n{USER}:x:{UID}:{GID}::/home/{USER}:/sbin/nologin\n"
GROUP = f"root:x:0:\n{USER}:x:{GID}:\n"


@dataclass(frozen=True, slots=True, order=True)
class User:
    """A uid of the host that one box at a time runs as, and the user namespace that maps 993 to it."""

    uid: int
    namespace: int
    """Descriptor of the namespace."""


class Users:
    """The users of an invoker that is root. A namespace is made once a uid and kept for the next box."""

    def __init__(self, instance: str) -> None:
        self._base = _FIRST_UID + zlib.crc32(instance.encode()) % _INSTANCES * _UIDS_EACH
        self._free: list[User] = []
        self._issued = 0

    def take(self) -> User:
        """A user nobody else has until it is given back. Raises `EnvironmentFailure`. May block for milliseconds."""
        if self._free:
            return heapq.heappop(self._free)
        if self._issued == _UIDS_EACH:
            raise EnvironmentFailure(f"all {_UIDS_EACH} users for boxes are taken: stop some environments")
        uid = self._base + self._issued
        user = User(uid, _namespace(uid))
        self._issued += 1
        return user

    def give_back(self, user: User) -> None:
        """Its box is gone: the next may have it."""
        heapq.heappush(self._free, user)

    def close(self) -> None:
        """Let go of the namespaces of the users that have been given back."""
        for user in self._free:
            os.close(user.namespace)
        self._free.clear()


def _namespace(uid: int) -> int:
    """A new user namespace, as a descriptor. `cat` sits in it while it is mapped, and echoes once it is there."""
    try:
        with subprocess.Popen(
            ("unshare", "--user", "--", "cat"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            try:
                process.stdin.write(b"\n")
                if not readable(process.stdout.fileno(), _DEADLINE_S) or not process.stdout.read(1):
                    process.kill()
                    raise EnvironmentFailure(
                        "no user namespace can be made: "
                        f"{process.stderr.read().decode(errors='replace').strip() or 'unshare does not answer'}; "
                        "check the sysctl user.max_user_namespaces"
                    )
                for name, inside in (("uid_map", UID), ("gid_map", GID)):
                    with open(f"/proc/{process.pid}/{name}", "w") as file:
                        file.write(f"{inside} {uid} 1\n{_HOST_IDS_INSIDE} 0 {_HOST_IDS}\n")
                return os.open(f"/proc/{process.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
            finally:
                process.stdin.close()
    except OSError as error:
        raise EnvironmentFailure(f"no user namespace can be made: {error}") from error
