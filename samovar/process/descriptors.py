"""How many files a process of ours may have open: connections and environments need one or more each."""

from __future__ import annotations

import contextlib
import resource

WANTED = 65_536


def raise_limit() -> None:
    """Raise the soft limit as far as the hard one allows, up to `WANTED`.

    The usual soft limit of 1,024 protects programs that use select(2), and would stop an invoker at some
    hundred environments and a gateway at a thousand clients.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # the host has its reasons; then there is less room
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
