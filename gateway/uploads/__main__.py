"""`python -m gateway.uploads`: follows the S3 server and turns changes of objects into events, until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

import uvloop

from gateway.uploads.watch import watch
from samovar.errors import StartRefused
from samovar.process import heap
from samovar.settings import load

EX_CONFIG = 78
"""sysexits(3): a restart would not help; the last line on stderr says what to change."""


def main() -> int:
    """Follow until told to stop. Answers with 0 after a clean stop, `EX_CONFIG` when the start is refused."""
    try:
        settings = load(os.environ)
    except StartRefused as refused:
        sys.stderr.write(f"{refused.message}\n")
        return EX_CONFIG
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(message)s")
    heap.settle()

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await watch(settings, stop)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
