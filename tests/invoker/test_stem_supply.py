"""Who gets which stem cell: one that is ready, one that is under way, or none."""

from __future__ import annotations

import asyncio
from typing import cast

from invoker.isolation.stem_cell import StemCell
from invoker.isolation.stem_supply import StemSupply
from tests.invoker.building import until


class Cell:
    """As much of a cell as a supply looks at."""

    runtime = "python3.11"


def new_cell() -> StemCell:
    return cast(StemCell, Cell())


class Nursery:
    """Makes a cell when it is told to, or fails to."""

    def __init__(self) -> None:
        self._orders: list[asyncio.Future[StemCell | None]] = []
        self.supply = StemSupply(self.start)
        self.told = 0

    async def start(self, runtime: str) -> StemCell | None:
        order: asyncio.Future[StemCell | None] = asyncio.get_running_loop().create_future()
        self._orders.append(order)
        return await order

    async def begin(self) -> None:
        before = len(self._orders)
        self.supply.make("python3.11", self._tell)
        await until(lambda: len(self._orders) > before)

    def end(self, cell: StemCell | None) -> None:
        self._orders.pop(0).set_result(cell)

    def _tell(self) -> None:
        self.told += 1

    async def made(self, cell: StemCell) -> None:
        await self.begin()
        self.end(cell)
        await until(lambda: self.supply.ready.total() > 0)

    def take(self) -> asyncio.Task[StemCell | None]:
        return asyncio.create_task(self.supply.take("python3.11"))


async def test_a_cell_that_is_ready_is_taken() -> None:
    nursery, cell = Nursery(), new_cell()
    await nursery.made(cell)
    assert nursery.supply.ready == {"python3.11": 1}
    assert await nursery.take() is cell
    assert nursery.supply.ready == {}
    assert nursery.told == 1


async def test_without_any_there_is_nothing_to_wait_for() -> None:
    assert await Nursery().take() is None


async def test_a_start_waits_for_the_cell_that_is_under_way_and_a_second_one_does_not() -> None:
    nursery, cell = Nursery(), new_cell()
    await nursery.begin()
    first = nursery.take()
    await asyncio.sleep(0)
    assert await nursery.take() is None
    nursery.end(cell)
    assert await first is cell
    assert nursery.supply.ready == {}


async def test_a_cell_that_could_not_be_made_keeps_nobody_waiting() -> None:
    nursery = Nursery()
    await nursery.begin()
    waiting = nursery.take()
    await asyncio.sleep(0)
    nursery.end(None)
    assert await waiting is None


async def test_of_two_that_wait_the_first_gets_the_only_cell() -> None:
    nursery, cell = Nursery(), new_cell()
    await nursery.begin()
    await nursery.begin()
    first = nursery.take()
    await asyncio.sleep(0)
    second = nursery.take()
    await asyncio.sleep(0)
    nursery.end(None)
    assert await second is None
    nursery.end(cell)
    assert await first is cell


async def test_a_start_that_is_given_up_leaves_its_cell_to_others() -> None:
    nursery, cell = Nursery(), new_cell()
    await nursery.begin()
    waiting = nursery.take()
    await asyncio.sleep(0)
    waiting.cancel()
    nursery.end(cell)
    await asyncio.wait([waiting])
    await until(lambda: nursery.supply.ready.total() == 1)
    assert await nursery.take() is cell


async def test_closing_gives_what_is_left_and_ends_what_is_under_way() -> None:
    nursery, cell = Nursery(), new_cell()
    await nursery.made(cell)
    await nursery.begin()
    assert await nursery.supply.close() == [cell]
    assert nursery.supply.making.total() == 0
