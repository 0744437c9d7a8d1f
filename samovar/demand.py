"""Asking the supervisor for what is started only when it is needed. One line there, one line back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from samovar.errors import ServiceUnavailable
from samovar.settings import Settings

READY: Final = "ready"
_PATIENCE_S: Final = 60.0
"""Longer than what is started may take to answer."""


def socket_path(settings: Settings) -> Path:
    """Where the supervisor listens for its own processes."""
    return settings.run_dir / "demand.sock"


async def demand(settings: Settings, name: str) -> None:
    """Return when it runs. Raises `ServiceUnavailable` when it cannot be had, with the reason."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            reader, writer = await asyncio.open_unix_connection(str(socket_path(settings)))
            try:
                writer.write(f"{name}\n".encode())
                said = (await reader.readline()).decode().strip()
            finally:
                writer.close()
    except OSError as error:
        raise ServiceUnavailable(
            "the S3 server cannot be started from here, no `samovar up` runs on this data directory; "
            "name an S3 of yours with SAMOVAR_S3_URL"
        ) from error
    except TimeoutError as error:
        raise ServiceUnavailable(f"{name} was not ready within {_PATIENCE_S:.0f} s", retry_after=5.0) from error
    if said != READY:
        raise ServiceUnavailable(said or f"{name} could not be started", retry_after=5.0)
