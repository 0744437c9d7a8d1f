"""What tasks of a worker process work with, opened and closed in one place."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import redis.asyncio

from gateway.events.doorbell import Doorbell
from gateway.events.intake import Intake
from gateway.events.work import Runs
from gateway.functions.registry import Registry
from gateway.functions.store import Store, connect
from gateway.link.invoker_link import InvokerLink
from gateway.link.remote import RemoteRuns
from gateway.queues.queues import Queues
from gateway.services import open_link
from gateway.uploads.objects import Objects
from samovar.clock import Clock, SystemClock
from samovar.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What tasks work with, on the engine's loop."""

    settings: Settings
    clock: Clock
    redis: redis.asyncio.Redis
    registry: Registry
    runs: Runs
    """Runs versions of functions: the invoker of this host, or a gateway of another one."""
    doorbell: Doorbell
    intake: Intake
    queues: Queues
    objects: Objects
    worker_id: str
    """Names this process among all workers, and is never used again."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process is to end: take up nothing new, and leave when what runs has ended."""


@asynccontextmanager
async def open_tools(settings: Settings, doorbell: Doorbell) -> AsyncIterator[Tools]:
    """Open everything, in order, and close it in reverse. Nothing needs to be there yet."""
    async with AsyncExitStack() as stack:
        client = connect(settings.store_url)
        stack.push_async_callback(client.aclose)
        registry = await stack.enter_async_context(Registry(Store(client, settings.account, settings.region)))
        clock = SystemClock()
        queues = await stack.enter_async_context(Queues(client, clock, settings.account))
        objects = Objects(settings)
        stack.push_async_callback(objects.close)
        intake = Intake(client, doorbell.ring, settings.max_event_bytes)
        stack.push_async_callback(intake.close)
        yield Tools(
            settings=settings,
            clock=clock,
            redis=client,
            registry=registry,
            runs=await stack.enter_async_context(_runs(settings, client)),
            doorbell=doorbell,
            intake=intake,
            queues=queues,
            objects=objects,
            worker_id=f"{socket.gethostname()}-{secrets.token_hex(6)}",
        )


def _runs(settings: Settings, client: redis.asyncio.Redis) -> InvokerLink | RemoteRuns:
    """What runs functions: this host's invoker, where there is a platform, else a gateway of another host."""
    has_platform = settings.invoker_socket.parent.is_dir()
    return open_link(settings) if has_platform else RemoteRuns(settings, client)
