"""Creating, changing and deleting functions: first the store, then the invoker, then the answer.

The caller is answered when the invoker has put a change in force, so that whoever calls next gets the new code,
whichever gateway worker takes the call. That takes as long as the start of an environment, unless nothing is running.
After some seconds the answer is that the update is in progress. An invoker that is away does not hold a change up: it
learns from the first later call.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol

import msgspec

from gateway.functions.record import FunctionRecord
from gateway.functions.registry import Edit, Registry
from samovar.errors import SamovarError, ServiceUnavailable
from samovar.function import FunctionVersion
from samovar.link.operations import Forget, Settle, Standing, Subject

ASKED_WITHIN_S: Final = 5.0
SETTLED_WITHIN_S: Final = 4.0
"""How long an update waits to be in force before its answer is that it is in progress."""
_log = logging.getLogger(__name__)


class Operations(Protocol):
    """The part of the link to the invoker that is needed here."""

    @property
    def is_connected(self) -> bool:
        """Whether an operation would be sent at once."""
        ...

    async def operation(self, op: str, body: bytes = b"", timeout: float = ...) -> bytes:  # noqa: ASYNC109 - the link's
        """One of the operations of `samovar.link.operations`."""
        ...


async def ask(link: Operations, op: str, body: bytes = b"", within_s: float = ASKED_WITHIN_S) -> bytes:
    """An operation, unless the invoker is not even connected: a call may wait for it to come back, this does not.

    Raises what the operation raises, and `ServiceUnavailable`.
    """
    if not link.is_connected:
        raise ServiceUnavailable("The invoker is not connected; `samovar status` says more", retry_after=1.0)
    return await link.operation(op, body, within_s)


class Functions:
    """What the control API does with functions."""

    def __init__(self, registry: Registry, link: Operations, now: Callable[[], float]) -> None:
        self.registry = registry
        self.link = link
        self._now = now

    async def create(self, record: FunctionRecord) -> FunctionRecord:
        """Add a function. Raises `ResourceConflict` if there is one of its name."""
        record = await self.registry.create(msgspec.structs.replace(record, last_modified=self.timestamp()))
        await self.tell("declare", msgspec.json.encode(record.version))
        return record

    async def change(
        self, arn: str, edit: Edit, revision_id: str | None = None
    ) -> tuple[FunctionRecord, Standing | None]:
        """Change a function as `Registry.change` does, and its time of modification with it.

        Returns how far the change has come, too, or `None` if the invoker is away.
        """

        def dated(record: FunctionRecord) -> FunctionRecord:
            edited = edit(record)
            is_published = record.is_published and edited == record
            return msgspec.structs.replace(edited, last_modified=self.timestamp(), is_published=is_published)

        record = await self.registry.change(arn, dated, revision_id)
        return record, await self._settle(record.version)

    async def attach(self, arn: str, edit: Edit) -> FunctionRecord:
        """Change what is attached to a function (URL, tags): its code and configuration keep their time."""
        record = await self.registry.change(arn, edit)
        await self._settle(record.version)
        return record

    async def standing(self, version: FunctionVersion) -> Standing | None:
        """How far the newest record of a version has come; `None` if the invoker is away."""
        return await self._standing("standing", msgspec.json.encode(Subject(version.arn, version.version)))

    async def delete(self, arn: str) -> None:
        """Remove a function with its versions, aliases and URL. Raises `ResourceNotFound`."""
        serial = await self.registry.delete(arn)
        await self.tell("forget", msgspec.json.encode(Forget(arn, serial)))

    def epoch(self) -> float:
        """Now, in seconds since the epoch."""
        return self._now()

    def timestamp(self) -> str:
        """Now, as `LastModified` prints it: `2026-11-23T05:45:11.000+0000`."""
        return datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "+0000")

    def url_timestamp(self) -> str:
        """Now, as function URLs print it: `2026-11-23T05:45:11.000Z`."""
        return datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    async def _settle(self, version: FunctionVersion) -> Standing | None:
        return await self._standing("settle", msgspec.json.encode(Settle(version, SETTLED_WITHIN_S)))

    async def _standing(self, op: str, body: bytes) -> Standing | None:
        answer = await self.tell(op, body)
        return msgspec.json.decode(answer, type=Standing) if answer else None

    async def tell(self, op: str, body: bytes) -> bytes:
        """Have the invoker hear of a change; the answer's body, or nothing if it is away."""
        try:
            return await ask(self.link, op, body)
        except SamovarError as error:
            # The change is stored already; the invoker finds its greater serial with the next call.
            _log.warning("the invoker could not be told to %s: %s", op, error)
            return b""
