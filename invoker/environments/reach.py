"""How functions reach the platform they run on: the address and the credentials that are in their variables."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from invoker.environments.relay import Address
from invoker.environments.variables import Platform
from invoker.isolation.contract import PORT_VARIABLE
from samovar.access.sessions import issue
from samovar.function import FunctionVersion, Network, OciRuntime
from samovar.settings import Settings

_LOOPBACK: Final = "127.0.0.1"
_EVERYWHERE: Final = {"0.0.0.0": _LOOPBACK, "::": "::1"}  # noqa: S104 - looked up, not bound
_FIRST_FREE_PORT: Final = 1024
_USUAL_PORT: Final = 9000
"""Where a port that only root may listen at would be the gateway's."""
_WITHOUT_WALLS: Final = ("none", "fake")
_OWN_NETWORK_STACK: Final = ("runsc", "kata")
"""OCI runtimes that are, or have, a kernel of their own, whose sockets no other process can hold."""


class Reach:
    """See the module. Knows the gateway's address and the key that tokens are made with."""

    def __init__(self, gateway: Address | None, key: bytes) -> None:
        """Without an address nothing is told of one, and nothing is passed on."""
        self.gateway = gateway
        self._key = key

    @property
    def port(self) -> int:
        """The port at which processes in a box reach the gateway: the gateway's own, if that is free to all."""
        assert self.gateway is not None, "only asked where there is an address"
        return self.gateway.port if self.gateway.port >= _FIRST_FREE_PORT else _USUAL_PORT

    def is_passed_on(self, isolation: str, network: Network, oci_runtime: OciRuntime) -> bool:
        """Whether the boxes of a function reach the gateway through a port of their own."""
        return self.gateway is not None and network != "host" and is_possible(isolation, oci_runtime)

    def keeper_variables(self) -> dict[str, str]:
        """What tells a keeper to hand over its port."""
        return {PORT_VARIABLE: str(self.port)}

    def in_words(self, isolation: str) -> str:
        """How environments of an isolation reach the platform, for `samovar status`."""
        if self.gateway is None:
            return "not told where it is"
        host, port = self.gateway
        if isolation in _WITHOUT_WALLS:
            return f"at {host}:{port}"
        exceptions = f", not with {' or '.join(_OWN_NETWORK_STACK)}" if isolation == "docker" else ""
        return f"from their own {_LOOPBACK}:{self.port}{exceptions}"

    def told(self, version: FunctionVersion, isolation: str, network: Network) -> Platform:
        """What an environment's workers are told; the credentials are its own."""
        credentials = issue(self._key, version).variables()
        if self.gateway is None:
            return Platform({}, credentials)
        is_direct = network == "host" or isolation in _WITHOUT_WALLS
        host, port = self.gateway if is_direct else (_LOOPBACK, self.port)
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        return Platform({"AWS_ENDPOINT_URL": url, "AWS_ACCOUNT_ID": version.account}, credentials)


def is_possible(isolation: str, oci_runtime: OciRuntime) -> bool:
    """Whether a box can hand over a port of its network."""
    return isolation not in _WITHOUT_WALLS and not (isolation == "docker" and oci_runtime in _OWN_NETWORK_STACK)


def gateway_address(settings: Settings) -> Address | None:
    """Where gateways answer, as this process reaches them; `None` when the settings do not say."""
    if settings.endpoint_url:
        parts = urlsplit(settings.endpoint_url)
        return Address(parts.hostname or _LOOPBACK, parts.port or 80)
    return Address(_EVERYWHERE.get(settings.host, settings.host), settings.port) if settings.port else None
