"""The table of system calls (`invoker/isolation/syscalls.py`) as a filter for bubblewrap.

A deny list: what is in the table is refused with EPERM, everything else is allowed. Calls of foreign architectures
(32-bit x86, x32) end the process, because the list only knows the native numbers.
"""

from __future__ import annotations

import errno
import functools
import os

from invoker.isolation.syscalls import DENIED, NEW_NAMESPACES, SEAT_NAMESPACES, SOCKET_FAMILIES, libseccomp

_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C


@functools.cache
def program(*, seats: bool = False) -> bytes:
    """The filter as BPF, built once a process; one with `seats` allows them their namespaces.

    Raises `EnvironmentFailure` when the host has no libseccomp.
    """
    seccomp = libseccomp()

    def known(name: str) -> bool:
        """Whether this architecture and this libseccomp know the call."""
        return int(seccomp.resolve_syscall(seccomp.system_arch(), name)) >= 0

    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    refuse = seccomp.ERRNO(errno.EPERM)
    for name in DENIED:
        if not known(name):
            continue
        if name == "unshare" and seats:
            rules.add_rule(refuse, name, seccomp.Arg(0, seccomp.NE, SEAT_NAMESPACES))
        else:
            rules.add_rule(refuse, name)
    # The flags of clone3 are behind a pointer, where a filter cannot look: libc falls back to clone on ENOSYS.
    if known("clone3"):
        rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    for bit in (1 << n for n in range(32) if NEW_NAMESPACES >> n & 1):
        rules.add_rule(refuse, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, bit, bit))
    for family in SOCKET_FAMILIES:
        rules.add_rule(refuse, "socket", seccomp.Arg(0, seccomp.EQ, family))
    # Typing into a terminal that is shared with the host.
    for request in (_TIOCSTI, _TIOCLINUX):
        rules.add_rule(refuse, "ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, 0xFFFFFFFF, request))
    with os.fdopen(os.memfd_create("seccomp"), "w+b") as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()
