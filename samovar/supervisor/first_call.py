"""`samovar up --with FOLDER`: when the platform is ready, deploy a function and call it once, as its owner would."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

log = logging.getLogger("samovar.up")


async def deploy_and_call(folder: Path, endpoint: str) -> int:
    """Run the command line's own `deploy` and `invoke`; the exit code of the first that fails, else 0.

    The event is the folder's `event.json`, if it has one. What they print goes where this process prints.
    """
    code = await _samovar(["deploy", str(folder)], endpoint)
    if code:
        return code
    from samovar.deploy.manifest import load  # only where somebody asked for a first call

    event = folder / "event.json"
    return await _samovar(
        ["invoke", load(folder).name, *(["--event", str(event)] if event.is_file() else [])], endpoint
    )


async def _samovar(arguments: list[str], endpoint: str) -> int:
    print(f"$ samovar {' '.join(arguments)}", flush=True)  # noqa: T201 - shows what one would type
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-c",
        "from samovar.cli import main; main()",
        *arguments,
        env={**os.environ, "SAMOVAR_ENDPOINT": endpoint},
    )
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()


class FirstCalls:
    """Deploys and calls beside the running platform. A context manager that ends what still runs."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def begin(self, endpoint: str) -> None:
        """Start with the first folder."""
        self._task = asyncio.create_task(self._all(endpoint))

    async def _all(self, endpoint: str) -> None:
        for folder in self._folders:
            code = await deploy_and_call(folder, endpoint)
            if code:
                log.error("%s could not be deployed and called (exit status %d); the platform runs on", folder, code)
