"""Where a box can connect to."""

from __future__ import annotations

import fcntl
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from invoker.isolation.contract import Isolation
from invoker.isolation.sandbox.network import BRIDGE, SUBNET
from tests.contracts.conftest import Kind
from tests.contracts.harness import Wish, open_room

REACHES = """
import socket
with socket.socket() as client:
    client.settimeout(2)
    result = client.connect_ex({address!r}) == 0
"""
OUTSIDE, GATEWAY = "198.18.77.2", "198.18.77.1"
"""In the block RFC 2544 sets aside for tests."""


@pytest.fixture
def on_the_host() -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[:2]


@pytest.fixture
def on_all_of_the_host() -> Iterator[int]:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        yield server.getsockname()[1]


def addresses_of_version_6() -> str:
    """The host's, with their interfaces."""
    return Path("/proc/net/if_inet6").read_text()


def ip(*words: str) -> None:
    """Run `ip`, which must succeed."""
    subprocess.run(("ip", *words), check=True)


@pytest.fixture
def outside() -> Iterator[tuple[str, int]]:
    """A server on another machine, so to speak: in a network namespace behind a veth pair. The host has one of them."""
    with (Path(tempfile.gettempdir()) / "samovar-outside.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield from _outside()


def _outside() -> Iterator[tuple[str, int]]:
    ip("netns", "add", "samovar-outside")
    try:
        ip("link", "add", "smvout0", "type", "veth", "peer", "name", "eth0", "netns", "samovar-outside")
        ip("address", "add", f"{GATEWAY}/24", "dev", "smvout0")
        ip("link", "set", "smvout0", "up")
        ip("-n", "samovar-outside", "address", "add", f"{OUTSIDE}/24", "dev", "eth0")
        ip("-n", "samovar-outside", "link", "set", "eth0", "up")
        server = "import socket; s = socket.create_server(('0.0.0.0', 4711)); print(flush=True)\nwhile True: s.accept()"
        with subprocess.Popen(
            ["nsenter", "--net=/run/netns/samovar-outside", "/usr/bin/python3", "-c", server], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                yield OUTSIDE, 4711
            finally:
                process.kill()
    finally:
        subprocess.run(("ip", "link", "delete", "smvout0"), check=False)  # the kernel takes its time over a namespace
        ip("netns", "delete", "samovar-outside")


@pytest.mark.needs("walls")
async def test_without_network_there_is_nothing_but_loopback(
    isolation: Isolation, kind: Kind, on_the_host: tuple[str, int]
) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime)) as room:
        worker = await room.spawn()
        assert await room.run(worker, "import socket; result = [name for _, name in socket.if_nameindex()]") == ["lo"]
        assert await room.run(worker, REACHES.format(address=on_the_host)) is False
        own = "import socket; s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname())"
        assert await room.error(worker, own) == ""


@pytest.mark.needs("host network")
async def test_network_host_is_the_hosts(isolation: Isolation, kind: Kind, on_the_host: tuple[str, int]) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime, network="host")) as room:
        assert await room.run(await room.spawn(), REACHES.format(address=on_the_host)) is True


@pytest.mark.needs("bridge network")
async def test_network_bridge_leads_out(isolation: Isolation, kind: Kind, outside: tuple[str, int]) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime, network="bridge")) as room:
        assert await room.run(await room.spawn(), REACHES.format(address=outside)) is True


@pytest.mark.needs("bridge network")
async def test_network_bridge_does_not_lead_to_the_hosts_loopback(
    isolation: Isolation, kind: Kind, on_the_host: tuple[str, int]
) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime, network="bridge")) as room:
        assert await room.run(await room.spawn(), REACHES.format(address=on_the_host)) is False


@pytest.mark.needs("hidden host")
async def test_network_bridge_does_not_lead_to_the_host_by_any_address(
    isolation: Isolation, kind: Kind, outside: tuple[str, int], on_all_of_the_host: int
) -> None:
    async with open_room(isolation, Wish(network="bridge")) as room:
        worker = await room.spawn()
        for address in (str(SUBNET[1]), GATEWAY):
            assert await room.run(worker, REACHES.format(address=(address, on_all_of_the_host))) is False
        assert BRIDGE not in addresses_of_version_6(), "an address boxes could reach past the rules of version 4"


@pytest.mark.needs("bridge network")
async def test_two_boxes_on_the_bridge_do_not_reach_each_other(isolation: Isolation, kind: Kind) -> None:
    wish = Wish(oci_runtime=kind.oci_runtime, network="bridge")
    address = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('198.18.0.1', 9)); "
        "result = s.getsockname()[0]"
    )
    async with open_room(isolation, wish) as one, open_room(isolation, wish) as other:
        first, second = await one.spawn(), await other.spawn()
        where = await one.run(first, address)
        await one.run(first, "import socket, builtins; builtins.server = socket.create_server(('0.0.0.0', 4712))")
        assert await other.run(second, REACHES.format(address=(where, 4712))) is False
