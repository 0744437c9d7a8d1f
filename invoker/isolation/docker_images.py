"""The images that runtimes run in, built when they are missing."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker import APIClient
from docker.errors import NotFound

from invoker.environments.kits import Kits
from invoker.environments.runtimes import Runtime
from invoker.isolation.docker_engine import Engine
from samovar.errors import EnvironmentFailure

log = logging.getLogger("samovar.invoker.docker")

_PROGRESS = ("Step ", " --->", "Removing ")
"""How lines begin by which the builder counts its steps; the others are the words of what it ran."""
_COLOUR = re.compile(r"\x1b\[\d*m")
BUILD_TIMEOUT_S = 600.0
"""A build fetches the base image when the engine does not have it."""


def image_tag(repository: str, folder: Path, base_image: str) -> str:
    """`<repository>:<digest>`; the digest changes with the files and the base it is built from.

    Folders count by their names: they are libraries, whose versions are in the names of their metadata.
    """
    digest = hashlib.sha256(base_image.encode())
    for path in sorted(path for path in folder.iterdir() if path.name != "__pycache__"):
        digest.update(b"\0" + path.name.encode() + b"\0" + (path.read_bytes() if path.is_file() else b""))
    return f"{repository}:{digest.hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """An image that the engine has, and what it says of itself."""

    id: str
    entry_point: tuple[str, ...]
    command: tuple[str, ...]
    working_directory: str


class Images:
    """Builds each missing image once, however many starts wait for it."""

    def __init__(self, engine: Engine, kits: Kits | None = None) -> None:
        self._engine = engine
        self._kits = kits
        self._tags: dict[tuple[str, str], str] = {}
        self._present: set[str] = set()
        self._building: dict[str, asyncio.Task[None]] = {}

    async def ensure(self, runtime: Runtime, base_image: str = "") -> str:
        """The tag of a runtime's image, after it was built if it was missing; empty takes the public base image.

        A caller that gives up does not stop the build: the next start finds it further on. Raises
        `EnvironmentFailure` with the end of the build's output.
        """
        base_image = base_image or runtime.base_image
        tag = self._tags.get((runtime.name, base_image))
        if tag in self._present:
            return tag
        if self._kits is not None:
            runtime = await asyncio.to_thread(self._kits.equip, runtime)
        tag = await asyncio.to_thread(image_tag, runtime.image, runtime.folder, base_image)
        self._tags[runtime.name, base_image] = tag
        build = self._building.get(tag)
        if build is None:
            build = self._building[tag] = asyncio.create_task(self._provide(tag, runtime, base_image))
            build.add_done_callback(lambda _: self._building.pop(tag, None))
        await asyncio.shield(build)
        return tag

    async def find(self, name: str) -> ImageFacts | None:
        """An image that is there, by name or id; nothing is pulled. Raises `EnvironmentFailure`."""

        def inspect(client: APIClient) -> ImageFacts | None:
            try:
                api: Any = client  # the type stubs leave the next method untyped
                found = api.inspect_image(name)
            except NotFound:
                return None
            config = found["Config"] or {}
            return ImageFacts(
                id=found["Id"],
                entry_point=tuple(config.get("Entrypoint") or ()),
                command=tuple(config.get("Cmd") or ()),
                working_directory=config.get("WorkingDir") or "/",
            )

        return await self._engine.call(f"looking at image {name}", inspect)

    def forget(self, tag: str) -> None:
        """Look for an image again: somebody has removed it."""
        self._present.discard(tag)

    async def close(self) -> None:
        """Stop waiting for builds."""
        builds = list(self._building.values())
        for build in builds:
            build.cancel()
        await asyncio.gather(*builds, return_exceptions=True)

    async def _provide(self, tag: str, runtime: Runtime, base_image: str) -> None:
        def build_if_missing(client: APIClient) -> None:
            if not client.images(tag, quiet=True):
                log.info("building image %s from %s", tag, base_image)
                _build(client, tag, runtime, base_image)

        await self._engine.call(f"building image {tag}", build_if_missing, BUILD_TIMEOUT_S)
        self._present.add(tag)


def _build(client: APIClient, tag: str, runtime: Runtime, base_image: str) -> None:
    said: list[str] = []
    steps: Any = client.build(
        path=str(runtime.folder),
        dockerfile=str(runtime.dockerfile.relative_to(runtime.folder)),
        tag=tag,
        buildargs={"BASE_IMAGE": base_image, "RUNTIME": runtime.name},
        labels={"samovar.runtime": runtime.name},
        rm=True,
        forcerm=True,
        decode=True,
        timeout=int(BUILD_TIMEOUT_S),
    )
    fault = ""
    for step in steps:  # to its end, which gives the connection back
        said.append(step.get("stream") or step.get("status") or "")
        fault = step.get("error") or fault
    if fault:
        raise EnvironmentFailure(
            f"image {tag} cannot be built from base image {base_image}: {_reason(said, fault)}. Set SAMOVAR_BASE_IMAGE "
            "to an image with the runtime's interpreter that this engine has or can pull"
        )


def _reason(said: list[str], fault: str) -> str:
    """The last words of what the build ran, if it ran anything; else what the engine says itself."""
    lines = _COLOUR.sub("", "".join(said)).splitlines()
    words = [line.strip() for line in lines if line.strip() and not line.startswith(_PROGRESS)]
    return words[-1] if words else fault.strip()
