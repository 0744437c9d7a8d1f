"""The records of queues: made, read, changed and removed; and how a script is run on the queue a record stands for."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
import redis.asyncio

from gateway.functions.store import reaching_store
from gateway.queues import attributes, scripts
from gateway.queues.errors import PurgeInProgress, QueueDoesNotExist, QueueNameExists
from gateway.queues.names import QueueArn, check_name
from gateway.queues.queue import Queue
from gateway.queues.receipts import KEY_BYTES
from gateway.queues.store import RECORD, QueueStore
from samovar.clock import Clock
from samovar.errors import ServiceUnavailable

PURGE_PAUSE_S: Final = 60
_KNOWN: Final = 10_000
"""Records kept in memory."""
_TRIES: Final = 8
"""Each takes a queue that somebody changed in just that moment."""


class Counts(NamedTuple):
    """How many messages a queue has."""

    visible: int
    in_flight: int
    delayed: int
    oldest_ms: int | None
    """When the oldest was sent (epoch ms)."""
    complete: bool
    """Whether all that is too old has been forgotten; else there is more to forget than one script does."""


class Records:
    """Queues by their ARNs. Methods raise `ServiceUnavailable` when Redis is away, and `QueueDoesNotExist`."""

    def __init__(self, client: redis.asyncio.Redis, clock: Clock) -> None:
        self.client: Any = client
        self.store = QueueStore(client)
        self._clock = clock
        self._known: dict[str, Queue] = {}
        names = ("SEND", "RECEIVE", "DELETE", "CHANGE", "COUNT", "EMPTY", "MOVE")
        self._scripts: dict[str, Any] = {name: client.register_script(getattr(scripts, name)) for name in names}

    async def create(
        self, arn: QueueArn, given: Mapping[str, str] | None = None, tags: Mapping[str, str] | None = None
    ) -> Queue:
        """The queue, new or as it was. Raises `QueueNameExists` when it is there with other attributes.

        Raises also what `attributes.checked` and `check_name` raise.
        """
        fifo = (given or {}).get("FifoQueue", "").lower() == "true"
        check_name(arn.name, fifo=fifo)
        checked = attributes.checked(given or {}, fifo=fifo)
        await self._check_redrive(arn, checked)
        now = int(self._clock.epoch())
        made = Queue(
            arn=str(arn),
            uid=_random(),
            revision=_random(),
            created=now,
            modified=now,
            attributes=attributes.merged(attributes.defaults(fifo=fifo), checked),
            tags=dict(tags or {}),
        )
        for _ in range(_TRIES):
            current = await self.store.get(made.arn)
            if current is None and await self.store.put(None, made):
                return made
            if current is not None:
                return _same(current, checked)
        raise _busy(made.arn)

    async def get(self, arn: str) -> Queue:
        """The queue as it is now."""
        found = await self.store.get(arn)
        if found is None:
            self._known.pop(arn, None)
            raise QueueDoesNotExist
        return found

    async def known(self, arn: str) -> Queue:
        """The queue as it was when it was last used here; scripts find out when that is not true any more."""
        return self._known.get(arn) or self._remember(await self.get(arn))

    async def set_attributes(self, arn: str, given: Mapping[str, str]) -> None:
        """Change attributes. Raises what `attributes.checked` and `attributes.merged` raise."""
        name = (await self.get(arn)).name
        checked = attributes.checked(given, fifo=name.is_fifo)
        await self._check_redrive(name, checked)
        now = int(self._clock.epoch())
        await self.change(arn, lambda queue: queue.changed(_random(), now, checked))

    async def tag(self, arn: str, tags: Mapping[str, str], removed: Iterable[str] = ()) -> None:
        """Add tags, and take some off."""
        gone = set(removed)

        def tagged(queue: Queue) -> Queue:
            kept = {name: value for name, value in {**queue.tags, **tags}.items() if name not in gone}
            return msgspec.structs.replace(queue, revision=_random(), tags=kept)

        await self.change(arn, tagged)

    async def change(self, arn: str, change: Callable[[Queue], Queue]) -> None:
        """Write what `change` makes of the queue; it is called again if somebody else was faster."""
        for _ in range(_TRIES):
            current = await self.get(arn)
            if await self.store.put(current, change(current)):
                return
        raise _busy(arn)

    async def purge(self, arn: str) -> None:
        """Forget all messages. Raises `PurgeInProgress` within a minute of the last time."""
        now_ms = self._now_ms()
        for _ in range(_TRIES):
            queue = await self.get(arn)
            if 0 <= now_ms - queue.purged_ms < PURGE_PAUSE_S * 1000:
                raise PurgeInProgress(
                    f"Only one PurgeQueue operation on {queue.name.name} is allowed every {PURGE_PAUSE_S} seconds."
                )
            uid, revision = _random(), _random()
            emptied = msgspec.structs.replace(queue, uid=uid, revision=revision, purged_ms=now_ms)
            if await self._run("EMPTY", queue, [uid, revision, msgspec.json.encode(emptied)]) is not None:
                return
        raise _busy(arn)

    async def delete_queue(self, arn: str) -> None:
        """The queue and its messages are gone."""
        for _ in range(_TRIES):
            queue = await self.get(arn)
            if await self._run("EMPTY", queue, []) is not None:
                await self.store.unlist(queue)
                self._known.pop(arn, None)
                return
        raise _busy(arn)

    async def counts(self, arn: str) -> Counts:
        """How many messages there are."""
        _, found = await self.on_queue(arn, "COUNT", lambda queue: [queue.rules.retention_ms])
        every, flight, delayed, oldest, complete = found
        visible = every - flight - delayed
        return Counts(visible, flight, delayed, int(float(oldest)) if oldest else None, bool(complete))

    async def on_queue(self, arn: str, script: str, arguments: Callable[[Queue], list[Any]]) -> tuple[Queue, Any]:
        """Run a script on a queue whose record is known, which the script verifies, or read anew."""
        for _ in range(_TRIES):
            queue = await self.known(arn)
            answer = await self._run(script, queue, arguments(queue))
            if answer is not None:
                return queue, answer
        raise _busy(arn)

    async def _run(self, script: str, queue: Queue, arguments: list[Any]) -> Any:
        """The script's answer, or `None` when the record was not the one it has now."""
        head = [queue.uid, RECORD + queue.arn, queue.revision, self._now_ms(), int(queue.is_fifo)]
        async with reaching_store():
            answer = await self._scripts[script](args=head + arguments)
        if answer == b"stale":
            self._known.pop(queue.arn, None)
            return None
        return answer

    def _remember(self, queue: Queue) -> Queue:
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[queue.arn] = queue
        return queue

    def _now_ms(self) -> int:
        return int(self._clock.epoch() * 1000)

    async def _check_redrive(self, arn: QueueArn, given: Mapping[str, str]) -> None:
        redrive = attributes.redrive_of(given.get("RedrivePolicy", ""))
        if redrive is not None:
            target = await self.store.get(str(redrive.target))
            known = None if target is None else target.attributes
            attributes.check_redrive(arn, given["RedrivePolicy"], known)


def _same(current: Queue, given: Mapping[str, str]) -> Queue:
    name = attributes.differing(current.attributes, given)
    if name is not None:
        raise QueueNameExists(f"A queue already exists with the same name and a different value for attribute {name}")
    return current


def _random() -> str:
    return secrets.token_hex(KEY_BYTES // 2)


def _busy(arn: str) -> ServiceUnavailable:
    return ServiceUnavailable(f"{arn} is being changed by others all the time; try again.", retry_after=1.0)
