"""Hearing of changes: SeaweedFS's own follower of its metadata log, from any moment on, as a process of ours."""

from __future__ import annotations

import asyncio
import logging
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import msgspec

from gateway.uploads import changes
from gateway.uploads.changes import ROOT, Told
from samovar.s3 import server_path
from samovar.supervisor.process import dies_with_parent

MAX_EVENT_BYTES: Final = 64 * 1024 * 1024
"""One change; an object of 5 TB has a megabyte of chunks for each 20 GB."""
_MARGIN_S: Final = 2.0
"""Follows from a little earlier: the process counts back from the moment it starts, which is later than ours."""
_END: Final = b"\n}\n"
_log = logging.getLogger(__name__)


async def follow(filer: str, since_ns: int) -> AsyncIterator[Told]:
    """Every change after a moment (epoch nanoseconds), those that are over first; ends when the follower ends."""
    process = await asyncio.create_subprocess_exec(
        *_command(filer, since_ns), stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, limit=MAX_EVENT_BYTES
    )
    assert process.stdout is not None
    try:
        while True:
            try:
                text = await process.stdout.readuntil(_END)
            except asyncio.IncompleteReadError as ended:
                if ended.partial.strip():
                    _log.info("the S3 server's changes: %s", ended.partial[-500:].decode(errors="replace").strip())
                return
            told = _decoded(text)
            if told is not None and told.ts_ns > since_ns:
                yield told
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _command(filer: str, since_ns: int) -> tuple[str, ...]:
    back_s = max(time.time() - since_ns / 1e9, 0.0) + _MARGIN_S
    words = (
        "-logtostderr=true",
        "filer.meta.tail",
        f"-filer={filer}",
        f"-pathPrefix={ROOT}",
        f"-timeAgo={back_s:.3f}s",
    )
    return dies_with_parent((str(server_path()), *words))


def _decoded(text: bytes) -> Told | None:
    try:
        return changes.decode(text[text.index(b"{") :])
    except (msgspec.DecodeError, ValueError) as error:
        _log.error("a change of the S3 server could not be read: %s: %s", error, text[:500])
        return None
