"""One started container, as a box."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker import APIClient
from docker.errors import APIError, NotFound

from invoker.isolation.cgroup import Places
from invoker.isolation.contract import OPT_DIR, RUNTIME_DIR, TASK_ROOT, Usage
from invoker.isolation.docker_container import container_name, later_limits
from invoker.isolation.docker_engine import Engine
from invoker.isolation.docker_exits import ExitWatch, open_process, process_ended
from invoker.isolation.docker_usage import ContainerMeter
from samovar.errors import EnvironmentFailure
from samovar.function import Limits

log = logging.getLogger("samovar.invoker.docker")

REMOVAL_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Started:
    """A container the engine has just started."""

    box: str
    container: str
    """The engine's id, 64 hex digits."""
    pid: int


class DockerBox:
    """A container. Dies with its first process; `destroy` removes it."""

    task_root = TASK_ROOT
    runtime_dir = RUNTIME_DIR
    tmp_dir = "/tmp"  # noqa: S108 - inside the box
    opt_dir = OPT_DIR

    def __init__(
        self, started: Started, engine: Engine, exits: ExitWatch, settled: Callable[[Started, bool], None]
    ) -> None:
        """`settled` is called after an attempt to remove it, with whether nothing is left of it."""
        self.id = started.box
        self._started = started
        self._container = started.container
        self._engine = engine
        self._exits = exits
        self._settled = settled
        self._process = open_process(started.pid, started.container)
        self.pid = started.pid if self._process is not None else None
        self._meter = ContainerMeter(started.container, self.pid)
        self._meter.usage()  # so that there is a last reading, should the box end before anybody asks
        self._killed_for_memory = False
        self._end = asyncio.create_task(self._watch())
        self._removal: asyncio.Task[None] | None = None

    @property
    def control_groups(self) -> Places | None:
        """Where its limits are set, if the host shows us."""
        return self._meter.places

    def become(self, box: str) -> None:
        """Be the box of that id from now on, one that has used nothing yet. Its container keeps its label."""
        self.id = box
        self._meter.start_over()

    def admit(self, socket_dir: Path) -> None:
        """See `Stem.admit`: every container may."""

    async def agree_on_limits(self, limits: Limits) -> None:
        """See `Stem.agree_on_limits`; tells the engine of the box's new id, too.

        Whoever keeps books of limits (systemd, on hosts where it does) would put the old ones back some day.
        """
        facts = await self._engine.facts()
        changed: dict[str, Any] = {**later_limits(limits, facts.cpus)}

        def update_and_rename(client: APIClient) -> None:
            client.update_container(self._container, **changed)
            client.rename(self._container, container_name(self.id))

        await self._engine.call(f"updating container {self._container[:12]}", update_and_rename)

    @property
    def metering(self) -> str:
        """Where `usage` reads from, in words."""
        return self._meter.source

    def usage(self) -> Usage:
        """See `Box.usage`."""
        return self._meter.usage()

    def reset_peak(self) -> None:
        """See `Box.reset_peak`."""
        self._meter.reset_peak()

    def out_of_memory(self) -> bool:
        """See `Box.out_of_memory`. Whether the first process itself was killed is known once `wait` has returned."""
        told, self._killed_for_memory = self._killed_for_memory, False
        return self._meter.new_memory_kills() or told

    async def wait(self) -> str:
        """See `Box.wait`."""
        return await asyncio.shield(self._end)

    async def destroy(self, reason: str) -> None:
        """See `Box.destroy`. Raises `EnvironmentFailure` if the engine cannot remove the container now.

        Its processes are killed even then if the host shows them; `DockerIsolation` removes the rest later.
        """
        failed = self._removal is not None and self._removal.done() and self._removal.exception() is not None
        if self._removal is None or failed:
            if not failed:
                log.info("box %s is destroyed: %s", self.id, reason)
            self._removal = asyncio.create_task(self._remove())
        await asyncio.shield(self._removal)

    async def _watch(self) -> str:
        if self._process is None:
            await self._exits.container_ended(self._container)
        else:
            await process_ended(self._process)
            self._meter.read_last()  # the cgroup is about to be removed
        try:
            state = await self._engine.call("telling how a container ended", self._final_state, REMOVAL_TIMEOUT_S)
        except EnvironmentFailure as failure:
            return f"ended, how is not known: {failure}"
        self._killed_for_memory = bool(state.get("OOMKilled"))
        return describe_end(state)

    def _final_state(self, client: APIClient) -> dict[str, Any]:
        try:
            client.wait(self._container, timeout=10)  # the kernel told us; the engine may still have to notice
            state: dict[str, Any] = client.inspect_container(self._container)["State"]
        except NotFound:
            return {}
        return state

    async def _remove(self) -> None:
        self._meter.close()
        try:
            await self._engine.call(f"removing container {self._container[:12]}", self._remove_now, REMOVAL_TIMEOUT_S)
        except EnvironmentFailure:
            self._kill()
            self._settled(self._started, False)
            raise
        await self._release()
        self._settled(self._started, True)

    def _remove_now(self, client: APIClient) -> None:
        remove_container(client, self._container)

    def _kill(self) -> None:
        if self._process is not None:
            # Gone already, or owned by another user: then only the engine could.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(self._process, signal.SIGKILL)

    async def _release(self) -> None:
        """Nothing can end any more: stop watching and give the descriptor back."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.shield(self._end)
        self._end.cancel()
        if self._process is not None:
            os.close(self._process)
            self._process = None


def remove_container(client: APIClient, container: str) -> None:
    """Kill and remove a container; returns when it is gone, whoever removed it."""
    try:
        client.remove_container(container, force=True, v=True)
    except NotFound:
        return
    except APIError as error:
        if error.status_code != 409:  # 409: another removal is on its way
            raise
        _await_removal(client, container)


def _await_removal(client: APIClient, container: str) -> None:
    deadline = time.monotonic() + REMOVAL_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            client.inspect_container(container)
        except NotFound:
            return
        time.sleep(0.05)
    raise EnvironmentFailure(f"the Docker engine has not removed container {container[:12]} in time")


def describe_end(state: dict[str, Any]) -> str:
    """How a container ended, in words, from the engine's `State`; an empty one means it was removed."""
    if not state:
        return "was removed"
    code = int(state.get("ExitCode", 0))
    if state.get("OOMKilled"):
        return "was killed because it went over its memory limit"
    if state.get("Error"):
        return f"failed with status {code}: {state['Error']}"
    if code > 128:
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(code - 128).name}"
    return f"exited with status {code}"
