"""Waiting for a descriptor, however high its number."""

from __future__ import annotations

import fcntl
import os
import resource

from invoker.isolation.child import readable
from samovar.process import descriptors


def test_descriptors_beyond_what_select_takes_can_be_waited_for() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    descriptors.raise_limit()
    reader, writer = os.pipe()
    high = fcntl.fcntl(reader, fcntl.F_DUPFD_CLOEXEC, 1500)
    try:
        assert not readable(high, 0.01)
        os.write(writer, b"x")
        assert readable(high, 5.0)
        os.read(high, 1)
        os.close(writer)
        assert readable(high, 5.0), "an end is something to read"
    finally:
        os.close(high)
        os.close(reader)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
