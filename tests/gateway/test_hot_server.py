"""The warm path behind the real server on a real socket: what only shows in raw bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn

from gateway.http.protocol import MAX_HEAD_BYTES, GatewayProtocol
from samovar.invocation import AnswerHead, InvokeHead
from tests.gateway.fake_invoker import Run, echo
from tests.gateway.functions import Gateway, gateway

LIMIT = 64 * 1024
HEAD = b"POST /2015-03-31/functions/orders/invocations HTTP/1.1\r\nhost: box\r\n"


class Client:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next answer."""
        async with asyncio.timeout(5):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status, *lines = head.rstrip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return int(status.split()[1]), headers, body

    async def ended(self) -> bool:
        """Whether the server closes the connection now."""
        async with asyncio.timeout(5):
            return await self._reader.read() == b""


@asynccontextmanager
async def server(folder: Path, run: Run = echo, keep_alive_s: int = 5) -> AsyncIterator[tuple[Gateway, str]]:
    """The warm path served by uvicorn on a unix socket."""
    async with gateway(folder, run=run) as served:
        config = uvicorn.Config(
            served.app,
            http=GatewayProtocol,
            lifespan="off",
            ws="none",
            log_config=None,
            proxy_headers=False,  # as the gateway has it: with them, all requests would go through ASGI
            timeout_graceful_shutdown=1,
            timeout_keep_alive=keep_alive_s,
        )
        config.load()
        state = uvicorn.server.ServerState()
        loop = asyncio.get_running_loop()
        listener = await loop.create_unix_server(
            lambda: GatewayProtocol(config=config, server_state=state, app_state={}), str(folder / "http.sock")
        )
        async with listener:
            yield served, str(folder / "http.sock")
        for connection in list(state.connections):
            connection.shutdown()
        await asyncio.gather(*state.tasks)


@asynccontextmanager
async def client(path: str) -> AsyncIterator[Client]:
    """A raw connection to it."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def test_a_connection_carries_call_after_call(tmp_path: Path) -> None:
    async with server(tmp_path) as (_, path), client(path) as connection:
        for number in range(3):
            await connection.send(HEAD + b"content-length: 1\r\n\r\n%d" % number)
            assert (await connection.answer())[2] == b"%d" % number


async def test_a_connection_that_rests_is_closed_and_one_that_is_served_is_not(tmp_path: Path) -> None:
    answer = asyncio.Event()

    async def run(head: InvokeHead, body: bytes) -> tuple[AnswerHead, bytes]:
        if body == b'"slow"':
            await answer.wait()
        return AnswerHead(version=head.version), body

    async with server(tmp_path, run, keep_alive_s=1) as (served, path), client(path) as connection:
        for _ in range(3):
            await connection.send(HEAD + b"content-length: 1\r\n\r\n1")
            assert (await connection.answer())[2] == b"1"
        await connection.send(HEAD + b'content-length: 6\r\n\r\n"slow"')
        await asyncio.sleep(1.5)  # longer than a connection may rest
        answer.set()
        assert (await connection.answer())[2] == b'"slow"'
        began = asyncio.get_running_loop().time()
        assert await connection.ended()
        assert asyncio.get_running_loop().time() - began >= 0.9
    assert len(served.invoker.calls) == 4


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_refused_and_the_connection_stays_good(tmp_path: Path, chunked: bool) -> None:
    body = b"x" * (LIMIT * 8)
    async with server(tmp_path) as (served, path), client(path) as connection:
        if chunked:
            await connection.send(HEAD + b"transfer-encoding: chunked\r\n\r\n")
            await connection.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        else:
            await connection.send(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
        status, headers, answer = await connection.answer()
        assert status == 413
        assert headers["x-amzn-errortype"] == "RequestTooLargeException"
        assert json.loads(answer)["Message"] == (
            f"Request must be smaller than {LIMIT} bytes for the InvokeFunction operation"
        )
        await connection.send(HEAD + b"content-length: 1\r\n\r\n7")
        assert (await connection.answer())[2] == b"7"
    assert len(served.invoker.calls) == 1


@pytest.mark.parametrize(
    "extra",
    [b"content-length: 100000\r\nexpect: 100-continue\r\n\r\n", b"content-length: 9000000000\r\n\r\n"],
    ids=["asks first", "vast"],
)
async def test_a_body_that_is_not_worth_reading_is_refused_at_once(tmp_path: Path, extra: bytes) -> None:
    async with server(tmp_path) as (_, path), client(path) as connection:
        await connection.send(HEAD + extra)
        status, headers, _answer = await connection.answer()
        assert (status, headers["connection"]) == (413, "close")
        assert await connection.ended()


async def test_a_body_of_exactly_the_limit_is_taken(tmp_path: Path) -> None:
    body = b'"%b"' % (b"x" * (LIMIT - 2))
    async with server(tmp_path) as (_, path), client(path) as connection:
        await connection.send(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
        assert (await connection.answer())[2] == body


@pytest.mark.parametrize(
    "extra",
    [
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    ],
)
async def test_requests_whose_end_is_ambiguous_are_refused(tmp_path: Path, extra: bytes) -> None:
    smuggled = b"GET /fn/orders/smuggled HTTP/1.1\r\nhost: box\r\n\r\n"
    async with server(tmp_path) as (served, path), client(path) as connection:
        await connection.send(HEAD + extra + smuggled)
        assert (await connection.answer())[0] == 400
        assert await connection.ended()
    assert served.invoker.calls == []


async def test_a_head_without_an_end_is_hung_up_on(tmp_path: Path) -> None:
    async with server(tmp_path) as (_, path), client(path) as connection:
        await connection.send(HEAD + b"x-long: ")
        await connection.send(b"a" * (MAX_HEAD_BYTES * 4))
        status, _, answer = await connection.answer()
        assert (status, answer) == (400, b"Request head is larger than 65536 bytes.")


async def test_a_client_that_leaves_does_not_stop_its_call(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gone, finished = asyncio.Event(), asyncio.Event()

    async def run(head: InvokeHead, body: bytes) -> tuple[AnswerHead, bytes]:
        await gone.wait()
        finished.set()
        return AnswerHead(), body

    async with server(tmp_path, run) as (served, path):
        async with client(path) as connection:
            await connection.send(HEAD + b"content-length: 2\r\n\r\n{}")
            await served.invoker.until_calls(1)
        gone.set()
        await finished.wait()
        async with client(path) as connection:
            await connection.send(HEAD + b"content-length: 2\r\n\r\n[]")
            assert (await connection.answer())[2] == b"[]"
    assert served.invoker.cancelled == []
    assert "Exception" not in caplog.text


async def test_a_client_that_leaves_amid_its_body_calls_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with server(tmp_path) as (served, path):
        async with client(path) as connection:
            await connection.send(HEAD + b"content-length: 100\r\n\r\n{")
        async with client(path) as connection:
            await connection.send(HEAD + b"content-length: 2\r\n\r\n[]")
            assert (await connection.answer())[2] == b"[]"
    assert [body for _, body in served.invoker.calls] == [b"[]"]
    assert "Exception" not in caplog.text
