"""The way out of a box whose network is `bridge`: NAT through the host, but no way to the host or to other boxes.

Root only: the bridge `samovar0` (10.200.0.0/16), a veth pair a box, and chains of ours in iptables, made at first
use and shared by all invokers of the host. An isolated bridge port reaches the bridge but no other isolated port
(bridge(8)); what is addressed to the host itself is dropped before any service of the host sees it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from ipaddress import IPv4Network
from pathlib import Path

from samovar.errors import EnvironmentFailure
from samovar.function import Network

BRIDGE = "samovar0"
SUBNET = IPv4Network("10.200.0.0/16")
_GATEWAY = SUBNET[1]
_FIRST_BOX, _LAST_BOX = 2, SUBNET.num_addresses - 2
_DEADLINE_S = 10.0
_RESOLVED = Path("/run/systemd/resolve/resolv.conf")
"""The real servers where /etc/resolv.conf only names systemd's stub on the host's loopback."""
_RULES = (
    # (table, chain, rule); all in the order in which they are matched.
    ("filter", "INPUT", f"-i {BRIDGE} -j DROP"),
    ("filter", "FORWARD", f"-i {BRIDGE} ! -o {BRIDGE} -j ACCEPT"),
    ("filter", "FORWARD", f"-o {BRIDGE} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"),
    ("nat", "POSTROUTING", f"-s {SUBNET} ! -o {BRIDGE} -j MASQUERADE"),
)


class Bridge:
    """Links boxes to `samovar0`. Everything here blocks: call it in a thread."""

    def __init__(self) -> None:
        self._made = False

    def disconnect(self, pid: int) -> None:
        """Remove the link of a process that has ended, rather than wait for the kernel to do it some time later."""
        _run(("ip", "link", "delete", _port(pid)), "", check=False)

    def close(self) -> None:
        """Remove bridge and rules, unless a box of another invoker still uses them."""
        if self._made and not os.listdir(f"/sys/class/net/{BRIDGE}/brif"):
            _remove()
        self._made = False

    def connect(self, pid: int) -> None:
        """Link the network namespace of a process.

        Raises `EnvironmentFailure` where there can be no bridge, with what to do about it.
        """
        _require()
        if not self._made:
            _make()
            self._made = True
        address = _free_address()
        name = _port(pid)
        _ip(
            f"link add {name} type veth peer name eth0 netns {pid}",
            f"link set {name} alias {address} master {BRIDGE} up",
            f"link set {name} type bridge_slave isolated on",
        )
        _ip(
            f"address add {address}/{SUBNET.prefixlen} dev eth0",
            "link set eth0 up",
            f"route add default via {_GATEWAY}",
            inside=pid,
        )


def resolver(network: Network) -> bytes:
    """The resolv.conf of a box: the host's, without servers a bridged box could not reach."""
    own = Path("/etc/resolv.conf")
    source = _RESOLVED if network == "bridge" and _RESOLVED.is_file() else own
    try:
        text = source.read_text()
    except OSError:  # a host without name servers has boxes without
        return b""
    return text.encode()


def _require() -> None:
    advice = "or give the function network none or host"
    if os.geteuid() != 0:
        raise EnvironmentFailure(
            f"network bridge needs root in isolation sandbox: run Samovar as root, use isolation docker, {advice}"
        )
    missing = {"ip": "iproute2", "iptables": "iptables", "nsenter": "util-linux"}
    packages = sorted({package for tool, package in missing.items() if shutil.which(tool) is None})
    if packages:
        raise EnvironmentFailure(f"network bridge needs the packages {', '.join(packages)}: install them, {advice}")


def _make() -> None:
    if not os.path.isdir(f"/sys/class/net/{BRIDGE}"):
        _ip(
            f"link add {BRIDGE} type bridge",
            f"address add {_GATEWAY}/{SUBNET.prefixlen} dev {BRIDGE}",
            f"link set {BRIDGE} up",
        )
        # Boxes would reach the host by its link-local address, past our rules, which are of version 4.
        _turn(f"ipv6/conf/{BRIDGE}/disable_ipv6")
    _turn("ipv4/ip_forward")
    for table, chain, rule in _RULES:
        if not _iptables(table, f"-C {chain} {rule}", check=False):
            _iptables(table, f"-I {chain} 1 {rule}")


def _turn(switch: str) -> None:
    """Switch something on in the host's network stack; what it was built without need not be switched."""
    with contextlib.suppress(FileNotFoundError):
        (Path("/proc/sys/net") / switch).write_text("1")


def _remove() -> None:
    for table, chain, rule in _RULES:
        _iptables(table, f"-D {chain} {rule}", check=False)
    _ip(f"link delete {BRIDGE}")


def _port(pid: int) -> str:
    return f"smv{pid:x}"


def _free_address() -> str:
    """An address no port of the bridge has; each port's alias is its box's address, so invokers need not agree."""
    ports = Path(f"/sys/class/net/{BRIDGE}/brif").iterdir()
    taken = {(Path("/sys/class/net") / port.name / "ifalias").read_text().strip() for port in ports}
    for number in range(_FIRST_BOX, _LAST_BOX):
        if (address := str(SUBNET[number])) not in taken:
            return address
    raise EnvironmentFailure(f"all addresses of {SUBNET} are taken: stop some environments")


def _ip(*commands: str, inside: int | None = None) -> None:
    into = () if inside is None else ("nsenter", f"--net=/proc/{inside}/ns/net")
    _run((*into, "ip", "-batch", "-"), "\n".join(commands))


def _iptables(table: str, rule: str, *, check: bool = True) -> bool:
    return _run(("iptables", "--wait", "-t", table, *rule.split()), "", check=check)


def _run(command: tuple[str, ...], text: str, *, check: bool = True) -> bool:
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=_DEADLINE_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFailure(f"the network of a box could not be made: {error}") from error
    if check and done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip()
        raise EnvironmentFailure(f"the network of a box could not be made: {' '.join(command)}: {words}")
    return done.returncode == 0
