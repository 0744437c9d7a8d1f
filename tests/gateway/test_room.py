"""Room for large bodies: in order, within bounds, and never lost."""

from __future__ import annotations

import asyncio

import pytest

from gateway.http.room import Room
from samovar.errors import TooManyRequests


async def test_who_finds_room_does_not_wait() -> None:
    room = Room(10)
    assert [await room.take(4), await room.take(6)] == [4, 6]
    assert room.free == 0


async def test_what_is_larger_than_the_room_gets_all_of_it() -> None:
    room = Room(10)
    assert await room.take(11) == 10


async def test_room_is_given_in_the_order_in_which_it_was_asked_for() -> None:
    room, order = Room(10), list[int]()

    async def take(number: int, size: int) -> None:
        await room.take(size)
        order.append(number)

    await room.take(10)
    tasks = [asyncio.create_task(take(number, size)) for number, size in enumerate((8, 1, 5))]
    await asyncio.sleep(0)
    room.give(4)
    await asyncio.sleep(0)
    assert order == [], "small ones do not overtake a large one for ever"
    room.give(6)
    await asyncio.sleep(0.01)
    assert order == [0, 1]
    room.give(9)
    await asyncio.gather(*tasks)
    assert (order, room.free) == ([0, 1, 2], 5)


async def test_who_waits_for_too_long_is_told_and_leaves_no_trace() -> None:
    room = Room(10, patience_s=0.01)
    await room.take(6)
    with pytest.raises(TooManyRequests, match="other large requests"):
        await room.take(5)
    assert await room.take(4) == 4
    assert room.free == 0


async def test_who_goes_away_makes_way() -> None:
    room = Room(10)
    await room.take(6)
    first = asyncio.create_task(room.take(5))
    second = asyncio.create_task(room.take(4))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == 4
    assert first.cancelled()
    room.give(10)
    assert room.free == 10


async def test_who_goes_away_when_it_is_admitted_gives_its_room_back() -> None:
    room = Room(10)
    await room.take(10)
    waiting = asyncio.create_task(room.take(5))
    await asyncio.sleep(0)
    waiting.cancel()
    room.give(10)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert room.free == 10
