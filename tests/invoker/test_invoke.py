"""One invocation from the gateway's frame to its answer, over a real socket and real environments in fake boxes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from invoker.invoke import Invocations
from invoker.isolation.fake import Exit, Function, OutOfMemory, hang
from invoker.pool.pool import Pool
from invoker.pool.versions import Versions
from invoker.refused import RefusedCalls
from invoker.server import Server
from samovar.clock import SystemClock
from samovar.errors import SamovarError, ServiceUnavailable
from samovar.function import FunctionVersion
from samovar.invocation import AnswerHead, ColdReason, InvokeHead, Outcome, Reading
from samovar.link.channel import FrameChannel
from samovar.link.operations import Forget
from samovar.link.wire import CANCEL, CHUNK, CHUNK_SIZE, END, PULL, REQUEST, Frame
from tests.invoker.building import Gate, pool_over, until, version


class Ledger:
    """Stands for the meter: keeps readings, and can be told to refuse them."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.refusal: SamovarError | None = None

    def record(self, reading: Reading, safe: Callable[[SamovarError | None], None]) -> None:
        """As `Meter.record`."""
        self.readings.append(reading)
        asyncio.get_running_loop().call_soon(safe, self.refusal)


class Gateway:
    """A gateway's end of the link, as simple as can be."""

    def __init__(self, socket: Path) -> None:
        self.channel: FrameChannel
        self.sends = True
        """Whether it sends what it is asked for."""
        self._socket = socket
        self._answers: dict[int, asyncio.Future[tuple[AnswerHead, bytes]]] = {}
        self._bodies: dict[int, tuple[bytes, bytearray]] = {}
        self.pulled: dict[int, bytes] = {}
        """What the invoker has yet to ask for of events that are too large for one frame."""
        self.was_asked = False

    async def connect(self) -> None:
        """Have a connection, a new one if there was one."""
        former = getattr(self, "channel", None)
        loop = asyncio.get_running_loop()
        _, self.channel = await loop.create_unix_connection(lambda: FrameChannel(self), str(self._socket))
        if former is not None:
            former.abort()

    def frames_received(self, channel: FrameChannel, frames: list[Frame]) -> None:
        """From `FrameReceiver`."""
        for frame in frames:
            if frame.kind == PULL:
                self.was_asked = True
                if self.sends:
                    self._send_part(frame.stream)
                continue
            _, body = self._bodies.setdefault(frame.stream, (frame.head, bytearray()))
            body += frame.body
            if frame.ends_message:
                head, body = self._bodies.pop(frame.stream)
                answer = msgspec.json.decode(head, type=AnswerHead)
                self._answers[frame.stream].set_result((answer, bytes(body)))

    def channel_lost(self, channel: FrameChannel, error: Exception | None) -> None:
        """From `FrameReceiver`."""

    async def ask(self, stream: int, of: FunctionVersion, event: Any, **head: Any) -> tuple[AnswerHead, bytes]:
        """One call."""
        self._answers[stream] = asyncio.get_running_loop().create_future()
        body = event if isinstance(event, bytes) else msgspec.json.encode(event)
        sizes = {"size": len(body)} | head
        call = InvokeHead("invoke", of.arn, of.version, of.serial, f"request-{stream}", **sizes)
        if len(body) <= CHUNK_SIZE:
            self.channel.send(REQUEST, stream, msgspec.json.encode(call), body)
        else:
            self.pulled[stream] = body
            self.channel.send(REQUEST, stream, msgspec.json.encode(call), flags=0)
        return await self._answers[stream]

    def _send_part(self, stream: int) -> None:
        body = self.pulled[stream]
        part, self.pulled[stream] = body[:CHUNK_SIZE], body[CHUNK_SIZE:]
        self.channel.send(CHUNK, stream, b"", part, 0 if self.pulled[stream] else END)


class Bench(msgspec.Struct):
    """All of it."""

    gateway: Gateway
    versions: Versions
    pool: Pool
    ledger: Ledger
    refused: RefusedCalls


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for unix sockets, which pytest's own is not."""
    path = Path(tempfile.mkdtemp(prefix="inv-"))
    yield path
    shutil.rmtree(path)


@contextlib.asynccontextmanager
async def bench(
    folder: Path, functions: Callable[..., Any] | dict[str, Function], **settings: Any
) -> AsyncIterator[Bench]:
    ledger: Any = Ledger()
    async with pool_over(folder, functions, **settings) as (pool, _):
        versions = Versions()
        invocations = Invocations(versions, pool, ledger, SystemClock())
        server = Server(invocations, {}, max_request_bytes=7 * 2**20)
        await server.listen(folder / "s")
        gateway = Gateway(folder / "s")
        await gateway.connect()
        yield Bench(gateway, versions, pool, ledger, invocations.refused)
        server.stop_accepting()
        await server.close(1.0)
        gateway.channel.close()


def echo(event: Any, head: Any) -> Any:
    return event


async def test_a_call_is_answered_and_metered(folder: Path) -> None:
    async with bench(folder, echo) as at:
        at.versions.declare(version())
        for stream in (1, 2):
            answer, payload = await at.gateway.ask(stream, version(), {"a": [1, "ü"]}, trigger="http")
            assert (answer.outcome, answer.failure, answer.version) == (Outcome.OK, None, "$LATEST")
            assert msgspec.json.decode(payload) == {"a": [1, "ü"]}
        cold, warm = at.ledger.readings
    assert (cold.cold, warm.cold) == (ColdReason.FIRST_CALL, None)
    assert cold.queue_ms > 0
    assert (warm.request_id, warm.trigger, warm.arn, warm.memory_mb) == ("request-2", "http", version().arn, 128)
    assert warm.queue_ms == warm.init_ms == 0
    assert warm.peak_mb == 32
    assert warm.cpu_ms == 1.0
    assert warm.billed_ms >= warm.duration_ms > 0


SIX_MB = msgspec.json.encode("x" * (6 * 1024 * 1024 - 2))


async def test_six_megabytes_go_in_and_come_back(folder: Path) -> None:
    async with bench(folder, echo) as at:
        at.versions.declare(version())
        _, payload = await at.gateway.ask(1, version(), SIX_MB)
    assert payload == SIX_MB


async def test_an_event_over_the_limit_is_refused_before_it_is_sent(folder: Path) -> None:
    async with bench(folder, echo) as at:
        at.versions.declare(version())
        answer, _ = await at.gateway.ask(1, version(), SIX_MB, size=2**23)
    assert answer.failure == "RequestTooLarge"
    assert not at.gateway.was_asked


async def test_a_large_event_stays_with_the_gateway_until_it_can_run(folder: Path) -> None:
    gate = Gate()
    async with bench(folder, gate.handle, max_environments=1) as at:
        at.versions.declare(version())
        first = asyncio.create_task(at.gateway.ask(1, version(), "small"))
        await until(lambda: gate.running == 1)
        second = asyncio.create_task(at.gateway.ask(2, version(), SIX_MB))
        await until(lambda: at.pool.waiting == 1)
        assert at.gateway.pulled[2] == SIX_MB
        gate.open()
        await first
        assert (await second)[1] == SIX_MB
    assert at.gateway.pulled[2] == b""


@pytest.mark.parametrize("how", ["hangs up", "cancels", "sends another size"])
async def test_an_event_that_never_becomes_whole_costs_a_worker_and_nothing_else(folder: Path, how: str) -> None:
    async with bench(folder, echo, max_environments=1) as at:
        at.versions.declare(version())
        await at.gateway.ask(1, version(), "warm")
        at.gateway.sends = how == "sends another size"
        asking = asyncio.create_task(at.gateway.ask(2, version(), SIX_MB, size=len(SIX_MB) + at.gateway.sends))
        await until(lambda: at.gateway.was_asked)
        if how == "cancels":
            at.gateway.channel.send(CANCEL, 2)
        elif how == "hangs up":
            await at.gateway.connect()
        await until(lambda: len(at.ledger.readings) == 2)
        if how == "hangs up":
            asking.cancel()
        else:
            assert b"The connection ended within the event" in (await asking)[1]
        assert await at.gateway.ask(3, version(), "next") == (AnswerHead(version="$LATEST"), b'"next"')
    assert [reading.outcome for reading in at.ledger.readings] == [Outcome.OK, Outcome.ERROR, Outcome.OK]
    assert at.ledger.readings[2].cold is None, "the environment stays"


async def test_the_tail_tells_the_whole_story(folder: Path) -> None:
    def talk(event: Any, head: Any) -> None:
        print("something")  # noqa: T201 - printing is what is tested

    async with bench(folder, talk) as at:
        at.versions.declare(version())
        answer, payload = await at.gateway.ask(1, version(), None, tail=True)
        quiet, _ = await at.gateway.ask(2, version(), None)
    assert payload == b"null"
    assert quiet.log_tail is None
    lines = base64.b64decode(answer.log_tail or "").decode().splitlines()
    assert lines[:3] == ["START RequestId: request-1 Version: $LATEST", "something", "END RequestId: request-1"]
    assert lines[3].startswith("REPORT RequestId: request-1\tDuration: ")
    assert "\tMemory Size: 128 MB\tMax Memory Used: 32 MB\t" in lines[3]


async def fail(event: str, head: Any) -> None:
    match event:
        case "raise":
            raise ValueError("no such order")
        case "exit":
            raise Exit(status=3)
        case "memory":
            raise OutOfMemory
        case "hang":
            await hang()


@pytest.mark.parametrize(
    ("event", "outcome", "told"),
    [
        ("raise", Outcome.ERROR, {"errorType": "ValueError", "errorMessage": "no such order"}),
        (
            "exit", Outcome.EXIT,
            {"errorType": "Runtime.ExitError",
             "errorMessage": "RequestId: request-1 Error: Runtime exited with error: exit status 3"},
        ),
        ("memory", Outcome.OUT_OF_MEMORY, {"errorType": "Runtime.OutOfMemory"}),
    ],
)  # fmt: skip
async def test_what_goes_wrong_in_a_function_is_its_answer(
    folder: Path, event: str, outcome: Outcome, told: dict[str, str]
) -> None:
    async with bench(folder, fail) as at:
        at.versions.declare(version())
        answer, payload = await at.gateway.ask(1, version(), event)
        assert (answer.outcome, answer.failure) == (outcome, None)
        assert msgspec.json.decode(payload).items() >= told.items()
        assert at.ledger.readings[0].outcome is outcome
        again, _ = await at.gateway.ask(2, version(), "fine")
        assert again.outcome is Outcome.OK


@pytest.mark.slow
async def test_a_call_over_its_time_is_cut_off_and_the_next_gets_a_new_worker(folder: Path) -> None:
    async with bench(folder, fail, max_environments_per_function=1) as at:
        of = version(timeout_s=1)
        at.versions.declare(of)
        answer, payload = await at.gateway.ask(1, of, "hang", tail=True)
        assert answer.outcome is Outcome.TIMEOUT
        assert msgspec.json.decode(payload) == {
            "errorType": "Sandbox.Timedout",
            "errorMessage": "RequestId: request-1 Error: Task timed out after 1.00 seconds",
        }
        assert b"Task timed out after 1.0" in base64.b64decode(answer.log_tail or "")
        again, _ = await at.gateway.ask(2, of, "fine")
        assert again.outcome is Outcome.OK
        assert len({one.environment for one in at.ledger.readings}) == 1


async def test_a_failed_initialisation_is_metered_as_what_it_took(folder: Path) -> None:
    def init() -> None:
        print("loading")  # noqa: T201 - printing is what is tested
        raise RuntimeError("no configuration")

    async with bench(folder, {"app.handler": Function(echo, init)}) as at:
        at.versions.declare(version())
        answer, payload = await at.gateway.ask(1, version(), None, tail=True)
        assert answer.outcome is Outcome.INIT_ERROR
        assert msgspec.json.decode(payload)["errorMessage"] == "no configuration"
        assert b"loading\nSTART RequestId: request-1" in base64.b64decode(answer.log_tail or "")
        assert at.ledger.readings[0].outcome is Outcome.INIT_ERROR


async def test_a_version_nobody_declared_is_asked_for(folder: Path) -> None:
    async with bench(folder, echo) as at:
        answer, _ = await at.gateway.ask(1, version(), None)
        assert answer.failure == "UnknownVersion"
        at.versions.declare(version(serial=3))
        behind, _ = await at.gateway.ask(2, version(serial=2), None)
        assert behind.failure is None
        ahead, _ = await at.gateway.ask(3, version(serial=4), None)
        assert ahead.failure == "UnknownVersion"


async def test_a_call_that_no_environment_may_take_is_throttled_and_not_told_to_come_back(folder: Path) -> None:
    async with bench(folder, echo) as at:
        at.versions.declare(version(max_environments=0))
        answer, payload = await at.gateway.ask(1, version(), None)
    assert (answer.failure, payload) == ("TooManyRequests", b"")
    assert answer.reason == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert answer.retry_after is None
    assert not at.ledger.readings
    noted = at.refused.find("request-1")
    assert noted is not None
    assert (noted.failure, noted.reason, noted.message) == (answer.failure, answer.reason, answer.message)


async def test_a_call_whose_reading_nobody_takes_is_answered_with_that(folder: Path) -> None:
    async with bench(folder, echo) as at:
        at.versions.declare(version())
        at.ledger.refusal = ServiceUnavailable("neither disk nor Redis takes it")
        answer, payload = await at.gateway.ask(1, version(), None)
        assert (answer.failure, payload) == ("ServiceUnavailable", b"")


async def test_a_cancelled_call_that_waits_never_runs_and_one_that_runs_ends(folder: Path) -> None:
    gate = Gate()
    async with bench(folder, gate.handle, max_environments_per_function=1) as at:
        at.versions.declare(version())
        running = asyncio.create_task(at.gateway.ask(1, version(), "runs"))
        await until(lambda: gate.running == 1)
        waiting = asyncio.create_task(at.gateway.ask(2, version(), "waits"))
        await until(lambda: at.pool.waiting == 1)
        for stream in (1, 2):
            at.gateway.channel.send(CANCEL, stream)
        await until(lambda: at.pool.waiting == 0)
        waiting.cancel()
        gate.open()
        assert (await running)[1] == b'"runs"'
        assert [one.request_id for one in at.ledger.readings] == ["request-1"]


def test_a_forgotten_function_stays_forgotten_for_gateways_that_are_behind() -> None:
    versions = Versions()
    versions.declare(version(serial=5))
    assert versions.forget(Forget(version().arn, 6)) == [version().key]
    assert not versions.declare(version(serial=5))
    assert versions.declare(version(serial=7))


async def test_a_call_that_waited_for_new_code_is_metered_with_the_new_limits(folder: Path) -> None:
    gate = Gate()
    async with bench(folder, gate.handle) as at:
        old = version(max_environments=1)
        at.versions.declare(old)
        first = asyncio.create_task(at.gateway.ask(1, old, "first"))
        await until(lambda: gate.running == 1)
        second = asyncio.create_task(at.gateway.ask(2, old, "second"))
        await until(lambda: at.pool.waiting == 1)
        new = version(serial=2, memory_mb=512)
        at.versions.declare(new)
        at.pool.supersede(new)
        gate.open()
        await asyncio.gather(first, second)
        assert {one.request_id: one.memory_mb for one in at.ledger.readings} == {"request-1": 128, "request-2": 512}
