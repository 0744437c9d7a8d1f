"""When a change of a mapping has come into force: when nobody polls it any more as it was before.

Whoever looks at a mapping settles it, and so does what looks after the mappings; nobody has to wait for either.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.mappings import mapping as rules
from gateway.mappings.mapping import Mapping
from gateway.mappings.mapping_store import MappingStore
from gateway.pollers.leases import Leases, stamp
from samovar.errors import ResourceConflict
from samovar.names import new_request_id

POLLED: Final = frozenset({"sqs", "redis"})
"""Kinds of sources that are read. Of the others there are records, and nothing else."""


def is_polled(mapping: Mapping) -> bool:
    """Whether somebody is to read its source."""
    return mapping.enabled and mapping.state not in ("Deleting", "Disabling", "Disabled") and mapping.kind in POLLED


async def settled(store: MappingStore, leases: Leases, found: Mapping) -> Mapping | None:
    """A mapping in the state it is in now; `None` when it is gone. Raises `ServiceUnavailable`."""
    if found.state in rules.RESTING:
        return found
    holders = [] if found.state in ("Creating", "Enabling") else await leases.holders(found.uuid)
    if any(holder.changed != stamp(found) or not found.enabled or found.state == "Deleting" for holder in holders):
        return found
    if found.state == "Deleting":
        await store.remove(found)
        return None
    state = rules.fired(found.state, "settle on" if found.enabled else "settle off")
    changed = msgspec.structs.replace(found, state=state, revision_id=new_request_id())
    try:
        await store.put(found, changed)
    except ResourceConflict:  # somebody else was as quick
        return await store.get(found.uuid)
    return changed
