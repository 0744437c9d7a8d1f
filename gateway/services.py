"""What a gateway worker holds open, in one record, opened and closed in one place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import redis.asyncio

from gateway.access.key_store import KeyStore
from gateway.access.keyring import Keyring
from gateway.access.vault import Vault
from gateway.announcer import Announcer
from gateway.artifacts import Artifacts
from gateway.events.doorbell import Doorbell
from gateway.events.intake import Intake
from gateway.invoker_link import InvokerLink, LinkLimits
from gateway.registry import Registry
from gateway.store import Store, connect
from gateway.uploads.objects import Objects
from samovar import credentials
from samovar.clock import Clock, SystemClock
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
    artifacts: Artifacts
    link: InvokerLink
    intake: Intake
    objects: Objects
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server begins to shut down: answers that have no end must find one."""


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Open everything, in order, and close it in reverse.

    Neither Redis nor the invoker need be there yet: the registry, the keyring and the link connect when they can.
    Raises `StartRefused` when the root access key cannot be had.
    """
    async with AsyncExitStack() as stack:
        client = connect(settings.store_url)
        stack.push_async_callback(client.aclose)
        store = Store(client, settings.account, settings.region)
        registry = await stack.enter_async_context(Registry(store))
        vault = Vault(settings.data / "secrets.key")
        root = credentials.ensure(settings)
        keyring = await stack.enter_async_context(Keyring(KeyStore(client), vault, root))
        link = await stack.enter_async_context(InvokerLink(settings.invoker_socket, _link_limits(settings)))
        await stack.enter_async_context(Announcer(link, store))
        doorbell = Doorbell(settings)
        stack.push_async_callback(asyncio.to_thread, doorbell.close)
        intake = Intake(client, doorbell.ring, settings.max_event_bytes)
        stack.push_async_callback(intake.close)
        objects = Objects(settings)
        stack.push_async_callback(objects.close)
        yield Services(
            settings=settings,
            clock=SystemClock(),
            redis=client,
            store=store,
            registry=registry,
            keyring=keyring,
            artifacts=Artifacts(settings.code_dir, settings.max_code_bytes, settings.max_upload_bytes),
            link=link,
            intake=intake,
            objects=objects,
        )


def _link_limits(settings: Settings) -> LinkLimits:
    waits = settings.queue_timeout_s + settings.start_timeout_s + settings.init_timeout_s
    return LinkLimits(grace=waits + 30.0)
