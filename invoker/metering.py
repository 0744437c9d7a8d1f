"""Meter readings on their way to Redis: safe before the answer leaves, there exactly once.

`record` appends to the journal, once for all calls that end in one turn of the event loop. A shipper task moves
batches from the journal to Redis: the readings, the roll-ups they change, and the journal's cursor go in one
transaction, so that a batch counts once even when the connection breaks after Redis executed it and before we
were told.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Callable

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError
from tenacity import AsyncRetrying, before_sleep_log, retry_if_exception_type, wait_exponential

from invoker.journal import Cursor, Journal
from samovar import usage
from samovar.errors import SamovarError, ServiceUnavailable
from samovar.invocation import Reading

log = logging.getLogger("samovar.metering")

_BATCH = 250
_LINGER_S = 0.025
"""Between two batches, unless somebody wants the readings at once.

A batch costs the event loop about as much as a few calls, and each reading in it a tenth of one: with longer pauses
there would be batches for which calls have to wait.
"""
_STORE = """
local given = cjson.decode(ARGV[1])
for i, key in ipairs(KEYS) do
    redis.call('SET', key, ARGV[i + 1], 'EX', given.retention)
end
for key, index in pairs(given.index) do
    redis.call('ZADD', key, unpack(index))
end
for key, rollup in pairs(given.rollups) do
    for name, amount in pairs(rollup.counters) do
        redis.call('HINCRBY', key, name, amount)
    end
    redis.call('EXPIRE', key, rollup.kept)
end
if given.cursor then
    redis.call('SET', given.journal, given.cursor)
end
"""
"""A batch as one command, which Redis executes as a whole: a command costs its sender more than the server."""


class Meter:
    """Owner of the journal and of its shipper."""

    def __init__(self, journal: Journal, redis: Redis, retention_s: int) -> None:
        self._journal = journal
        self._redis = redis
        self._store = redis.register_script(_STORE)
        self._retention_s = retention_s
        self._shipped: Cursor | None = None
        self._pending = 0
        self._news = asyncio.Event()
        self._wanted = asyncio.Event()
        """Somebody waits for the readings: ship them without lingering."""
        self._progress = asyncio.Condition()
        self._recorded: list[tuple[Reading, Callable[[SamovarError | None], None]]] = []
        """Of this turn of the event loop."""
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def pending(self) -> int:
        """Readings recorded by this process that Redis does not have yet."""
        return self._pending

    def start(self) -> None:
        """Begin shipping, with whatever a former process left in the journal."""
        self._task = self._loop.create_task(self._ship_forever(), name="meter-shipper")
        self._news.set()

    async def close(self, deadline_s: float) -> None:
        """Ship what is there, for at most `deadline_s`; the rest stays in the journal for the next start."""
        try:
            await self.flush(deadline_s)
        except ServiceUnavailable as error:
            log.warning("%s; they stay in the journal", error.message)
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._journal.close()

    def record(self, reading: Reading, safe: Callable[[SamovarError | None], None]) -> None:
        """Make a reading safe on this host, together with all others of this turn of the event loop.

        `safe` is called then, or with `ServiceUnavailable` when neither disk nor Redis takes it. It must not raise.
        """
        if not self._recorded:
            self._loop.call_soon(self._commit)
        self._recorded.append((reading, safe))

    def _commit(self) -> None:
        recorded, self._recorded = self._recorded, []
        if not recorded:
            return  # somebody could not wait for the end of the turn
        try:
            self._journal.append([reading for reading, _ in recorded])
        except OSError as error:
            log.error("the journal does not take readings, they go to Redis directly: %s", error)
            self._tasks.update(self._loop.create_task(self._without_disk(*one)) for one in recorded)
            return
        self._pending += len(recorded)
        self._news.set()
        for _, safe in recorded:
            safe(None)

    async def _without_disk(self, reading: Reading, safe: Callable[[SamovarError | None], None]) -> None:
        """The way out when the disk is full: bring one reading to Redis directly."""
        failure: SamovarError | None = None
        try:
            async with asyncio.timeout(5):
                await self._write([reading], cursor=None)
        except (RedisError, OSError, TimeoutError) as error:
            failure = ServiceUnavailable(f"the call ran, but neither disk nor Redis takes its meter reading: {error}")
        safe(failure)
        self._tasks = {task for task in self._tasks if not task.done() and task is not asyncio.current_task()}

    async def flush(self, deadline_s: float) -> None:
        """Return when every reading recorded before now is in Redis. Raises `ServiceUnavailable` if it is late."""
        if self._recorded:
            self._commit()
        target = self._journal.end
        self._news.set()
        self._wanted.set()
        try:
            async with asyncio.timeout(deadline_s), self._progress:
                await self._progress.wait_for(lambda: self._shipped is not None and self._shipped >= target)
        except TimeoutError:
            raise ServiceUnavailable(
                f"{self._pending} meter readings have not reached Redis within {deadline_s:g} s", retry_after=2
            ) from None

    async def _ship_forever(self) -> None:
        while True:
            retrying = AsyncRetrying(
                retry=retry_if_exception_type((RedisError, OSError)),
                wait=wait_exponential(multiplier=0.1, max=2),
                before_sleep=before_sleep_log(log, logging.WARNING),
            )
            async for attempt in retrying:
                with attempt:
                    await self._ship()

    async def _ship(self) -> None:
        """Ship batches for ever. Starts from what Redis says, since a broken answer may hide a success."""
        cursor = await self._cursor()
        while True:
            self._news.clear()
            self._wanted.clear()
            readings, behind = self._journal.read(cursor, _BATCH)
            exhausted = len(readings) < _BATCH
            if exhausted:
                # The journal may have begun a new, empty segment: then its end is no reading's end.
                behind = self._journal.end
            if behind != cursor:
                await self._write(readings, cursor=behind)
                self._journal.release(behind)
                self._pending = max(0, self._pending - len(readings))
                cursor = behind
            async with self._progress:
                self._shipped = cursor
                self._progress.notify_all()
            if exhausted:
                await self._linger()

    async def _linger(self) -> None:
        """Wait for news, and until the last batch is `_LINGER_S` ago: a single call's reading is shipped at once."""
        shipped = self._loop.time()
        await self._news.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(shipped + _LINGER_S):
                await self._wanted.wait()

    async def _cursor(self) -> Cursor:
        known = await self._redis.get(usage.journal_key(self._journal.id))
        if known is None:
            return self._journal.start
        return max(Cursor.parse(known if isinstance(known, str) else known.decode()), self._journal.start)

    async def _write(self, readings: list[Reading], cursor: Cursor | None) -> None:
        """Single readings, roll-ups and cursor, as a whole or not at all."""
        batch = {
            "index": _index(readings),
            "rollups": {
                usage.rollup_key(arn, resolution, start): {
                    "counters": rollup.counters,
                    "kept": usage.KEPT_SECONDS[resolution],
                }
                for (arn, resolution, start), rollup in _rollups(readings).items()
            },
            "retention": self._retention_s,
            "journal": usage.journal_key(self._journal.id),
            "cursor": str(cursor) if cursor is not None else False,
        }
        keys = [usage.reading_key(usage.reading_id(one)) for one in readings]
        values = [msgspec.json.encode(one) for one in readings]
        await self._store(keys=keys, args=[msgspec.json.encode(batch), *values])


def _index(readings: list[Reading]) -> dict[str, list[int | str]]:
    """What is to be added to which sorted set: times and request ids by turns."""
    found: dict[str, list[int | str]] = defaultdict(list)
    for reading in readings:
        found[usage.readings_key(reading.arn)] += (reading.started_ms, usage.reading_id(reading))
    return found


def _rollups(readings: list[Reading]) -> dict[tuple[str, usage.Resolution, int], usage.Rollup]:
    """What the readings add to which roll-up. Minutes are counted; hours and days are sums of minutes."""
    minutes: dict[tuple[str, int], list[Reading]] = defaultdict(list)
    for reading in readings:
        minutes[reading.arn, usage.span_start(reading.started_ms / 1000, "m")].append(reading)
    found: dict[tuple[str, usage.Resolution, int], usage.Rollup] = defaultdict(usage.Rollup)
    for (arn, minute), those in minutes.items():
        rollup = usage.Rollup.of(those)
        for resolution in usage.SECONDS:
            found[arn, resolution, usage.span_start(minute, resolution)].merge(rollup)
    return found
