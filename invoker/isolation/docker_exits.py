"""Tells when containers end, without asking the engine where the kernel knows.

A container's first process is watched through a pidfd when the invoker can see it. Where it cannot (an invoker
in a container with processes of its own), one listing a second serves all containers together.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from docker import APIClient

from invoker.isolation.docker_container import INSTANCE_LABEL
from invoker.isolation.docker_engine import Engine
from samovar.errors import EnvironmentFailure

log = logging.getLogger("samovar.invoker.docker")


def open_process(pid: int, container: str) -> int | None:
    """A pidfd of a container's first process, or `None` if the host does not show it to us.

    The cgroup is compared because a pid that another namespace counted may well exist here, and be somebody else.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    except OSError as error:
        log.warning("no pidfd for container %s: %s; asking the engine instead", container[:12], error)
        return None
    try:
        cgroups = Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        cgroups = ""
    if container in cgroups:
        return descriptor
    os.close(descriptor)
    return None


async def process_ended(descriptor: int) -> None:
    """Return when the process behind a pidfd has ended."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)


class ExitWatch:
    """The shared listing for containers without a visible process."""

    def __init__(self, engine: Engine, instance: str, poll_s: float = 1.0) -> None:
        """`poll_s` is the time between two listings, in seconds."""
        self._engine = engine
        self._instance = instance
        self._poll_s = poll_s
        self._waiting: dict[str, asyncio.Event] = {}
        self._polling: asyncio.Task[None] | None = None

    async def container_ended(self, container: str) -> None:
        """Return within about a second after the container with this id has ended or was removed."""
        ended = self._waiting.setdefault(container, asyncio.Event())
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        try:
            await ended.wait()
        finally:
            self._waiting.pop(container, None)

    async def close(self) -> None:
        """Stop listing."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)

    async def _poll(self) -> None:
        while self._waiting:
            await asyncio.sleep(self._poll_s)
            asked = list(self._waiting.items())
            try:
                running = await self._engine.call("listing running containers", self._running)
            except EnvironmentFailure as failure:
                log.warning("cannot see which containers run: %s", failure.message)
                continue
            for container, ended in asked:
                if container not in running:
                    ended.set()

    def _running(self, client: APIClient) -> set[str]:
        found = client.containers(quiet=True, filters={"label": f"{INSTANCE_LABEL}={self._instance}"})
        return {container["Id"] for container in found}
