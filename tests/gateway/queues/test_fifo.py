"""FIFO queues: order within groups, groups that wait for their first message, deduplication."""

from __future__ import annotations

import msgspec
import pytest

from gateway.queues.errors import InvalidParameter, MissingParameter
from gateway.queues.message import Outgoing
from gateway.queues.names import QueueArn
from gateway.queues.queues import Queues, Wanted
from samovar.clock import ManualClock
from tests.gateway.queues.queueing import ACCOUNT, REGION, bodies, receive, send


async def test_a_group_waits_for_its_messages_in_flight(queues: Queues, ledger: str, clock: ManualClock) -> None:
    await send(queues, ledger, "a1", "a2", group="a")
    await send(queues, ledger, "b1", group="b")
    await send(queues, ledger, "a3", group="a")
    first = await receive(queues, ledger, most=2)
    assert bodies(first) == ["a1", "a2"]
    assert bodies(await receive(queues, ledger)) == ["b1"]
    assert await receive(queues, ledger) == []
    await queues.delete(ledger, first[0].handle)
    assert await receive(queues, ledger) == [], "a2 is in flight"
    await queues.delete(ledger, first[1].handle)
    assert bodies(await receive(queues, ledger)) == ["a3"]


async def test_a_message_that_comes_back_comes_before_those_behind_it(
    queues: Queues, ledger: str, clock: ManualClock
) -> None:
    await send(queues, ledger, "1", "2", "3", group="a")
    one, two, three = await receive(queues, ledger)
    await queues.change_visibility(ledger, two.handle, 0)
    assert await receive(queues, ledger) == [], "1 is in flight"
    await queues.change_visibility(ledger, one.handle, 0)
    assert bodies(await receive(queues, ledger)) == ["1", "2"], "3 is in flight"
    await queues.change_visibility(ledger, three.handle, 100)
    clock.advance(31)
    assert bodies(await receive(queues, ledger)) == ["1", "2"]
    clock.advance(70)
    assert bodies(await receive(queues, ledger)) == ["1", "2", "3"]


async def test_groups_take_turns(queues: Queues, ledger: str) -> None:
    for group in "abc":
        await send(queues, ledger, f"{group}1", f"{group}2", f"{group}3", group=group)
    seen = []
    for _ in range(5):
        received = await receive(queues, ledger, most=2)
        seen.append("".join(bodies(received)))
        for one in received:
            await queues.delete(ledger, one.handle)
    assert seen == ["a1a2", "b1b2", "c1c2", "a3b3", "c3"]


async def test_an_expired_handle_is_refused(queues: Queues, ledger: str, clock: ManualClock) -> None:
    await send(queues, ledger, "1", group="a")
    [received] = await receive(queues, ledger, visibility_s=1)
    clock.advance(1.1)
    for attempt in (queues.delete(ledger, received.handle), queues.change_visibility(ledger, received.handle, 9)):
        with pytest.raises(InvalidParameter, match="The receipt handle has expired"):
            await attempt
    [again] = await receive(queues, ledger)
    with pytest.raises(InvalidParameter, match="The receipt handle has expired"):
        await queues.delete(ledger, received.handle)
    await queues.delete(ledger, again.handle)
    await queues.delete(ledger, again.handle)


async def test_duplicates_are_stored_once_and_told_of_the_first(queues: Queues, ledger: str) -> None:
    first, second, other = await send(queues, ledger, "same", "same", "other", group="a")
    assert (first.message_id, first.sequence) == (second.message_id, second.sequence)
    assert first.sequence is not None
    assert other.sequence is not None
    assert len(first.sequence) == 20
    assert first.sequence < other.sequence
    explicit = Outgoing(body="same", group="a", deduplication_id="mine")
    assert (await queues.send(ledger, explicit)).message_id != first.message_id
    changed = Outgoing(body="changed", group="b", deduplication_id="mine")
    assert (await queues.send(ledger, changed)).message_id not in (first.message_id, other.message_id)
    received = await receive(queues, ledger)
    assert bodies(received) == ["same", "other", "same"]
    for one in received:
        await queues.delete(ledger, one.handle)
    await send(queues, ledger, "same", group="a")
    assert await receive(queues, ledger) == [], "duplicates of deleted messages are duplicates"
    await queues.purge(ledger)
    await send(queues, ledger, "same", group="a")
    assert bodies(await receive(queues, ledger)) == ["same"]


async def test_groups_may_have_duplicates_of_their_own(queues: Queues, ledger: str) -> None:
    await queues.set_attributes(
        ledger, {"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
    )
    for group in "aab":
        await send(queues, ledger, "same", group=group)
    assert len(await receive(queues, ledger)) == 2


async def test_what_fifo_queues_need(queues: Queues, ledger: str) -> None:
    with pytest.raises(MissingParameter, match="MessageGroupId"):
        await send(queues, ledger, "1")
    with pytest.raises(InvalidParameter, match="not valid for this queue type"):
        await queues.send(ledger, Outgoing(body="1", group="a", delay_s=2))
    await queues.set_attributes(ledger, {"ContentBasedDeduplication": "false"})
    with pytest.raises(InvalidParameter, match="ContentBasedDeduplication enabled or MessageDeduplicationId"):
        await send(queues, ledger, "1", group="a")
    await queues.send(ledger, Outgoing(body="1", group="a", deduplication_id="1", delay_s=0))


async def test_a_delay_is_the_queues_and_keeps_the_order(queues: Queues, ledger: str, clock: ManualClock) -> None:
    await queues.set_attributes(ledger, {"DelaySeconds": "10"})
    await send(queues, ledger, "1", group="a")
    await queues.set_attributes(ledger, {"DelaySeconds": "0"})
    await send(queues, ledger, "2", group="a")
    assert await receive(queues, ledger) == []
    clock.advance(10)
    assert bodies(await receive(queues, ledger)) == ["1", "2"]


async def test_a_lost_answer_is_given_again(queues: Queues, ledger: str, clock: ManualClock) -> None:
    await send(queues, ledger, "1", "2", group="a")
    wanted = Wanted(10, wait_s=0, attempt_id="once")
    first = await queues.receive(ledger, wanted)
    clock.advance(20)
    again = await queues.receive(ledger, wanted)
    assert [one.handle for one in again] == [one.handle for one in first]
    assert [one.receives for one in again] == [1, 1]
    clock.advance(20)
    assert await receive(queues, ledger) == [], "their time in flight has begun anew"
    await queues.delete(ledger, again[0].handle)
    assert await queues.receive(ledger, wanted) == [], "something happened to them since"


async def test_undeliverable_messages_of_a_group_make_way(queues: Queues, ledger: str, clock: ManualClock) -> None:
    dead = (await queues.create(QueueArn(REGION, ACCOUNT, "dead.fifo"), {"FifoQueue": "true"})).arn
    policy = {"deadLetterTargetArn": dead, "maxReceiveCount": 1}
    await queues.set_attributes(ledger, {"RedrivePolicy": msgspec.json.encode(policy).decode()})
    await send(queues, ledger, "poison", "fine", group="a")
    [poison] = await receive(queues, ledger, most=1, visibility_s=1)
    clock.advance(2)
    assert bodies(await receive(queues, ledger)) == ["fine"]
    [buried] = await receive(queues, dead)
    assert (buried.message.body, buried.message.group) == ("poison", "a")
    assert buried.sent_ms == poison.sent_ms + 2000, "FIFO queues count the time anew"


async def test_old_messages_make_way(queues: Queues, ledger: str, clock: ManualClock) -> None:
    await queues.set_attributes(ledger, {"MessageRetentionPeriod": "60"})
    await send(queues, ledger, "old", group="a")
    clock.advance(59)
    await send(queues, ledger, "young", group="a")
    clock.advance(1.5)
    assert bodies(await receive(queues, ledger)) == ["young"]
    assert (await queues.counts(ledger))[:3] == (0, 1, 0)


async def test_names_of_groups_that_begin_alike_are_different_groups(queues: Queues, ledger: str) -> None:
    for group in ("a", "aa", "a!", "A"):
        await send(queues, ledger, f"{group}:1", f"{group}:2", group=group)
    seen: list[str] = []
    for _ in range(4):
        received = await receive(queues, ledger, most=2)
        assert len({one.message.group for one in received}) == 1
        seen += bodies(received)
    assert sorted(seen) == sorted(f"{group}:{number}" for group in ("a", "aa", "a!", "A") for number in (1, 2))
