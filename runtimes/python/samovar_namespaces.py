"""A forked worker's own namespaces, and giving up the rights that come with them.

Standard library only, Python 3.9 and later.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ctypes

CLONE_NEWNS, CLONE_NEWUSER = 0x0002_0000, 0x1000_0000
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 24, 38, 47, 4
CAPABILITY_VERSION_3 = 0x2008_0522


def missing() -> list[str]:
    """What this Python lacks for the rest of this file."""
    try:
        import ctypes  # noqa: F401
    except ImportError:
        return ["this Python comes without ctypes"]
    return []


def separate() -> None:
    """Leave the user and mount namespaces of the process this one was forked from. Raises `OSError`.

    Only for a process with one thread; see user_namespaces(7).
    """
    check(c_library().unshare(CLONE_NEWUSER | CLONE_NEWNS), "user and mount namespaces of its own")


def drop_capabilities() -> None:
    """Give up every capability in the new user namespace, for this process and all it will execute. Raises `OSError`.

    The order matters: only who has the capability for that can reduce the bounding set (capabilities(7)).
    """
    import ctypes

    library = c_library()
    check(library.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    check(library.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "clearing the ambient capabilities")
    capability = 0
    while library.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
        capability += 1
    if ctypes.get_errno() != errno.EINVAL:  # which is what the kernel says of the first capability it does not know
        check(-1, "reducing the bounding set")
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    check(library.capset(header, nothing), "dropping the capabilities")


def c_library() -> ctypes.CDLL:
    """The C library this process is linked with."""
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def check(result: int, doing: str) -> None:
    """Raise `OSError` when a call of the C library has failed."""
    import ctypes

    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{doing}: {os.strerror(number)}")
