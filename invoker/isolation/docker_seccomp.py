"""The table of system calls (`syscalls.py`) as a seccomp profile for a Docker engine.

An allow list, as Docker's own: what is not named is refused, also what a future kernel brings. It replaces the
engine's default profile for boxes that can have seats, because that one refuses every `unshare`. The format is that of
the engine's `profiles/seccomp`; the architecture is the native one alone, so calls of others end the process.
"""

from __future__ import annotations

import contextlib
import errno
import functools
from typing import Any

import msgspec

from invoker.isolation.syscalls import DENIED, NEW_NAMESPACES, SEAT_NAMESPACES, SOCKET_FAMILIES, libseccomp

_LAST_REVIEWED = 456
"""The newest call that the table was held against Docker's profile for (`futex_requeue`, Linux 6.7)."""
_PERSONALITIES = (0x0, 0x8, 0x2_0000, 0x2_0008, 0xFFFF_FFFF)
"""Linux, with or without what old programs want; the last one only asks (personality(2))."""
_FILTERED = ("clone", "clone3", "personality", "socket", "unshare")


@functools.cache
def profile() -> str:
    """The profile as JSON. Raises `EnvironmentFailure` when the host has no libseccomp, which knows the calls."""
    lowest, highest = SOCKET_FAMILIES[0], SOCKET_FAMILIES[-1]
    families = (family for family in range(lowest, highest) if family not in SOCKET_FAMILIES)
    rules = [
        _allow(_names()),
        _allow(["clone"], (0, "SCMP_CMP_MASKED_EQ", NEW_NAMESPACES, 0)),
        _allow(["unshare"], (0, "SCMP_CMP_EQ", SEAT_NAMESPACES, 0)),
        *(_allow(["personality"], (0, "SCMP_CMP_EQ", value, 0)) for value in _PERSONALITIES),
        _allow(["socket"], (0, "SCMP_CMP_LT", lowest, 0)),
        *(_allow(["socket"], (0, "SCMP_CMP_EQ", family, 0)) for family in families),
        _allow(["socket"], (0, "SCMP_CMP_GT", highest, 0)),
        # Its flags are behind a pointer, where a filter cannot look: libc falls back to clone on ENOSYS.
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS},
    ]
    return msgspec.json.encode(
        {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": errno.EPERM, "syscalls": rules}
    ).decode()


def _names() -> list[str]:
    """The calls that need no look at their arguments."""
    seccomp = libseccomp()
    known: set[str] = set()
    for number in range(_LAST_REVIEWED + 1):
        with contextlib.suppress(ValueError):  # a number that is not in use
            known.add(seccomp.resolve_syscall(seccomp.system_arch(), number).decode())
    return sorted(known.difference(DENIED, _FILTERED))


def _allow(names: list[str], *arguments: tuple[int, str, int, int]) -> dict[str, Any]:
    keys = ("index", "op", "value", "valueTwo")
    compared = [dict(zip(keys, argument, strict=True)) for argument in arguments]
    return {"names": names, "action": "SCMP_ACT_ALLOW", **({"args": compared} if compared else {})}
