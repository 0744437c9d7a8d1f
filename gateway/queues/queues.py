"""The queues of an account, for whoever is in this process: SQS's API, the pollers, destinations.

Nothing here knows HTTP. Queues are named by their ARNs. Every method raises `ServiceUnavailable` when Redis is away,
and `QueueDoesNotExist`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import redis.asyncio
from redis.exceptions import RedisError

from gateway.queues import translate
from gateway.queues.arrivals import Arrivals
from gateway.queues.errors import OverLimit, SqsError
from gateway.queues.message import Outgoing, Received, Sent
from gateway.queues.queue import Queue
from gateway.queues.receipts import KEY_BYTES, Receipt, mark_of
from gateway.queues.records import Records
from gateway.queues.sending import Outcome, Posting, Sending
from gateway.queues.store import RECORD
from samovar.clock import Clock
from samovar.errors import SamovarError
from samovar.names import new_request_id

_log = logging.getLogger(__name__)

IN_FLIGHT: Final = 120_000
"""AWS's API model, ReceiveMessage: of standard queues and of FIFO queues."""


class Wanted(NamedTuple):
    """What a receive asks for; `None` takes what the queue has."""

    most: int = 1
    visibility_s: int | None = None
    wait_s: float | None = None
    attempt_id: str = ""
    """FIFO: the same messages again, for somebody who lost the answer."""


class Queues(Records):
    """An async context manager; outside it nobody can wait for messages."""

    def __init__(self, client: redis.asyncio.Redis, clock: Clock, account: str) -> None:
        super().__init__(client, clock)
        self.account = account
        self._arrivals = Arrivals(client, clock)
        self._sending = Sending(self._store)
        self._returning: set[asyncio.Task[None]] = set()
        """What was received for those who had gone by then."""

    async def __aenter__(self) -> Self:
        await self._arrivals.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._arrivals.__aexit__(kind, error, trace)
        await asyncio.gather(*self._returning, return_exceptions=True)

    @property
    def waiting(self) -> int:
        """How many wait for messages now."""
        return self._arrivals.sleeping

    def end_waiting(self) -> None:
        """Answer those who wait for messages, and let nobody wait any more: the process is about to end."""
        self._arrivals.end()

    async def send(self, arn: str, message: Outgoing, sender: str | None = None) -> Sent:
        """Put a message into a queue. Raises what `message.check` raises."""
        [sent] = await self.send_batch(arn, [message], sender)
        if isinstance(sent, SqsError):
            raise sent
        return sent

    async def send_batch(self, arn: str, batch: Sequence[Outgoing], sender: str | None = None) -> list[Sent | SqsError]:
        """Put messages into a queue, in their order; for each what became of it."""
        return await self._sending.send(arn, [(message, sender or self.account) for message in batch])

    async def _store(self, arn: str, postings: Sequence[Posting]) -> list[Outcome]:
        refusals: list[SqsError | None] = []

        def arguments(queue: Queue) -> list[Any]:
            refusals[:] = [translate.refusal(message, queue) for message, _ in postings]
            return [
                part
                for (message, sender), refused in zip(postings, refusals, strict=True)
                if refused is None
                for part in translate.sending(message, queue, sender)
            ]

        queue, answer = await self.on_queue(arn, "SEND", arguments)
        stored = iter(answer)
        return [
            refused or translate.sent(message, next(stored), next(stored), queue)
            for (message, _), refused in zip(postings, refusals, strict=True)
        ]

    async def receive(self, arn: str, wanted: Wanted = Wanted()) -> list[Received]:  # noqa: B008 - it is immutable
        """Messages to work on, at once or as soon as there are some; none when the time to wait is over.

        Raises `OverLimit` when too many are in flight, `RequestThrottled` when too many wait.
        """
        queue, found, due = await self._take_whole(arn, wanted)
        wait = queue.rules.wait_s if wanted.wait_s is None else wanted.wait_s
        deadline = self._clock.monotonic() + wait
        while not found and wait > 0 and not self._arrivals.ended and self._clock.monotonic() < deadline:
            async with self._arrivals.line(queue.uid) as line:
                uid = queue.uid
                while not self._arrivals.ended:
                    heard = line.heard
                    queue, found, due = await self._take_whole(arn, wanted)
                    if due is not None:
                        line.expect(due)
                    left = deadline - self._clock.monotonic()
                    if found or left <= 0 or queue.uid != uid:
                        break
                    await line.sleep(left, heard)
                if found:
                    line.wake(1)  # there may be more
        return found

    async def delete(self, arn: str, handle: str) -> None:
        """Delete a message that was received. Raises `ReceiptHandleIsInvalid`, and `InvalidParameter` for FIFO queues
        whose handle has expired."""
        [refused] = await self.delete_batch(arn, [handle])
        if refused is not None:
            raise refused

    async def delete_batch(self, arn: str, handles: Sequence[str]) -> list[SqsError | None]:
        """Delete messages that were received; for each handle the error, if there is one."""
        return await self._with_handles(arn, "DELETE", [(handle, None) for handle in handles])

    async def change_visibility(self, arn: str, handle: str, seconds: int) -> None:
        """Have a message come back after so many seconds from now. Raises as `delete` does."""
        [refused] = await self.change_visibility_batch(arn, [(handle, seconds)])
        if refused is not None:
            raise refused

    async def change_visibility_batch(self, arn: str, changes: Sequence[tuple[str, int]]) -> list[SqsError | None]:
        """Have messages come back after so many seconds from now; for each handle the error, if there is one."""
        refused = [translate.bad_visibility(seconds) for _, seconds in changes]
        fine = [change for change, bad in zip(changes, refused, strict=True) if bad is None]
        done = iter(await self._with_handles(arn, "CHANGE", fine) if fine else [])
        return [bad or next(done) for bad in refused]

    async def move(self, source: str, target: str | None, most: int) -> tuple[int, str | None]:
        """Move messages from a dead-letter queue to another queue, or back to where each came from.

        Returns how many, and the ARN of a queue that is missing, which may be empty for a message that came from none.
        """

        def arguments(queue: Queue) -> list[Any]:
            to = "" if target is None else RECORD + target
            return [most, queue.rules.retention_ms, to, RECORD, *(new_request_id() for _ in range(most))]

        _, (count, missing) = await self.on_queue(source, "MOVE", arguments)
        return count, missing.decode().removeprefix(RECORD) if missing else None

    async def _take_whole(self, arn: str, wanted: Wanted) -> tuple[Queue, list[Received], int | None]:
        """`_take`; if its caller is cancelled meanwhile, what was received goes back into the queue."""
        taking = asyncio.ensure_future(self._take(arn, wanted))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            returning = asyncio.create_task(self._return(arn, taking))
            self._returning.add(returning)
            returning.add_done_callback(self._returning.discard)
            await asyncio.shield(returning)
            raise

    async def _return(self, arn: str, taking: asyncio.Future[tuple[Queue, list[Received], int | None]]) -> None:
        try:
            _, found, _ = await taking
            await self.change_visibility_batch(arn, [(one.handle, 0) for one in found])
        except (SamovarError, RedisError) as error:
            _log.info("messages of %s come back when their visibility timeout is over: %s", arn, error)

    async def _take(self, arn: str, wanted: Wanted) -> tuple[Queue, list[Received], int | None]:
        """What can be received now, and when the next message becomes visible (epoch ms), if that is known."""

        def arguments(queue: Queue) -> list[Any]:
            rules = queue.rules
            visibility = rules.visibility_ms if wanted.visibility_s is None else wanted.visibility_s * 1000
            redrive = rules.redrive
            if redrive is None or str(redrive.target) == queue.arn:  # SQS takes a queue for its own; it stays there
                most_receives, dead = 0, ""
            else:
                most_receives, dead = redrive.max_receives, str(redrive.target)
            key = secrets.token_hex(KEY_BYTES // 2)
            return [
                *(wanted.most, visibility, rules.retention_ms, IN_FLIGHT),
                *(most_receives, f"{RECORD}{dead}", queue.arn, key, wanted.attempt_id),
            ]

        queue, (state, due, key, *parts) = await self.on_queue(arn, "RECEIVE", arguments)
        if state == b"full":
            if not queue.is_fifo:
                raise OverLimit(f"Too many messages in flight: a queue has at most {IN_FLIGHT}.")
            return queue, [], None
        return queue, translate.received(queue, key, parts), int(float(due)) if due else None

    async def _with_handles(
        self, arn: str, script: str, given: Sequence[tuple[str, int | None]]
    ) -> list[SqsError | None]:
        mark = mark_of(arn)
        receipts = [translate.receipt(handle, mark) for handle, _ in given]

        def arguments(queue: Queue) -> list[Any]:
            return [
                part
                for receipt, (_, seconds) in zip(receipts, given, strict=True)
                if isinstance(receipt, Receipt)
                for part in (receipt.id, receipt.key, *(() if seconds is None else (seconds * 1000,)))
            ]

        _, answer = await self.on_queue(arn, script, arguments)
        states = iter(answer)
        return [
            translate.verdict(next(states), handle, seconds) if isinstance(receipt, Receipt) else receipt
            for receipt, (handle, seconds) in zip(receipts, given, strict=True)
        ]
