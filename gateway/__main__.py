"""`python -m gateway`: one gateway worker, until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import math
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final, NoReturn

import uvicorn
import uvloop

from gateway.app import create_app
from gateway.http.protocol import GatewayProtocol
from gateway.services import open_services
from samovar import settings as settings_module
from samovar.errors import StartRefused
from samovar.process import descriptors, heap
from samovar.settings import Settings

EX_CONFIG: Final = 78
"""sysexits(3): a restart would not help; the last line on stderr says what to change."""
BACKLOG: Final = 4096
_KEEP_ALIVE_S: Final = 75
_TICKS_A_SECOND: Final = 10
"""In uvicorn's count; each tenth renews the headers."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop. Answers with 0 after a clean stop, `EX_CONFIG` when the start is refused."""
    options = _parser().parse_args(arguments)
    try:
        settings = settings_module.load(os.environ)
        listener = _inherited(options.fd) if options.fd is not None else _bound(settings)
    except StartRefused as refused:
        sys.stderr.write(f"{refused.message}\n")
        return EX_CONFIG
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s gateway[%(process)d] %(name)s: %(message)s"
    )
    if settings.log_level == "info":  # it says "started" and "finished" there, and so does the supervisor
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)
    descriptors.raise_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, listener))
    return 0


async def _serve(settings: Settings, listener: socket.socket) -> None:
    async with open_services(settings) as services:
        config = uvicorn.Config(
            create_app(services),
            http=GatewayProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=math.ceil(settings.drain_timeout_s),
        )
        heap.settle()
        await Server(config, services.stop).serve(sockets=[listener])


class Server(uvicorn.Server):
    """uvicorn's server, which says when it begins to wait for running requests, and sleeps while nothing happens."""

    def __init__(self, config: uvicorn.Config, stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop = stop
        self._loop = asyncio.get_running_loop()
        self._signalled = asyncio.Event()

    async def main_loop(self) -> None:
        """uvicorn looks ten times a second whether to end. This one is told, and only renews the `Date` header."""
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += _TICKS_A_SECOND
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._signalled.wait(), 1.0)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by a signal, between two instructions of whatever runs."""
        super().handle_exit(sig, frame)
        self._loop.call_soon_threadsafe(self._signalled.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn: stop accepting, drain, and cut off at the deadline."""
        self._stop()
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            if isinstance(connection, GatewayProtocol):
                connection.cut_off()


def _exit(number: int, frame: object) -> NoReturn:
    """uvicorn replaces this handler while it serves, and raises the signal again once it has drained."""
    raise SystemExit(0)


def _inherited(fd: int) -> socket.socket:
    try:
        return socket.socket(fileno=fd)
    except OSError as error:
        raise StartRefused(f"--fd {fd} is not a socket this process has inherited: {error.strerror}") from error


def _bound(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise StartRefused(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}. "
            "Stop what listens there, or choose another port with SAMOVAR_PORT."
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gateway", description="One gateway worker.")
    parser.add_argument("--fd", type=int, help="number of an inherited listening socket; several workers may share it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
