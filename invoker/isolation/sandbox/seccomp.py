"""The system calls a box may not make.

A deny list after Docker's default profile (docs.docker.com/engine/security/seccomp): whatever that profile
refuses to a container without capabilities is refused here with EPERM, everything else is allowed. Calls of
foreign architectures (32-bit x86, x32) end the process, because the list only knows the native numbers.
"""

from __future__ import annotations

import errno
import functools
import os
import socket

from samovar.errors import EnvironmentFailure

_DENIED = (
    # Mounts, roots and what names files past them.
    *("mount", "umount", "umount2", "pivot_root", "chroot", "open_by_handle_at", "name_to_handle_at"),
    *("mount_setattr", "move_mount", "open_tree", "open_tree_attr", "fsopen", "fsconfig", "fsmount", "fspick"),
    *("quotactl", "quotactl_fd", "swapon", "swapoff", "statmount", "listmount"),
    # Namespaces; `clone` is filtered by its flags below.
    *("unshare", "setns"),
    # Other processes' memory and state, the kernel's key rings.
    *("ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd"),
    *("add_key", "request_key", "keyctl", "lookup_dcookie", "acct"),
    # Kernel interfaces with a history of escapes.
    *(
        "bpf",
        "perf_event_open",
        "userfaultfd",
        "fanotify_init",
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
    ),
    *("vmsplice", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module"),
    *("get_kernel_syms", "query_module", "uselib", "ustat", "sysfs", "_sysctl", "nfsservctl", "vm86", "vm86old"),
    # The machine: clock, console, ports, NUMA placement.
    *("reboot", "syslog", "settimeofday", "stime", "clock_settime", "clock_settime64", "clock_adjtime", "adjtimex"),
    *("iopl", "ioperm", "vhangup", "sethostname", "setdomainname"),
    *("mbind", "set_mempolicy", "get_mempolicy", "migrate_pages", "move_pages", "set_mempolicy_home_node"),
)
_CLONE_NEW_NAMESPACES = 0x7E02_0080
"""CLONE_NEWUSER|PID|NET|IPC|UTS|CGROUP|NS|TIME (clone(2))."""
_SOCKET_FAMILIES = (socket.AF_VSOCK, socket.AF_ALG, socket.AF_PACKET, socket.AF_RDS, socket.AF_TIPC)
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C


@functools.cache
def program() -> bytes:
    """The filter as BPF, built once a process.

    Raises `EnvironmentFailure` when the host has no libseccomp, which `pyseccomp` binds at its import.
    """
    try:
        import pyseccomp  # type: ignore[import-untyped]  # it ships no types
    except (ImportError, RuntimeError, OSError) as error:
        raise EnvironmentFailure(f"the sandbox needs libseccomp ({error}): install the package libseccomp2") from error

    def known(name: str) -> bool:
        """Whether this architecture and this libseccomp know the call."""
        return int(pyseccomp.resolve_syscall(pyseccomp.system_arch(), name)) >= 0

    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    refuse = pyseccomp.ERRNO(errno.EPERM)
    for name in _DENIED:
        if known(name):
            rules.add_rule(refuse, name)
    # The flags of clone3 are behind a pointer, where a filter cannot look: libc falls back to clone on ENOSYS.
    if known("clone3"):
        rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    for bit in (1 << n for n in range(32) if _CLONE_NEW_NAMESPACES >> n & 1):
        rules.add_rule(refuse, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, bit, bit))
    for family in _SOCKET_FAMILIES:
        rules.add_rule(refuse, "socket", pyseccomp.Arg(0, pyseccomp.EQ, int(family)))
    # Typing into a terminal that is shared with the host.
    for request in (_TIOCSTI, _TIOCLINUX):
        rules.add_rule(refuse, "ioctl", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, 0xFFFFFFFF, request))
    with os.fdopen(os.memfd_create("seccomp"), "w+b") as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()
