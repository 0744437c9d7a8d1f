"""The process that follows the S3 server: what it holds open, and what it does for ever."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from typing import Any, Final

import redis.asyncio

from gateway.events.doorbell import Doorbell, publisher
from gateway.events.intake import Intake
from gateway.functions.registry import Registry
from gateway.functions.store import Store, connect
from gateway.queues.queues import Queues
from gateway.tasks.waking import Waking
from gateway.uploads.changes import changes
from gateway.uploads.following import follow
from gateway.uploads.intents import Intents
from gateway.uploads.inventory import Inventory, path_of
from gateway.uploads.ledger import Cursor, Ledger
from gateway.uploads.objects import Objects
from gateway.uploads.pruning import EVERY_S, forget_old_changes
from gateway.uploads.reconciling import Reconciler
from gateway.uploads.rule_book import RuleBook
from gateway.uploads.telling import Teller
from samovar import s3
from samovar.clock import SystemClock
from samovar.errors import SamovarError
from samovar.settings import Settings

LOOK_EVERY_S: Final = 5.0
"""How often intents that nobody was heard of are looked into."""
LIST_EVERY_S: Final = 60.0
"""How often an S3 of somebody else's is looked at, which says nothing by itself."""
_OVERLAP_S: Final = 2
"""Clocks of servers and whole seconds differ by so much."""
_QUIET_S: Final = 2.0
"""When the server has said nothing for so long, it has said what it remembers."""
_FIRST_WORD_S: Final = 4.0
"""So long the follower may take to start, on a busy machine."""
_CATCHES_UP_WITHIN_S: Final = 12.0
"""It may never be quiet."""
_FIRST_PAUSE_S: Final = 0.2
_LAST_PAUSE_S: Final = 5.0
_ADVANCE_EVERY_S: Final = 5.0
_log = logging.getLogger("samovar.uploads")


class Watcher:
    """What the process holds open, and how far it is."""

    def __init__(
        self,
        settings: Settings,
        objects: Objects,
        client: redis.asyncio.Redis,
        teller: Teller,
        inventory: Inventory,
    ) -> None:
        self._settings = settings
        self._objects = objects
        self._intents = Intents(client)
        self._ledger = Ledger(client)
        self._teller = teller
        self._rules = RuleBook(client)
        self._reconciler = Reconciler(
            objects.upstream, self._intents, self._rules, teller, inventory, is_silent=bool(settings.s3_url)
        )
        self._look_since_s = 0
        self._listened: float | None = None
        """Since when the server is listened to; monotonic."""
        self._heard: float | None = None
        """When it said something last, since then."""

    async def follow(self) -> None:
        """Tell what the embedded server says, and go on after it, or the store, was away."""
        pause = _FIRST_PAUSE_S
        while True:
            began = time.monotonic()
            looking: asyncio.Task[None] | None = None
            try:
                cursor = await self._resumed()
                if self._look_since_s:
                    looking = asyncio.create_task(self._look_back())
                await self._tell_all(cursor)
            except (SamovarError, OSError) as error:
                _log.warning("following the S3 server failed, beginning again: %s", error)
            finally:
                self._listened = None
                if looking is not None:
                    looking.cancel()
            pause = _FIRST_PAUSE_S if time.monotonic() - began > _LAST_PAUSE_S else min(pause * 2, _LAST_PAUSE_S)
            await asyncio.sleep(pause)

    async def _resumed(self) -> Cursor:
        """Where to go on; at first with all that the server has said, which takes requests before this process runs.

        A server that was started anew may have lost the end of its account.
        """
        server = str(s3.ports_path(self._settings).stat().st_mtime_ns)  # written whenever it is started
        cursor = await self._ledger.cursor() or Cursor(at_ns=int(server), server=server)
        self._look_since_s = cursor.look_since_s
        if cursor.server != server:
            self._look_since_s = cursor.look_since_s or cursor.at_ns // 10**9 - _OVERLAP_S
        cursor = Cursor(at_ns=cursor.at_ns, server=server, look_since_s=self._look_since_s)
        await self._ledger.advance(cursor)
        return cursor

    async def _tell_all(self, cursor: Cursor) -> None:
        server = s3.find(self._settings)
        assert server is not None, "the supervisor starts the server first"
        written = self._listened = time.monotonic()
        self._heard = None
        async for told in follow(server.filer, cursor.at_ns):
            self._heard = time.monotonic()
            here = Cursor(at_ns=told.ts_ns, server=cursor.server, look_since_s=self._look_since_s)
            for change in changes(told):
                if await self._teller.heard(change, here):
                    written = time.monotonic()
            if time.monotonic() - written > _ADVANCE_EVERY_S:
                await self._ledger.advance(here)
                written = time.monotonic()

    async def _look_back(self) -> None:
        """Once what the server remembers has been told: look for what it does not, until that has worked."""
        while self._look_since_s:
            await self._caught_up()
            try:
                await self._reconciler.look_into_buckets(self._look_since_s, time.time())
                self._look_since_s = 0
            except SamovarError as error:
                _log.warning("buckets could not be looked into: %s", error)

    async def _caught_up(self) -> None:
        """Return when the server has told what it remembers, or goes on telling without an end.

        Before somebody listens to it, its being silent says nothing.
        """
        if self._settings.s3_url:
            return
        began = time.monotonic()
        is_quiet = self._is_quiet()
        while not is_quiet and time.monotonic() - began < _CATCHES_UP_WITHIN_S:
            await asyncio.sleep(_QUIET_S / 4)
            is_quiet = self._is_quiet()

    def _is_quiet(self) -> bool:
        heard, listened = self._heard, self._listened
        if listened is None:
            return False
        now = time.monotonic()
        return now - (heard or listened) >= (_QUIET_S if heard else _FIRST_WORD_S)

    async def look(self) -> None:
        """Look into what requests were about to do and nobody was heard of."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self._caught_up()
            try:
                await self._reconciler.look_into_intents(time.time())
            except SamovarError as error:
                _log.warning("objects could not be looked into: %s", error)

    async def get_to_know(self) -> None:
        """Know what there is in buckets from soon after somebody wants to be told when objects are removed."""
        while True:
            try:
                async with aclosing(self._rules.changes()) as changes:
                    async for _ in changes:
                        await self._reconciler.get_to_know(time.time())
            except SamovarError as error:
                _log.warning("buckets could not be looked into: %s", error)
            await asyncio.sleep(_FIRST_PAUSE_S)

    async def hear(self) -> None:
        """Tell at once what gateways have had an S3 of somebody else's do."""
        while True:
            try:
                intent = await self._intents.next_happened()
                if intent is not None:
                    await self._reconciler.look_into(intent, time.time())
            except SamovarError as error:
                _log.warning("objects could not be looked into: %s", error)
                await asyncio.sleep(_LAST_PAUSE_S)

    async def prune(self) -> None:
        """Keep the server's log short. Not at once: whoever starts has other things to do."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await forget_old_changes(self._settings)
            except (SamovarError, OSError) as error:
                _log.warning("%s", error)

    def folders(self) -> Iterator[Coroutine[Any, Any, None]]:
        """Have folders be buckets."""
        if self._settings.upload_folders:
            from gateway.uploads.folders import Folder, parsed  # its library is loaded where there are folders

            for bucket, path in parsed(self._settings.upload_folders).items():
                yield Folder(self._objects, bucket, path).watch()

    async def list(self) -> None:
        """Look at all objects of buckets with rules, again and again, where the server says nothing."""
        while True:
            began = time.time()
            try:
                cursor = await self._ledger.cursor() or Cursor(at_ns=time.time_ns())
                await self._reconciler.look_into_buckets(cursor.at_ns // 10**9 - _OVERLAP_S, began)
                await self._ledger.advance(Cursor(at_ns=int(began * 1e9)))
            except SamovarError as error:
                _log.warning("buckets could not be looked into: %s", error)
            await asyncio.sleep(LIST_EVERY_S)


async def watch(settings: Settings, stop: asyncio.Event) -> None:
    """Follow until `stop` is set."""
    async with opened(settings) as watcher:
        following = [watcher.list(), watcher.hear()] if settings.s3_url else [watcher.follow(), watcher.prune()]
        jobs = [*following, watcher.look(), watcher.get_to_know(), *watcher.folders()]
        tasks = [asyncio.create_task(job) for job in jobs]
        waiting = asyncio.create_task(stop.wait())
        await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in (waiting, *tasks):
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Watcher]:
    """Open everything, in order, and close it in reverse."""
    async with AsyncExitStack() as stack:
        client = connect(settings.store_url)
        stack.push_async_callback(client.aclose)
        registry = await stack.enter_async_context(Registry(Store(client, settings.account, settings.region)))
        waking = await stack.enter_async_context(Waking(settings, client, SystemClock()))
        doorbell = Doorbell(partial(publisher, settings), waking.ring)
        stack.push_async_callback(asyncio.to_thread, doorbell.close)
        intake = Intake(client, doorbell.ring, settings.max_event_bytes)
        stack.push_async_callback(intake.close)
        objects = Objects(settings)
        stack.push_async_callback(objects.close)
        queues = Queues(client, SystemClock(), settings.account)
        inventory = stack.enter_context(Inventory(path_of(settings)))
        teller = Teller(Ledger(client), inventory, registry, intake, queues)
        yield Watcher(settings, objects, client, teller, inventory)
