"""What a gateway worker holds open, in one record, opened and closed in one place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import redis.asyncio

from gateway.access.key_store import KeyStore
from gateway.access.keyring import Keyring
from gateway.access.roles import Roles
from gateway.access.sessions import Sessions
from gateway.access.vault import Vault
from gateway.events.doorbell import Doorbell, publisher
from gateway.events.intake import Intake
from gateway.functions.artifacts import Artifacts
from gateway.functions.registry import Registry
from gateway.functions.store import Store, connect
from gateway.link.announcer import Announcer
from gateway.link.invoker_link import InvokerLink, LinkLimits
from gateway.link.remote import OpenToWorkers
from gateway.queues.moves import Moves
from gateway.queues.queues import Queues
from gateway.tasks.waking import Waking
from gateway.uploads.objects import Objects
from samovar.access import credentials
from samovar.access.sessions import key_of
from samovar.clock import Clock, SystemClock
from samovar.errors import StartRefused
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
    doorbell: Doorbell
    queues: Queues
    moves: Moves
    intake: Intake
    objects: Objects
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server begins to shut down: answers that have no end must find one."""

    def stop(self) -> None:
        """The server begins to shut down: have those answered who wait for what may never come."""
        self.stopping.set()
        self.queues.end_waiting()


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
        await stack.enter_async_context(OpenToWorkers(settings, client, keyring))
        link = await stack.enter_async_context(open_link(settings))
        await stack.enter_async_context(Announcer(link, store))
        queues = await stack.enter_async_context(Queues(client, clock, settings.account))
        moves = await stack.enter_async_context(Moves(queues, client, clock))
        waking = await stack.enter_async_context(Waking(settings, client, clock))
        doorbell = Doorbell(partial(publisher, settings), waking.ring)
        stack.push_async_callback(asyncio.to_thread, doorbell.close)
        intake = Intake(client, doorbell.ring, settings.max_event_bytes)
        stack.push_async_callback(intake.close)
        objects = Objects(settings)
        stack.push_async_callback(objects.close)
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
            doorbell=doorbell,
            queues=queues,
            moves=moves,
            intake=intake,
            objects=objects,
        )


def _session_key(settings: Settings) -> bytes:
    try:
        return key_of(settings.secrets_key)
    except OSError as error:
        raise StartRefused(f"the key of all secrets, {settings.secrets_key}: {error.strerror}") from error


def open_link(settings: Settings) -> InvokerLink:
    """A link to this host's invoker, which has yet to be entered."""
    waits = settings.queue_timeout_s + settings.start_timeout_s + settings.init_timeout_s
    return InvokerLink(settings.invoker_socket, LinkLimits(grace=waits + 30.0))
