"""How a worker on another host runs functions: through a gateway's HTTP API, found by way of the store alone.

A gateway that other hosts can reach leaves its address and an access key in the store, at `GATEWAY`. The key has the
role `invoke` and the name `workers`; its secret is sealed with a key derived from the store's own password, which
every worker has in its broker's URL: a copy of the store alone does not give it away.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

import msgspec
import redis.asyncio
from redis.exceptions import RedisError
from tenacity import AsyncRetrying, before_sleep_log, retry_if_exception_type, wait_exponential

from gateway.access.keyring import Keyring
from gateway.access.vault import Vault
from gateway.link.exchanges import nothing
from gateway.link.invoker_link import Answer, Call, Errand
from samovar.access.roles import AccessKey, new_key_id, new_secret
from samovar.access.sigv4 import Credentials, Signed, sign
from samovar.errors import (
    EnvironmentFailure,
    ResourceConflict,
    SamovarError,
    ServiceUnavailable,
    UnrecognizedClient,
    by_aws_name,
)
from samovar.function import FunctionVersion
from samovar.invocation import AnswerHead, Outcome
from samovar.settings import Settings, is_loopback

if TYPE_CHECKING:
    import httpx

GATEWAY: Final = "samovar:workers:gateway"
KEY_NAME: Final = "workers"
PATH: Final = "/samovar/v1/runs"
RUN_HEADER: Final = "x-samovar-run"
OUTCOME_HEADER: Final = "x-samovar-outcome"
_GRACE_S: Final = 120.0
"""What a run may take beyond the function's own timeout: queueing, a cold start, the way there and back."""
_CONNECTIONS: Final = 64
_log = logging.getLogger(__name__)


class Reachable(msgspec.Struct, frozen=True, kw_only=True):
    """Where a gateway is, and the key that lets workers in."""

    url: str
    key_id: str
    sealed: str


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker wants to be run; travels in `RUN_HEADER`, Base64 of JSON."""

    arn: str
    version: str
    call: Call


_encode = msgspec.json.Encoder().encode


def header_of(run: Run) -> str:
    """A run as its header."""
    return base64.b64encode(_encode(run)).decode()


class SharedVault(Vault):
    """Seals what everybody may open who knows the store's password."""

    def __init__(self, store_url: str) -> None:
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        super().__init__(Path())
        password = urlsplit(store_url).password or ""
        self._key = HKDF(SHA256(), 32, salt=None, info=b"samovar workers").derive(password.encode())


class OpenToWorkers:
    """An async context manager of a gateway: while it is open, workers of other hosts find the gateway."""

    def __init__(self, settings: Settings, client: redis.asyncio.Redis, keyring: Keyring) -> None:
        self._settings = settings
        self._redis: Any = client
        self._keyring = keyring
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin, where the gateway can be reached at all. Does not wait for the store."""
        if not is_loopback(self._settings.host):
            self._task = asyncio.create_task(self._leave_address(), name="open-to-workers")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What was left stays: another gateway, or the next start, is at the same address."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _leave_address(self) -> None:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type((SamovarError, RedisError, OSError)),
            wait=wait_exponential(multiplier=0.1, max=10),
            before_sleep=before_sleep_log(_log, logging.INFO),
        ):
            with attempt:
                await self._leave()

    async def _leave(self) -> None:
        vault = SharedVault(self._settings.store_url)
        found = await self._redis.get(GATEWAY)
        known = None if found is None else msgspec.json.decode(found, type=Reachable)
        if known is not None and await self._is_good(vault, known):
            key_id, sealed = known.key_id, known.sealed
        else:
            key_id, secret = new_key_id(), new_secret()
            created = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            with contextlib.suppress(ResourceConflict):
                await self._keyring.add(AccessKey(key_id=key_id, name=KEY_NAME, role="invoke", created=created), secret)
            sealed = vault.seal(key_id, secret)
        await self._redis.set(GATEWAY, _encode(Reachable(url=self._url(), key_id=key_id, sealed=sealed)))

    async def _is_good(self, vault: Vault, known: Reachable) -> bool:
        """Whether the key that was left is still let in, and can be opened by who knows the password of today."""
        try:
            vault.open(known.key_id, known.sealed)
        except SamovarError:
            return False
        return await self._keyring.find(known.key_id) is not None

    def _url(self) -> str:
        settings = self._settings
        if settings.public_url:
            return settings.public_url.rstrip("/")
        host = settings.host
        if host in ("0.0.0.0", "::"):  # noqa: S104 - looked up, not bound
            host = _address_towards(settings.store_url)
        return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _address_towards(store_url: str) -> str:
    """The address this host has in the network of its store, else its name."""
    parts = urlsplit(store_url)
    if parts.hostname is None or parts.scheme == "unix":
        return socket.gethostname()
    family = socket.AF_INET6 if ":" in parts.hostname else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((parts.hostname, parts.port or 6379))  # sends nothing: the kernel only looks for the way
        return str(probe.getsockname()[0])


class RemoteRuns:
    """Runs versions through a gateway of another host; an async context manager."""

    def __init__(self, settings: Settings, client: redis.asyncio.Redis) -> None:
        self._settings = settings
        self._redis: Any = client
        self._gateway: tuple[str, Credentials] | None = None
        self._http: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        """Connects when first used."""
        import httpx  # 8 MiB, where there is no invoker

        limits = httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS)
        self._http = httpx.AsyncClient(limits=limits, trust_env=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close its connections."""
        if self._http is not None:
            await self._http.aclose()

    async def invoke(
        self, version: FunctionVersion, call: Call, payload: bytes, sent: Callable[[], None] = nothing
    ) -> Answer:
        """As `InvokerLink.invoke`. `EnvironmentFailure` when the gateway was lost after the call was sent."""
        import httpx

        assert self._http is not None, "entered before it is used"
        url, credentials = self._gateway or await self._found()
        parts = urlsplit(url)
        run = Run(arn=version.arn, version=version.version, call=call)
        given = {b"host": parts.netloc.encode(), RUN_HEADER.encode(): header_of(run).encode()}
        headers = {name.decode(): value.decode() for name, value in given.items()}
        headers |= sign(Signed("POST", PATH.encode(), b"", given), payload, credentials, time.time())
        deadline = httpx.Timeout(version.limits.timeout_s + _GRACE_S, connect=5.0)
        try:
            answer = await self._http.post(f"{url}{PATH}", content=payload, headers=headers, timeout=deadline)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            self._gateway = None
            raise ServiceUnavailable(f"the gateway at {url} cannot be reached from here: {error}") from error
        except httpx.HTTPError as error:
            raise EnvironmentFailure(f"the gateway at {url} was lost while it had this call: {error}") from error
        sent()
        if answer.is_success:
            head = AnswerHead(
                outcome=Outcome(answer.headers[OUTCOME_HEADER]), version=answer.headers["x-amz-executed-version"]
            )
            return Answer(head, answer.content)
        raise self._failure(answer)

    def begin(self, errand: Errand, deliver: Callable[[Answer | SamovarError], None]) -> bool:
        """As `InvokerLink.begin`: always false, a request over HTTP is to be waited for."""
        return False

    def _failure(self, answer: httpx.Response) -> SamovarError:
        kind = by_aws_name(answer.headers.get("x-amzn-errortype", ""), answer.status_code)
        if answer.status_code == 403:
            self._gateway = None
            return ServiceUnavailable(f"the gateway does not let this worker in: {answer.text[:200]}")
        try:
            told: dict[str, str] = answer.json()
        except ValueError:
            told = {"Message": answer.text[:200]}
        after = answer.headers.get("retry-after")
        return kind(told.get("Message", ""), retry_after=float(after) if after else None, reason=told.get("Reason"))

    async def _found(self) -> tuple[str, Credentials]:
        try:
            found = await self._redis.get(GATEWAY)
        except (RedisError, OSError) as error:
            raise ServiceUnavailable(f"the store was not asked where the gateway is: {error}") from error
        if found is None:
            raise ServiceUnavailable(
                "This host has no invoker, and no gateway can be reached from it: start Samovar with --host 0.0.0.0 "
                "(or an address of its own) where functions run."
            )
        known = msgspec.json.decode(found, type=Reachable)
        try:
            secret = SharedVault(self._settings.store_url).open(known.key_id, known.sealed)
        except SamovarError as error:
            raise UnrecognizedClient(f"the key of the gateway at {known.url} cannot be opened: {error}") from error
        self._gateway = known.url, Credentials(known.key_id, secret, self._settings.region)
        return self._gateway
