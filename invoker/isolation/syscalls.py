"""The system calls that a box may not make: one table for every isolation that has a filter.

After Docker's default profile (docs.docker.com/engine/security/seccomp): whatever that profile refuses to a container
without capabilities is refused here, and some more. `sandbox/seccomp.py` makes a filter of the table,
`docker_seccomp.py` a profile for an engine.
"""

from __future__ import annotations

import socket
from typing import Any, Final

from samovar.errors import EnvironmentFailure

DENIED: Final = (
    # Mounts, roots and what names files past them.
    *("mount", "umount", "umount2", "pivot_root", "chroot", "open_by_handle_at", "name_to_handle_at"),
    *("mount_setattr", "move_mount", "open_tree", "open_tree_attr", "fsopen", "fsconfig", "fsmount", "fspick"),
    *("quotactl", "quotactl_fd", "swapon", "swapoff", "statmount", "listmount"),
    # Namespaces; `clone` is filtered by its flags, `unshare` by its own where it is allowed at all.
    *("unshare", "setns"),
    # Other processes' memory and state, the kernel's key rings.
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd"),
    *("add_key", "request_key", "keyctl", "lookup_dcookie", "acct"),
    # Kernel interfaces with a history of escapes.
    *("bpf", "perf_event_open", "userfaultfd", "fanotify_init"),
    *("io_uring_setup", "io_uring_enter", "io_uring_register"),
    *("vmsplice", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module"),
    *("get_kernel_syms", "query_module", "uselib", "ustat", "sysfs", "_sysctl", "nfsservctl", "vm86", "vm86old"),
    # The machine: clock, console, ports, NUMA placement.
    *("reboot", "syslog", "settimeofday", "stime", "clock_settime", "clock_settime64", "clock_adjtime", "adjtimex"),
    *("iopl", "ioperm", "vhangup", "sethostname", "setdomainname"),
    *("mbind", "set_mempolicy", "get_mempolicy", "migrate_pages", "move_pages", "set_mempolicy_home_node"),
    # Never implemented.
    *("afs_syscall", "getpmsg", "putpmsg", "security", "tuxcall", "vserver"),
)
NEW_NAMESPACES: Final = 0x7E02_0080
"""CLONE_NEWUSER|PID|NET|IPC|UTS|CGROUP|NS|TIME: what `clone` may not be called with (clone(2))."""
SEAT_NAMESPACES: Final = 0x1002_0000
"""CLONE_NEWUSER|CLONE_NEWNS: exactly what `unshare` may be called with, in a box that can have seats (`seats.py`)."""
SOCKET_FAMILIES: Final = tuple(
    map(int, (socket.AF_PACKET, socket.AF_RDS, socket.AF_TIPC, socket.AF_ALG, socket.AF_VSOCK))
)
"""What `socket` may not be called with."""


def libseccomp() -> Any:
    """The library's binding. Raises `EnvironmentFailure` when the host has no libseccomp."""
    try:
        import pyseccomp  # type: ignore[import-untyped]  # it ships no types
    except (ImportError, RuntimeError, OSError) as error:
        raise EnvironmentFailure(f"this needs libseccomp ({error}): install the package libseccomp2") from error
    return pyseccomp
