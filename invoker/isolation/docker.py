"""Boxes as Docker containers, on any engine and OCI runtime (runc, gVisor's runsc, kata)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from docker import APIClient
from docker.errors import NotFound

from invoker.environments.kits import Kits
from invoker.environments.runtimes import extended
from invoker.environments.runtimes import runtime as find_runtime
from invoker.isolation.carried import Carrier, provide, variables
from invoker.isolation.contract import BoxSpec
from invoker.isolation.docker_box import DockerBox, Started, remove_container
from invoker.isolation.docker_container import (
    BOX_LABEL,
    INSTANCE_LABEL,
    carry,
    check_runtime,
    container_config,
    container_name,
    image_variables,
    network_name,
    stem_config,
)
from invoker.isolation.docker_engine import Engine
from invoker.isolation.docker_exits import ExitWatch
from invoker.isolation.docker_images import ImageFacts, Images
from invoker.isolation.docker_seccomp import profile
from invoker.isolation.seats import Seats, scale_out
from samovar.errors import EnvironmentFailure
from samovar.link.operations import IsolationStatus

T = TypeVar("T")
Configure = Callable[[BoxSpec, str, str, int, str | None], dict[str, Any]]
"""From a box, our instance, an image, a number of processors and a seccomp profile to a container."""

log = logging.getLogger("samovar.invoker.docker")


_CALL_DEADLINE_S = 60.0
"""How long the engine has for each call."""
_LATE_S = 30.0
"""By then an engine has made the containers that a killed invoker had asked it for."""


class DockerIsolation:
    """Starts containers that carry the label `samovar.instance=<instance>`, and removes those that are left over."""

    name = "docker"

    def __init__(
        self,
        instance: str,
        *,
        base_image: str = "",
        base_url: str | None = None,
        seats: Seats | None = None,
        carrier: Carrier | None = None,
        kits: Kits | None = None,
    ) -> None:
        """`instance` is the same for every invoker on one data directory and for no other.

        `base_image` is what runtime images are built from; empty takes each runtime's public one. `base_url` is
        the engine's socket; `None` follows `DOCKER_HOST`. With `seats`, environments can be forked into boxes.
        `carrier` has the keeper of runtimes that are no Python; without it they cannot be started. `kits` has what
        Python finds in its runtime; without them that is the runtime alone.
        """
        self._instance = instance
        self._seats = seats
        self._carrier = carrier
        self._base_image = base_image
        self._engine = Engine(base_url, _CALL_DEADLINE_S)
        self._images = Images(self._engine, kits)
        self._exits = ExitWatch(self._engine, instance)
        self._own: set[str] = set()
        """Ids, as on the labels, of the boxes that are being started or have been."""
        self._metering = "known once a box has run"
        self._network: asyncio.Task[None] | None = None
        self._left_over: set[str] = set()
        """Containers by name or id that the engine could not remove when it was asked to."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._late_sweep: asyncio.TimerHandle | None = None

    def can_seat(self, spec: BoxSpec) -> bool:
        """See `Isolation.can_seat`."""
        return (
            self._seats is not None
            and self._seats.why_none(self.name) is None
            and spec.oci_runtime == "runc"
            and not spec.is_extended
            and find_runtime(spec.runtime).can_fork
        )

    async def start(self, spec: BoxSpec) -> DockerBox:
        """See `Isolation.start`. A cancelled start leaves no container either."""
        return await self._start(spec, container_config)

    def can_bind(self, spec: BoxSpec) -> bool:
        """See `StemIsolation.can_bind`: other OCI runtimes have no mount namespace, or one out of reach."""
        return spec.oci_runtime == "runc" and spec.image is None and not spec.is_extended

    async def start_stem(self, spec: BoxSpec) -> DockerBox:
        """See `StemIsolation.start_stem`."""
        return await self._start(spec, stem_config)

    async def _start(self, spec: BoxSpec, configure: Configure) -> DockerBox:
        facts = await self._engine.facts()
        check_runtime(spec, facts)
        own = await self._own_image(spec)
        image = await self._image(spec.runtime) if own is None else own.id
        if spec.network == "bridge":
            await self._ensure_network()
        seccomp = profile() if facts.has_seccomp and self.can_seat(spec) else None
        config = configure(spec, self._instance, image, facts.cpus, seccomp)
        known = extended(spec.runtime) if spec.is_extended else find_runtime(spec.runtime)
        if known.worker:
            told = variables(known) if own is None else image_variables(known, own, spec)
            carry(config, await asyncio.to_thread(provide, self._carrier), told)
        self._own.add(spec.id)
        try:
            started = await self._launch(spec.id, config)
        except BaseException as failure:
            self._own.discard(spec.id)
            if isinstance(failure.__cause__, NotFound):  # the image or the network was removed behind our back
                self._images.forget(image)
                self._network = None
            raise
        box = DockerBox(started, self._engine, self._exits, self._settle)
        self._metering = box.metering
        if self._left_over:
            self._spawn(self._remove_left_over())
        return box

    async def _launch(self, box: str, config: dict[str, Any]) -> Started:
        """Create and start a container in one go; undo it if that fails or nobody waits any more."""
        abandoned = threading.Event()

        def create_and_start(client: APIClient) -> Started:
            api: Any = client  # the type stubs leave the next method untyped
            container = api.create_container_from_config(config, container_name(box))["Id"]
            client.start(container)
            if abandoned.is_set():  # the removal below may have looked too early
                remove_container(client, container)
                raise EnvironmentFailure("the start was abandoned")
            return Started(box, container, client.inspect_container(container)["State"]["Pid"])

        starting = self._spawn(self._engine.call(f"starting a container of {config['Image']}", create_and_start))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            abandoned.set()
            self._spawn(self._undo(box, starting))
            raise
        except EnvironmentFailure:
            abandoned.set()
            await self._undo(box, starting)
            raise

    def _settle(self, started: Started, removed: bool) -> None:
        self._own.discard(started.box)
        if not removed:
            self._left_over.add(started.container)

    async def prepare(self, runtime: str) -> None:
        """See `Isolation.prepare`: builds the runtime's image if the engine does not have it."""
        await self._image(runtime)

    async def _image(self, name: str) -> str:
        return await self._images.ensure(find_runtime(name), self._base_image)

    async def find_image(self, uri: str) -> str | None:
        """The engine's id of the image that it has under a name. Raises `EnvironmentFailure` if it does not answer."""
        found = await self._images.find(uri)
        return None if found is None else found.id

    async def _own_image(self, spec: BoxSpec) -> ImageFacts | None:
        if spec.image is None:
            return None
        found = await self._images.find(spec.image.id)
        if found is None:
            raise EnvironmentFailure(
                f"the Docker engine has no image {spec.image.uri} any more as it was when the function got it: "
                "build or load it again, and update the function's code"
            )
        return found

    async def sweep(self) -> int:
        """See `Isolation.sweep`. Leaves the boxes of this invoker alone, so it may be called at any time.

        The first one is repeated a little later: the engine goes on with what it was asked for by whoever was killed.
        """
        if self._late_sweep is None:
            self._late_sweep = asyncio.get_running_loop().call_later(
                _LATE_S, lambda: self._spawn(self._sweep_unless_away())
            )

        def remove_others(client: APIClient) -> int:
            found = client.containers(all=True, filters={"label": f"{INSTANCE_LABEL}={self._instance}"})
            # Looked up now: one that is listed, and ours, was among them before it was made.
            others = [item["Id"] for item in found if item["Labels"].get(BOX_LABEL) not in self._own]
            for container in others:
                remove_container(client, container)
            return len(others)

        removed = await self._engine.call("removing containers that were left behind", remove_others)
        self._left_over.clear()
        if not self._own:
            await self._remove_network()
        return removed

    async def status(self) -> IsolationStatus:
        """See `Isolation.status`."""
        try:
            facts = await self._engine.facts(fresh=True)
        except EnvironmentFailure as failure:
            return IsolationStatus(name=self.name, available=False, detail=failure.message)
        cgroup = f"cgroup v{facts.cgroup_version}" if facts.cgroup_driver != "none" else "not enforced: no cgroups"
        return IsolationStatus(
            name=self.name,
            available=True,
            detail=f"Docker {facts.version}, runtimes {', '.join(facts.runtimes)}",
            limits={
                **dict.fromkeys(("memory", "cpu", "pids"), cgroup),
                "open_files": "rlimit",
                "tmp": "tmpfs",
                "metering": self._metering,
                "scale-out": scale_out(self._seats, self.name),
            },
        )

    async def _sweep_unless_away(self) -> None:
        try:
            removed = await self.sweep()
        except EnvironmentFailure as failure:
            log.warning("%s; the next start of Samovar looks again", failure.message)
        else:
            if removed:
                log.warning("removed %d containers the engine had still been making for a former invoker", removed)

    async def close(self) -> None:
        """See `Isolation.close`."""
        if self._late_sweep is not None:
            self._late_sweep.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._remove_left_over()
        await self._exits.close()
        await self._images.close()
        try:
            await self._remove_network()
        except EnvironmentFailure as failure:
            log.warning("network %s stays: %s", network_name(self._instance), failure.message)
        self._engine.close()

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _undo(self, box: str, starting: asyncio.Task[Started]) -> None:
        """Remove what a failed or abandoned start has made, now or when the engine lets us."""
        await asyncio.gather(starting, return_exceptions=True)
        self._left_over.add(container_name(box))
        await self._remove_left_over()

    async def _remove_left_over(self) -> None:
        for name in sorted(self._left_over):
            try:
                await self._engine.call(f"removing container {name}", partial(remove_container, container=name))
            except EnvironmentFailure as failure:
                log.warning("container %s may be left behind until the engine answers: %s", name, failure.message)
                return
            self._left_over.discard(name)

    async def _ensure_network(self) -> None:
        """Create our bridge once; a failed attempt is repeated by the next start."""
        if self._network is None:
            self._network = self._spawn(self._engine.call("creating a network", self._create_network))
        try:
            await asyncio.shield(self._network)
        except EnvironmentFailure:
            self._network = None
            raise

    def _create_network(self, client: APIClient) -> None:
        name = network_name(self._instance)
        if client.networks(names=[name], filters={"label": f"{INSTANCE_LABEL}={self._instance}"}):
            return
        client.create_network(
            name,
            driver="bridge",
            # Boxes reach out, not each other.
            options={"com.docker.network.bridge.enable_icc": "false"},
            labels={INSTANCE_LABEL: self._instance},
            check_duplicate=True,
        )

    async def _remove_network(self) -> None:
        def remove(client: APIClient) -> None:
            for network in client.networks(filters={"label": f"{INSTANCE_LABEL}={self._instance}"}):
                with contextlib.suppress(NotFound):
                    client.remove_network(network["Id"])

        await self._engine.call("removing a network", remove)
        self._network = None
