"""A port inside a box that is served from outside: handed over once, passed on both ways, closed with the box."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from invoker.environments import endpoint
from invoker.environments.endpoint import Endpoint
from invoker.environments.relay import Address
from invoker.isolation.contract import PORTS_SOCKET

DEADLINE_S = 30.0


class Service:
    """Answers each connection with what it was sent, when the client has said all."""

    def __init__(self) -> None:
        self.served = 0
        self.under_way: list[asyncio.Task[None] | None] = []
        self.slow = asyncio.Event()
        self.slow.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.served += 1
        self.under_way.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                await self.slow.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def has_ended(reader: asyncio.StreamReader) -> bool:
    """Whether a connection ends without a word; the kernel may say so in two ways."""
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


def hand_over(folder: Path) -> Address:
    """What a keeper does."""
    with socket.create_server(("127.0.0.1", 0)) as port, socket.socket(socket.AF_UNIX) as invoker:
        invoker.connect(str(folder / PORTS_SOCKET))
        socket.send_fds(invoker, [b"port"], [port.fileno()])
        return Address(*port.getsockname())


@asynccontextmanager
async def offered() -> AsyncIterator[tuple[Address, Service, Endpoint]]:
    service = Service()
    async with asyncio.timeout(DEADLINE_S):
        with tempfile.TemporaryDirectory() as folder:
            server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
            opened = Endpoint(Path(folder), Address(*server.sockets[0].getsockname()))
            try:
                yield hand_over(Path(folder)), service, opened
            finally:
                opened.close()
                server.close()
                await asyncio.wait([task for task in service.under_way if task is not None])


async def test_what_is_sent_arrives_and_the_answer_comes_back() -> None:
    async with offered() as (inside, service, _):
        for _ in range(3):
            reader, writer = await asyncio.open_connection(*inside)
            writer.write(b"x" * 300_000)
            writer.write_eof()
            assert await reader.read() == b"x" * 300_000
            writer.close()
        assert service.served == 3


async def test_a_slow_service_slows_its_client_down() -> None:
    async with offered() as (inside, service, _):
        service.slow.clear()
        reader, writer = await asyncio.open_connection(*inside)
        writer.transport.set_write_buffer_limits(high=0)
        writer.write(b"x" * 20_000_000)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(writer.drain(), 0.2)
        service.slow.set()
        received = 0
        writer.write_eof()
        while data := await reader.read(1 << 20):
            received += len(data)
        writer.close()
        assert received == 20_000_000


async def test_more_connections_than_there_may_be_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "MAX_CONNECTIONS", 2)
    async with offered() as (inside, service, _):
        held = [await asyncio.open_connection(*inside) for _ in range(2)]
        for reader, writer in held:
            writer.write(b"a")
            assert await reader.read(1) == b"a"
        late_reader, late_writer = await asyncio.open_connection(*inside)
        late_writer.write(b"b")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(late_reader.read(1), 0.1)
        assert service.served == 2
        held[0][1].close()
        assert await late_reader.read(1) == b"b"
        for writer in (held[1][1], late_writer):
            writer.close()


async def test_a_service_that_is_away_is_a_connection_that_ends() -> None:
    async with asyncio.timeout(DEADLINE_S):
        with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as nobody:
            address = Address(*nobody.getsockname())
            nobody.close()
            opened = Endpoint(Path(folder), address)
            reader, writer = await asyncio.open_connection(*hand_over(Path(folder)))
            assert await has_ended(reader)
            writer.close()
            opened.close()


async def test_after_the_box_nothing_is_accepted_and_nothing_stays_connected() -> None:
    async with offered() as (inside, _, opened):
        reader, writer = await asyncio.open_connection(*inside)
        writer.write(b"a")
        assert await reader.read(1) == b"a"
        assert opened.is_open
        opened.close()
        opened.close()
        assert await has_ended(reader)
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*inside)


async def test_only_the_keeper_hands_a_port_over() -> None:
    async with asyncio.timeout(DEADLINE_S):
        with tempfile.TemporaryDirectory() as folder:
            opened = Endpoint(Path(folder), Address("127.0.0.1", 1))
            hand_over(Path(folder))
            while not opened.is_open:  # noqa: ASYNC110 - only tests wait for it
                await asyncio.sleep(0)
            with pytest.raises(ConnectionRefusedError):
                hand_over(Path(folder))
            opened.close()


async def test_a_keeper_without_a_port_says_so_by_hanging_up() -> None:
    async with asyncio.timeout(DEADLINE_S):
        with tempfile.TemporaryDirectory() as folder:
            opened = Endpoint(Path(folder), Address("127.0.0.1", 1))
            with socket.socket(socket.AF_UNIX) as keeper:
                keeper.connect(f"{folder}/{PORTS_SOCKET}")
            for _ in range(5):
                await asyncio.sleep(0.01)
            assert not opened.is_open
            opened.close()
