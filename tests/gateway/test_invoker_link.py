"""The link against a fake invoker on a real unix socket."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from gateway.link.invoker_link import Answer, Call, InvokerLink, LinkLimits
from samovar.errors import EnvironmentFailure, ResourceNotFound, ServiceFailure, ServiceUnavailable, TooManyRequests
from samovar.function import FunctionVersion, Limits
from samovar.invocation import AnswerHead, InvokeHead
from tests.gateway.fake_invoker import FakeInvoker, answering

VERSION = FunctionVersion(
    name="orders",
    account="123456789012",
    region="us-east-1",
    serial=7,
    revision_id="r",
    runtime="python3.11",
    handler="app.handler",
    code_sha256="0" * 64,
    limits=Limits(timeout_s=1),
)
SIX_MB = 6 * 1024 * 1024


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    return tmp_path / "invoker.sock"


async def call(link: InvokerLink, payload: bytes = b"{}", request_id: str = "id") -> Answer:
    return await link.invoke(VERSION, Call(request_id), payload)


async def test_an_invocation_carries_everything_about_the_call(socket: Path) -> None:
    async with FakeInvoker(socket) as invoker, InvokerLink(socket) as link:
        answer = await link.invoke(VERSION, Call("id-1", "http", True, "e30=", "Root=1"), b'{"a":1}')
    assert answer == Answer(AnswerHead(version="$LATEST"), b'{"a":1}')
    head, body = invoker.calls[0]
    arn = "arn:aws:lambda:us-east-1:123456789012:function:orders"
    assert head == InvokeHead("invoke", arn, "$LATEST", 7, "id-1", "http", True, "e30=", "Root=1", 7)
    assert body == b'{"a":1}'


async def test_calls_of_one_turn_travel_in_one_write(socket: Path) -> None:
    async with FakeInvoker(socket) as invoker, InvokerLink(socket) as link:
        await call(link)
        answers = await asyncio.gather(*(call(link, b"%d" % number) for number in range(50)))
    assert [answer.payload for answer in answers] == [b"%d" % number for number in range(50)]
    assert invoker.reads == [1, 50]


async def test_six_megabytes_go_both_ways_in_chunks(socket: Path) -> None:
    payload = bytes(range(256)) * (SIX_MB // 256)
    async with FakeInvoker(socket) as invoker, InvokerLink(socket) as link:
        answer = await call(link, payload)
    assert answer.payload == payload
    assert invoker.asked == 24


async def test_a_large_event_waits_until_it_is_asked_for_and_is_then_let_go_of(socket: Path) -> None:
    sent = asyncio.Event()
    async with FakeInvoker(socket, never) as invoker, InvokerLink(socket) as link:
        invoker.asks = False
        running = asyncio.create_task(link.invoke(VERSION, Call("id"), bytes(SIX_MB), sent.set))
        await invoker.until_changed()
        assert not sent.is_set()
        invoker.ask()
        async with asyncio.timeout(5):
            await sent.wait()
        await invoker.until_calls(1)
        running.cancel()
    assert [len(body) for _, body in invoker.calls] == [SIX_MB]


async def test_an_invoker_that_asks_for_more_than_there_is_is_hung_up_on(socket: Path) -> None:
    async with FakeInvoker(socket, never) as invoker, InvokerLink(socket) as link:
        invoker.asks = False
        running = asyncio.create_task(call(link, bytes(SIX_MB)))
        await invoker.until_changed()
        invoker.ask(more=1)
        with pytest.raises(EnvironmentFailure, match="The invoker was lost"):
            await running


async def test_a_small_call_is_answered_while_large_ones_are_under_way(socket: Path) -> None:
    finished: list[str] = []

    async def timed(link: InvokerLink, name: str, payload: bytes) -> None:
        answer = await call(link, payload)
        assert answer.payload == payload
        finished.append(name)

    async with FakeInvoker(socket), InvokerLink(socket) as link:
        await call(link)
        large = [timed(link, "large", b"x" * SIX_MB) for _ in range(4)]
        await asyncio.gather(*large, timed(link, "small", b"y"))
    assert finished[0] == "small"


async def test_an_unknown_version_is_declared_and_asked_for_again(socket: Path) -> None:
    async def run(head: InvokeHead, body: bytes) -> tuple[AnswerHead, bytes]:
        known = bool(invoker.operations)
        return AnswerHead() if known else AnswerHead(failure="UnknownVersion", message="?"), body

    async with FakeInvoker(socket, run) as invoker, InvokerLink(socket) as link:
        answer = await call(link, b"1")
    assert answer.payload == b"1"
    assert invoker.operations == [("declare", msgspec.json.encode(VERSION))]
    assert len(invoker.calls) == 2


async def test_a_version_that_stays_unknown_has_been_deleted(socket: Path) -> None:
    run = answering(b"", AnswerHead(failure="UnknownVersion", message="never heard of it"))
    async with FakeInvoker(socket, run) as invoker, InvokerLink(socket) as link:
        with pytest.raises(ResourceNotFound, match=r"^Function not found: arn:.*:orders:\$LATEST$"):
            await call(link)
    assert len(invoker.calls) == 2


async def test_platform_failures_are_raised_as_the_error_they_name(socket: Path) -> None:
    head = AnswerHead(failure="TooManyRequests", message="Rate Exceeded.", retry_after=2.5, reason="Because")
    async with FakeInvoker(socket, answering(b"", head)), InvokerLink(socket) as link:
        with pytest.raises(TooManyRequests) as caught:
            await call(link)
    assert (caught.value.message, caught.value.retry_after, caught.value.reason) == ("Rate Exceeded.", 2.5, "Because")


async def test_operations_return_their_body_and_raise_their_failure(socket: Path) -> None:
    async with FakeInvoker(socket), InvokerLink(socket) as link:
        assert await link.operation("status", b'{"pid":1}') == b'{"pid":1}'
        with pytest.raises(ServiceFailure, match="no operation 'dance'"):
            await link.operation("dance")


async def never(head: InvokeHead, body: bytes) -> tuple[AnswerHead, bytes]:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def test_a_call_waits_for_an_invoker_that_is_being_restarted(socket: Path) -> None:
    async with InvokerLink(socket) as link:
        async with FakeInvoker(socket, never) as invoker:
            lost = asyncio.create_task(call(link))
            await invoker.until_calls(1)
        with pytest.raises(EnvironmentFailure):
            await lost
        waiting = asyncio.create_task(call(link, b"after"))
        await asyncio.sleep(0)
        async with FakeInvoker(socket):
            assert (await waiting).payload == b"after"


async def test_without_an_invoker_a_call_fails_when_patience_ends(socket: Path) -> None:
    async with InvokerLink(socket, LinkLimits(patience=0.01)) as link:
        with pytest.raises(ServiceUnavailable, match=r"not been reachable at .*invoker\.sock") as caught:
            await call(link)
    assert caught.value.retry_after == 1.0


async def test_a_broken_connection_fails_its_calls_by_name_and_the_next_ones_work(socket: Path) -> None:
    async with FakeInvoker(socket, never) as invoker, InvokerLink(socket) as link:
        calls = [asyncio.create_task(call(link)) for _ in range(3)]
        await invoker.until_calls(3)
        invoker.hang_up()
        for lost in calls:
            with pytest.raises(EnvironmentFailure, match="invoker was lost"):
                await lost
        invoker.run = answering(b"again")
        assert (await call(link)).payload == b"again"


async def test_a_connection_that_breaks_under_a_large_request_fails_it_by_name(socket: Path) -> None:
    async with FakeInvoker(socket) as invoker, InvokerLink(socket) as link:
        await call(link)
        large = asyncio.create_task(call(link, b"x" * 64 * 1024 * 1024))
        await invoker.until_changed()
        invoker.hang_up()
        with pytest.raises(EnvironmentFailure, match="invoker was lost"):
            await large


async def test_a_cancelled_call_is_withdrawn_and_its_late_answer_ignored(socket: Path) -> None:
    release = asyncio.Event()

    async def run(head: InvokeHead, body: bytes) -> tuple[AnswerHead, bytes]:
        if head.request_id == "cancelled":
            await release.wait()
        return AnswerHead(), body

    async with FakeInvoker(socket, run) as invoker, InvokerLink(socket) as link:
        task = asyncio.create_task(call(link, b"1", "cancelled"))
        await invoker.until_calls(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while not invoker.cancelled:
            await invoker.until_changed()
        release.set()
        assert (await call(link, b"2", "next")).payload == b"2"
    assert invoker.cancelled == [1]
    assert repr(link).endswith("[not connected, 0 under way]>")


async def test_one_call_over_the_bound_is_throttled(socket: Path) -> None:
    async with FakeInvoker(socket, never) as invoker, InvokerLink(socket, LinkLimits(calls=2)) as link:
        calls = [asyncio.create_task(call(link)) for _ in range(2)]
        await invoker.until_calls(2)
        with pytest.raises(TooManyRequests) as caught:
            await call(link)
        assert caught.value.reason == "ConcurrentInvocationLimitExceeded"
        assert repr(link).endswith("[connected, 2 under way]>")
        for task in calls:
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def test_an_invoker_that_is_stuck_does_not_hold_a_call_for_ever(socket: Path) -> None:
    limits = LinkLimits(grace=-1.0, tick=0.01)
    async with FakeInvoker(socket, never) as invoker, InvokerLink(socket, limits) as link:
        with pytest.raises(EnvironmentFailure, match="may be stuck"):
            await call(link)
        while not invoker.cancelled:
            await invoker.until_changed()


async def test_a_peer_that_breaks_the_format_is_left(socket: Path) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"\xff" * 64)
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(babble, str(socket))
    async with server, InvokerLink(socket) as link:
        with pytest.raises(EnvironmentFailure, match="invoker was lost"):
            await call(link)
