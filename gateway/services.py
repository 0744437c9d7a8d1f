"""What a gateway worker holds open, in one record, opened and closed in one place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import redis.asyncio

from gateway.access.key_store import KeyStore
from gateway.access.keyring import Keyring
from gateway.access.roles import Roles
from gateway.access.sessions import Sessions
from gateway.access.vault import Vault
from gateway.announcer import Announcer
from gateway.artifacts import Artifacts
from gateway.invoker_link import InvokerLink, LinkLimits
from gateway.registry import Registry
from gateway.store import Store, connect
from samovar import credentials
from samovar.clock import Clock, SystemClock
from samovar.errors import StartRefused
from samovar.sessions import key_of
from samovar.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything a request may need. Owners close; users only use."""

    settings: Settings
    clock: Clock
    redis: redis.asyncio.Redis
    store: Store
    registry: Registry
    keyring: Keyring
    sessions: Sessions
    artifacts: Artifacts
    link: InvokerLink
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server begins to shut down: answers that have no end must find one."""


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Open everything, in order, and close it in reverse.

    Neither Redis nor the invoker need be there yet: the registry, the keyring and the link connect when they can.
    Raises `StartRefused` when the root access key, or the key of all secrets, cannot be had.
    """
    async with AsyncExitStack() as stack:
        client = connect(settings.store_url)
        stack.push_async_callback(client.aclose)
        store = Store(client, settings.account, settings.region)
        registry = await stack.enter_async_context(Registry(store))
        vault = Vault(settings.secrets_key)
        root = credentials.ensure(settings)
        keyring = await stack.enter_async_context(Keyring(KeyStore(client), vault, root))
        clock = SystemClock()
        roles = Roles(settings.data / "roles")
        sessions = Sessions(_session_key(settings), registry, roles, settings.account, clock)
        link = await stack.enter_async_context(InvokerLink(settings.invoker_socket, _link_limits(settings)))
        await stack.enter_async_context(Announcer(link, store))
        yield Services(
            settings=settings,
            clock=clock,
            redis=client,
            store=store,
            registry=registry,
            keyring=keyring,
            sessions=sessions,
            artifacts=Artifacts(settings.code_dir, settings.max_code_bytes, settings.max_upload_bytes),
            link=link,
        )


def _session_key(settings: Settings) -> bytes:
    try:
        return key_of(settings.secrets_key)
    except OSError as error:
        raise StartRefused(f"the key of all secrets, {settings.secrets_key}: {error.strerror}") from error


def _link_limits(settings: Settings) -> LinkLimits:
    waits = settings.queue_timeout_s + settings.start_timeout_s + settings.init_timeout_s
    return LinkLimits(grace=waits + 30.0)
