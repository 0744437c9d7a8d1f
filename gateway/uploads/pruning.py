"""Keeping the S3 server's log of changes short: it keeps every change for ever unless it is told to forget."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from typing import Final

from samovar import s3
from samovar.errors import ServiceUnavailable
from samovar.settings import Settings
from samovar.supervisor.process import dies_with_parent

KEPT_DAYS: Final = 7
"""Far longer than whoever follows it may be behind."""
EVERY_S: Final = 86_400.0
_DEADLINE_S: Final = 120.0


async def forget_old_changes(settings: Settings, days: int = KEPT_DAYS) -> None:
    """Have the server forget changes older than so many days. Raises `ServiceUnavailable` when it does not."""
    ports = s3.known_ports(settings)
    server = s3.find(settings)
    if ports is None or server is None:
        return
    master = f"{s3.LOOPBACK}:{ports.master}.{ports.master_grpc}"
    words = (str(s3.server_path()), "-logtostderr=true", "shell", f"-master={master}", f"-filer={server.filer}")
    process = await asyncio.create_subprocess_exec(*dies_with_parent(words), stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
    try:
        async with asyncio.timeout(_DEADLINE_S):
            said, _ = await process.communicate(f"fs.log.purge -daysAgo={days}\n".encode())
    except TimeoutError as error:
        process.kill()
        raise ServiceUnavailable(f"the S3 server's log was not shortened within {_DEADLINE_S:.0f} s") from error
    if process.returncode or b"error" in said:
        raise ServiceUnavailable(f"the S3 server's log was not shortened: {said.decode(errors='replace')[-300:]}")
