"""Functions as pollers see them, and waiting for what pollers do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from gateway.pollers.poller import Called
from gateway.pollers.spent import GivenUp
from samovar.errors import ServiceUnavailable

PATIENCE_S = 60.0

Handler = Callable[[list[dict[str, Any]]], Awaitable[object]]


class Function:
    """A function of a mapping, as far as pollers see one: `handler` answers for each batch."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.batches: list[list[dict[str, Any]]] = []
        self.blocked: str | None = None

    async def __call__(self, event: bytes, traces: Sequence[str]) -> Called:
        records = json.loads(event)["Records"]
        self.batches.append(records)
        try:
            answer = await self.handler(records)
        except ZeroDivisionError:
            return Called(True, b'{"errorMessage": "division by zero"}')
        return Called(False, json.dumps(answer).encode())

    async def obstacle(self) -> str | None:
        return self.blocked

    def seen_of(self, member: str) -> list[Any]:
        """A member of all records so far."""
        return [record[member] for batch in self.batches for record in batch]

    @property
    def seen(self) -> list[str]:
        """The entries of streams so far."""
        return [data["n"] for data in self.seen_of("data")]


class Nobody:
    """Is told of records that are given up, and does nothing about it."""

    def __init__(self) -> None:
        self.told: list[GivenUp] = []
        self.asked = 0
        self.away = False

    async def tell(self, records: Sequence[GivenUp]) -> None:
        """As `Tells`."""
        self.asked += 1
        if self.away:
            raise ServiceUnavailable("away")
        self.told += records


def failing(*identifiers: str) -> dict[str, Any]:
    """The answer of a function that could not process these."""
    return {"batchItemFailures": [{"itemIdentifier": one} for one in identifiers]}


async def succeed(records: list[dict[str, Any]]) -> object:
    return None


async def until(condition: Callable[[], object]) -> None:
    async def holds() -> object:
        return condition()

    await eventually(holds)


async def eventually(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.01)
