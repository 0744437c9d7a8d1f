"""Where asynchronous events come in: stored before anybody is told that they are.

All events of one turn of the event loop, and all that come while the store is answering, go to the store as one
command. Who is to run them is asked only when nobody drains their line yet.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, NamedTuple

import redis.asyncio

from gateway.events import keys
from gateway.events.event import EventHead, NewEvent, encode_head, head_of
from gateway.functions.store import reaching_store
from samovar.errors import RequestTooLarge, SamovarError, ServiceFailure, TooManyRequests
from samovar.names import random_hex

ASKED_MS: Final = 15_000
"""After this somebody who was asked to drain a line, and has not begun, is asked again."""
ONCE_S: Final = 2 * 86_400
"""How long an event's own name is remembered."""
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
"""What may wait for an answer of the store; more is throttled."""
_RETRY_AFTER_S: Final = 1.0
_OVERHEAD_BYTES: Final = 512
"""What an event takes in memory beside its payload."""
_BATCH: Final = 1000
ASKED: Final = "asked"
"""Stands where the drainer's name will stand."""

# A client repeats a script whose answer was lost; the batch's own name tells that it had worked.
_ACCEPT: Final = f"""
local asked, added = {{}}, {{}}
if not redis.call('SET', '{keys.once("")}' .. ARGV[1], '1', 'NX', 'EX', 60) then return asked end
for i = 2, #ARGV, 4 do
  local line, once = ARGV[i], ARGV[i + 1]
  if once == '' or redis.call('SET', '{keys.once("")}' .. once, '1', 'NX', 'EX', {ONCE_S}) then
    redis.call('XADD', '{keys.line("")}' .. line, '*', 'h', ARGV[i + 2], 'p', ARGV[i + 3])
    if not added[line] then
      added[line] = true
      redis.call('SADD', '{keys.LINES}', line)
      if redis.call('SET', '{keys.drain("")}' .. line, '{ASKED}', 'NX', 'PX', {ASKED_MS}) then
        asked[#asked + 1] = line
      end
    end
  end
end
return asked
"""

Ring = Callable[[Iterable[str]], None]
"""Asks for somebody to drain lines. Neither waits nor raises."""
Stored = Callable[[SamovarError | None], None]
"""Told once when an event is stored, or why it is not. Must not raise."""


class _Waiting(NamedTuple):
    line: str
    head: EventHead
    payload: bytes
    once: str
    stored: Stored


class Intake:
    """Takes events. One a process: it is where events of one turn of the event loop meet."""

    def __init__(self, client: redis.asyncio.Redis, ring: Ring, max_event_bytes: int) -> None:
        self._accept: Any = client.register_script(_ACCEPT)
        self._ring = ring
        self._max_event_bytes = max_event_bytes
        self._waiting: list[_Waiting] = []
        self._bytes = 0
        self._storing: asyncio.Task[None] | None = None

    async def accept(self, event: NewEvent) -> None:
        """Take an event; returns when it is stored. The function is taken to exist.

        An event whose `once` has been taken already is dropped. Raises `RequestTooLarge` over the limit on events,
        `TooManyRequests` when too much waits for the store, and `ServiceUnavailable` when the store does not answer:
        then the event may or may not have been stored.
        """
        self.check(event.payload)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.begin(event, partial(_tell, future))
        await future

    def check(self, payload: bytes) -> None:
        """Raise `RequestTooLarge` for what is too large for an event."""
        if len(payload) > self._max_event_bytes:
            raise RequestTooLarge(
                f"{len(payload)} byte payload is too large for the Event invocation type "
                f"(limit {self._max_event_bytes} bytes)"
            )

    def begin(self, event: NewEvent, stored: Stored) -> None:
        """As `accept`, without a task for it: `stored` is told. Raises `TooManyRequests`."""
        self.enqueue(event.arn, head_of(event), event.payload, event.once, stored)

    def enqueue(self, line: str, head: EventHead, payload: bytes, once: str, stored: Stored) -> None:
        """Put something on a line. Raises as `begin` does."""
        size = len(payload) + _OVERHEAD_BYTES
        if self._bytes + size > MAX_WAITING_BYTES:
            raise TooManyRequests("Rate Exceeded.", retry_after=_RETRY_AFTER_S, reason="CallerRateLimitExceeded")
        self._bytes += size
        self._waiting.append(_Waiting(line, head, payload, once, stored))
        if self._storing is None:
            self._storing = asyncio.get_running_loop().create_task(self._store_all(), name="intake")

    async def put(self, line: str, head: EventHead, payload: bytes, once: str) -> None:
        """As `enqueue`; returns when it is stored. Raises as `accept` does, but for the limit on events."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.enqueue(line, head, payload, once, partial(_tell, future))
        await future

    async def close(self) -> None:
        """Return when everything that was taken is stored, or refused."""
        while self._storing is not None:
            await asyncio.wait([self._storing])

    async def _store_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
                failure = await self._store(batch)
                self._bytes -= sum(len(one.payload) + _OVERHEAD_BYTES for one in batch)
                for one in batch:
                    one.stored(failure)
        finally:
            self._storing = None

    async def _store(self, batch: list[_Waiting]) -> SamovarError | None:
        arguments: list[str | bytes] = [f"batch:{random_hex(16)}"]
        for one in batch:
            arguments += (one.line, one.once, encode_head(one.head), one.payload)
        try:
            async with reaching_store():
                asked = await self._accept(args=arguments)
        except SamovarError as error:
            return error
        except Exception as error:  # noqa: BLE001 - whoever waits is told; the next batch goes on
            return ServiceFailure(f"the events could not be stored: {error}")
        if asked:
            self._ring([line.decode() for line in asked])
        return None


def _tell(future: asyncio.Future[None], failure: SamovarError | None) -> None:
    with contextlib.suppress(asyncio.InvalidStateError):  # whoever waited has gone
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)
