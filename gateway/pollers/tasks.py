"""The Celery tasks of event source mappings: one slot to be polled, and the sweep that finds what nobody polls.

A task hands its slot to the process that took it, which polls it from then on under a lease; see `slots.py`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from celery import Celery

from gateway.functions.store import connect
from gateway.mappings.mapping_store import MappingStore
from gateway.pollers.leases import POLL, Leases, Slot
from gateway.pollers.settling import is_polled, settled
from gateway.tasks.engine import Engine
from samovar.settings import Settings

if TYPE_CHECKING:
    from gateway.pollers.slots import Slots
    from gateway.tasks.tools import Tools

_SWEEP_LIMIT_S: Final = 20.0


def register(app: Celery, settings: Settings, engine: Engine) -> None:
    """Add the tasks."""
    of_this_process: dict[str, Slots] = {}

    async def take(tools: Tools, slot: Slot) -> None:
        from gateway.pollers.polling import slots_of

        slots = of_this_process.get(tools.worker_id)
        if slots is None:
            slots = of_this_process[tools.worker_id] = slots_of(tools)
        await slots.attend(slot)

    # Acknowledged at once: its task may be there for as long as the process, and the sweep finds what nobody polls.
    @app.task(name=POLL, acks_late=False)
    def poll(uuid: str, number: int) -> None:
        engine.run(lambda tools: take(tools, Slot(uuid, number)))

    @app.task(name="samovar.sweep_mappings")
    def sweep_mappings() -> None:
        for slot in asyncio.run(_unattended(settings)):
            poll.delay(*slot)


async def _unattended(settings: Settings) -> list[Slot]:
    """Mappings that are to be polled and are not. What has changed is settled on the way."""
    async with connect(settings.store_url) as client, asyncio.timeout(_SWEEP_LIMIT_S):
        store, leases = MappingStore(client), Leases(client)
        found = []
        for one in await store.all():
            mapping = await settled(store, leases, one)
            if mapping is not None and is_polled(mapping) and not await leases.holders(mapping.uuid):
                found.append(Slot(mapping.uuid, 0))
        return found
