"""Ports for servers that cannot be given a socket: a number has to be known before they listen."""

from __future__ import annotations

import secrets
import socket

_LOWEST, _HIGHEST = 20_000, 32_000
"""Below those the kernel gives to outgoing connections and to who asks for any port (ip_local_port_range)."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, and that no test is given by the kernel in the meantime."""
    while True:
        port = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
