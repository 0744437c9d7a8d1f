"""Messages of standard queues: sent, received, deleted, delayed, too old, undeliverable."""

from __future__ import annotations

import msgspec
import pytest

from gateway.queues.errors import InvalidParameter, OverLimit, QueueDoesNotExist, ReceiptHandleIsInvalid
from gateway.queues.message import Outgoing
from gateway.queues.names import QueueArn
from gateway.queues.queues import Queues, Wanted
from gateway.queues.tasks import sweep
from samovar.clock import ManualClock
from tests.gateway.queues.queueing import ACCOUNT, REGION, bodies, receive, send


async def test_a_message_is_in_flight_until_it_is_deleted_or_comes_back(
    queues: Queues, orders: str, clock: ManualClock
) -> None:
    [sent] = await send(queues, orders, "tea")
    [first] = await receive(queues, orders)
    assert (first.message.body, first.message_id, first.receives) == ("tea", sent.message_id, 1)
    assert await receive(queues, orders) == []
    clock.advance(29.9)
    assert await receive(queues, orders) == []
    clock.advance(0.2)
    [second] = await receive(queues, orders)
    assert (second.receives, second.first_received_ms) == (2, first.first_received_ms)
    await queues.delete(orders, first.handle)
    assert (await queues.counts(orders)).in_flight == 1, "the first handle has been replaced"
    await queues.delete(orders, second.handle)
    await queues.delete(orders, second.handle)
    clock.advance(100)
    assert await receive(queues, orders) == []
    assert (await queues.counts(orders))[:4] == (0, 0, 0, None)


async def test_messages_come_in_the_order_they_became_visible(queues: Queues, orders: str, clock: ManualClock) -> None:
    await send(queues, orders, "a", "b", "c")
    [first] = await receive(queues, orders, most=1)
    await queues.change_visibility(orders, first.handle, 0)
    assert bodies(await receive(queues, orders, most=2)) == ["b", "c"]
    assert bodies(await receive(queues, orders)) == ["a"]


async def test_a_late_handle_still_deletes_what_nobody_received_again(
    queues: Queues, orders: str, clock: ManualClock
) -> None:
    await send(queues, orders, "tea")
    [received] = await receive(queues, orders, visibility_s=1)
    clock.advance(2)
    assert (await queues.counts(orders)).visible == 1
    await queues.delete(orders, received.handle)
    assert (await queues.counts(orders)).visible == 0


async def test_visibility_can_be_changed_up_to_twelve_hours_from_the_receive(
    queues: Queues, orders: str, clock: ManualClock
) -> None:
    await send(queues, orders, "tea")
    [received] = await receive(queues, orders)
    await queues.change_visibility(orders, received.handle, 3600)
    clock.advance(3500)
    assert await receive(queues, orders) == []
    with pytest.raises(InvalidParameter, match="beyond the limit"):
        await queues.change_visibility(orders, received.handle, 43_200)
    with pytest.raises(InvalidParameter, match="between 0 and 43200"):
        await queues.change_visibility(orders, received.handle, 43_201)
    await queues.change_visibility(orders, received.handle, 0)
    [again] = await receive(queues, orders)
    await queues.delete(orders, again.handle)
    with pytest.raises(InvalidParameter, match="Message does not exist or is not available"):
        await queues.change_visibility(orders, again.handle, 5)


async def test_delays_count_from_the_send(queues: Queues, orders: str, clock: ManualClock) -> None:
    await queues.set_attributes(orders, {"DelaySeconds": "10"})
    await queues.send(orders, Outgoing(body="as the queue has it"))
    await queues.send(orders, Outgoing(body="at once", delay_s=0))
    await queues.send(orders, Outgoing(body="late", delay_s=900))
    assert (await queues.counts(orders))[:3] == (1, 0, 2)
    assert bodies(await receive(queues, orders)) == ["at once"]
    clock.advance(10)
    assert bodies(await receive(queues, orders)) == ["as the queue has it"]
    clock.advance(890)
    assert set(bodies(await receive(queues, orders))) == {"as the queue has it", "at once", "late"}
    assert (await queues.counts(orders)).delayed == 0


async def test_messages_are_forgotten_when_they_are_too_old(queues: Queues, orders: str, clock: ManualClock) -> None:
    await queues.set_attributes(orders, {"MessageRetentionPeriod": "60", "VisibilityTimeout": "100"})
    await send(queues, orders, "in flight", "waiting")
    await queues.send(orders, Outgoing(body="delayed", delay_s=50))
    [received] = await receive(queues, orders, most=1)
    clock.advance(59.9)
    await send(queues, orders, "young")
    assert (await queues.counts(orders))[:3] == (3, 1, 0)
    clock.advance(0.2)
    assert (await queues.counts(orders))[:3] == (1, 0, 0)
    assert bodies(await receive(queues, orders)) == ["young"]
    await queues.delete(orders, received.handle)


async def test_a_clock_that_is_set_back_hides_nothing_that_is_visible(
    queues: Queues, orders: str, clock: ManualClock
) -> None:
    await send(queues, orders, "before")
    clock.advance(-3600)
    await send(queues, orders, "after")
    assert bodies(await receive(queues, orders)) == ["before", "after"]
    assert (await queues.counts(orders)).in_flight == 2


async def test_what_is_received_too_often_goes_to_the_dead_letter_queue(
    queues: Queues, orders: str, clock: ManualClock
) -> None:
    dead = (await queues.create(QueueArn(REGION, ACCOUNT, "dead"))).arn
    policy = {"deadLetterTargetArn": dead, "maxReceiveCount": "2"}
    await queues.set_attributes(orders, {"RedrivePolicy": msgspec.json.encode(policy).decode()})
    [sent] = await send(queues, orders, "poison")
    for receives in (1, 2):
        [received] = await receive(queues, orders, visibility_s=0)
        assert received.receives == receives
    clock.advance(5)
    assert await receive(queues, orders) == []
    [buried] = await receive(queues, dead)
    assert (buried.message.body, buried.message_id, buried.receives) == ("poison", sent.message_id, 3)
    assert buried.first_received_ms == received.first_received_ms
    assert buried.dead_letter_source == orders
    assert buried.sent_ms == received.sent_ms
    assert (await queues.counts(orders))[:3] == (0, 0, 0)


async def test_receives_elsewhere_do_not_count_towards_the_next_dead_letter_queue(queues: Queues, orders: str) -> None:
    last = (await queues.create(QueueArn(REGION, ACCOUNT, "last"))).arn
    dead = (await queues.create(QueueArn(REGION, ACCOUNT, "dead"))).arn
    for queue, target in ((orders, dead), (dead, last)):
        policy = {"deadLetterTargetArn": target, "maxReceiveCount": 2}
        await queues.set_attributes(queue, {"RedrivePolicy": msgspec.json.encode(policy).decode()})
    await send(queues, orders, "poison")
    told = []
    for queue in (orders, orders, orders, dead, dead, dead, last):
        told += [one.receives for one in await receive(queues, queue, visibility_s=0)]
    assert told == [1, 2, 3, 4, 5]  # the third at either queue moves it


async def test_a_queue_that_is_its_own_dead_letter_queue_keeps_its_messages(queues: Queues, orders: str) -> None:
    policy = {"deadLetterTargetArn": orders, "maxReceiveCount": 1}
    await queues.set_attributes(orders, {"RedrivePolicy": msgspec.json.encode(policy).decode()})
    await send(queues, orders, "tea")
    assert [(await receive(queues, orders, visibility_s=0))[0].receives for _ in range(3)] == [1, 2, 3]


async def test_standard_queues_take_an_older_handle_to_change_visibility(queues: Queues, orders: str) -> None:
    await send(queues, orders, "tea")
    [first] = await receive(queues, orders, visibility_s=0)
    await receive(queues, orders, visibility_s=300)
    assert await receive(queues, orders) == []
    await queues.change_visibility(orders, first.handle, 0)
    assert bodies(await receive(queues, orders)) == ["tea"]


async def test_without_its_dead_letter_queue_a_message_is_kept(queues: Queues, orders: str) -> None:
    dead = (await queues.create(QueueArn(REGION, ACCOUNT, "dead"))).arn
    policy = {"deadLetterTargetArn": dead, "maxReceiveCount": 1}
    await queues.set_attributes(orders, {"RedrivePolicy": msgspec.json.encode(policy).decode()})
    await queues.delete_queue(dead)
    await send(queues, orders, "poison")
    for receives in (1, 2, 3):
        [received] = await receive(queues, orders, visibility_s=0)
        assert received.receives == receives


async def test_too_many_in_flight_are_refused(queues: Queues, orders: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.queues.queues.IN_FLIGHT", 3)
    await send(queues, orders, *"abcde")
    assert bodies(await receive(queues, orders)) == ["a", "b", "c"]
    with pytest.raises(OverLimit):
        await receive(queues, orders)


async def test_handles_of_other_queues_and_of_nobody_are_refused(queues: Queues, orders: str) -> None:
    other = (await queues.create(QueueArn(REGION, ACCOUNT, "other"))).arn
    await send(queues, orders, "tea")
    [received] = await receive(queues, orders)
    for handle in ("garbage", "", "ä", received.handle[:-4], received.handle[4:]):
        with pytest.raises(ReceiptHandleIsInvalid, match="is not a valid receipt handle"):
            await queues.delete(orders, handle)
    with pytest.raises(ReceiptHandleIsInvalid):
        await queues.delete(other, received.handle)
    refused, fine = await queues.delete_batch(orders, ["garbage", received.handle])
    assert isinstance(refused, ReceiptHandleIsInvalid)
    assert fine is None


async def test_a_purge_leaves_nothing_and_old_handles_harmless(
    queues: Queues, orders: str, clock: ManualClock, client: object
) -> None:
    await send(queues, orders, "a", "b")
    await queues.send(orders, Outgoing(body="c", delay_s=5))
    received = await receive(queues, orders, most=1)
    await queues.purge(orders)
    assert (await queues.counts(orders))[:4] == (0, 0, 0, None)
    await send(queues, orders, "d")
    await queues.delete(orders, received[0].handle)
    assert bodies(await receive(queues, orders)) == ["d"]
    clock.advance(59)
    with pytest.raises(QueueDoesNotExist):
        await queues.purge(orders + "x")


async def test_another_process_sees_changes_at_once(queues: Queues, orders: str, clock: ManualClock) -> None:
    async with Queues(queues.client, clock, ACCOUNT) as others:
        await send(others, orders, "before")
        await queues.set_attributes(orders, {"DelaySeconds": "7"})
        await send(others, orders, "after")
        assert (await others.counts(orders)).delayed == 1
        await queues.purge(orders)
        assert await receive(others, orders) == []
        await queues.delete_queue(orders)
        with pytest.raises(QueueDoesNotExist):
            await send(others, orders, "to nobody")
        with pytest.raises(QueueDoesNotExist):
            await others.receive(orders, Wanted(wait_s=0))


async def test_a_deleted_queue_leaves_no_keys(queues: Queues, orders: str, ledger: str) -> None:
    for arn, group in ((orders, None), (ledger, "g")):
        await send(queues, arn, "a", "b", "c", group=group)
        [received] = await receive(queues, arn, most=1)
        await queues.delete(arn, received.handle)
        await queues.delete_queue(arn)
    keys = [key async for key in queues.client.scan_iter()]
    assert not [key for key in keys if b":duplicate:" not in key], "ids for deduplication end by themselves"


async def test_the_sweep_forgets_what_is_too_old_where_nobody_looks(
    queues: Queues, orders: str, ledger: str, clock: ManualClock
) -> None:
    for arn, group in ((orders, None), (ledger, "g")):
        await queues.set_attributes(arn, {"MessageRetentionPeriod": "60"})
        await queues.send_batch(arn, [Outgoing(body=str(number), group=group) for number in range(1500)])
    clock.advance(61)
    assert await sweep(queues) == 2
    keys = [key async for key in queues.client.scan_iter(match="samovar:messages:*")]
    assert not [key for key in keys if not key.endswith(b":counter") and b":duplicate:" not in key]
