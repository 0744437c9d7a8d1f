"""The listening socket: the supervisor opens it and gateways inherit it, so the port outlives each of them."""

from __future__ import annotations

import errno
import ipaddress
import socket

from samovar.errors import SettingError, StartRefused

BACKLOG = 2048
"""Connections the kernel keeps while every gateway is busy, or one of them is being restarted."""


def open_listener(host: str, port: int) -> socket.socket:
    """Bind and listen. Raises `StartRefused` saying who has the port, `SettingError` for a host that is not ours."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise SettingError("host", host, f"an address or name of this machine ({error.strerror})") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _refusal(host, port, error) from error
    return listener


def port_of(listener: socket.socket) -> int:
    """The port it is bound to, which the kernel chose when 0 was asked for."""
    return int(listener.getsockname()[1])


def open_to(listener: socket.socket) -> str:
    """From where else than this machine it is reached, as a person reads it; empty for loopback."""
    address = ipaddress.ip_address(listener.getsockname()[0])
    if address.is_loopback:
        return ""
    return "every network this machine is in" if address.is_unspecified else f"the network of {address}"


def _refusal(host: str, port: int, error: OSError) -> StartRefused:
    if error.errno == errno.EADDRINUSE:
        return StartRefused(f"port {port} of {host} is in use by {_user_of(port)}; choose another with --port")
    if error.errno == errno.EACCES:
        return StartRefused(f"port {port} may only be opened by root; choose one above 1023 with --port")
    return SettingError("host", host, f"an address of this machine ({error.strerror})")


def _user_of(port: int) -> str:
    """Who listens on a port, as far as this user may see it."""
    import psutil  # only on the way to a refusal: the running supervisor stays small

    try:
        listening = [found for found in psutil.net_connections("tcp") if found.status == psutil.CONN_LISTEN]
        owners = sorted({found.pid for found in listening if found.pid and found.laddr[1:] == (port,)})
        named = [f"{psutil.Process(pid).name()} (pid {pid})" for pid in owners]
    except (psutil.Error, OSError):
        named = []
    return ", ".join(named) or "another process"
