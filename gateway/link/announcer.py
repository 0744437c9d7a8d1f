"""Tells an invoker that has just been started which functions have provisioned environments.

It learns of all others from their first call; these are to be ready before that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from types import TracebackType
from typing import Self

import msgspec
from tenacity import AsyncRetrying, before_sleep_log, retry_if_exception_type, wait_exponential

from gateway.functions.qualified import joined
from gateway.functions.qualified_store import QualifiedStore
from gateway.functions.store import Store
from gateway.link.invoker_link import InvokerLink
from samovar.errors import SamovarError

_log = logging.getLogger(__name__)


class Announcer:
    """An async context manager: inside it, each new connection of the link is followed by declarations."""

    def __init__(self, link: InvokerLink, store: Store) -> None:
        self._link = link
        self._store = store
        self._qualified = QualifiedStore(store.redis)
        self._connected = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin; the link may be connected already."""
        self._link.on_connect = self._connected.set
        if self._link.is_connected:
            self._connected.set()
        self._task = asyncio.create_task(self._announce_all(), name="announcer")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Announce no more."""
        self._link.on_connect = None
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _announce_all(self) -> None:
        while True:
            await self._connected.wait()
            self._connected.clear()
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(SamovarError),
                wait=wait_exponential(multiplier=0.1, max=5.0),
                before_sleep=before_sleep_log(_log, logging.INFO),
            ):
                with attempt:
                    await self._announce()

    async def _announce(self) -> None:
        for record in await self._store.all():
            if record.version.provisioned:
                await self._link.operation("declare", msgspec.json.encode(record.version))
            held = [one.provisioned for one in record.attached.values() if one.provisioned is not None]
            numbers = sorted({int(number) for one in held for number in one.versions})
            for version in await self._qualified.versions(record.arn, numbers):
                await self._link.operation("declare", msgspec.json.encode(joined(version, record).version))
