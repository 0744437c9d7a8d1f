"""What an environment lives in: a folder with the invoker's sockets, who is connected to them, and a box.

The environments that are forked into a box (`snapshots.py`) have homes of their own in it. They are its first
environment's *guests*: what they share is kept until the last of all of them has left.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from invoker.environments.endpoint import Endpoint
from invoker.environments.relay import Address
from invoker.environments.runtime_link import RuntimeLink
from invoker.isolation.contract import Box
from invoker.isolation.seats import empty_tmp
from samovar.errors import EnvironmentFailure

log = logging.getLogger("samovar.environment")


class Home:
    """See the module. Made by the factory; belongs to its environment, and then to the guests."""

    def __init__(self, folder: Path, deliver: Callable[[bytes], None], host: Home | None = None) -> None:
        """`deliver` is given each line of output; `host` is whose box it is in. Raises `OSError`."""
        folder.mkdir(mode=0o755)
        self.folder = folder
        self.link = RuntimeLink(folder, deliver)
        self.box: Box | None = None
        self._endpoint: Endpoint | None = None
        self._host = host
        self._guests = 0
        self._is_left = False
        self._watch: asyncio.Task[None] | None = None
        self._removal: asyncio.Task[None] | None = None

    def open_endpoint(self, to: Address) -> None:
        """Have the box's processes reach that address, from when its keeper hands over the port. Raises `OSError`."""
        self._endpoint = Endpoint(self.folder, to)

    @property
    def has_guests(self) -> bool:
        """Whether others live in its box."""
        return self._guests > 0

    @property
    def box_id(self) -> str:
        """The environment that the box was started for."""
        return (self._host or self).folder.name

    def take(self, box: Box) -> None:
        """Own a started box, and tell those at the link when it ends."""
        self.box = box
        self._watch = asyncio.create_task(self._watch_box(box), name=f"watch-{box.id}")

    async def _watch_box(self, box: Box) -> None:
        self.link.box_ended(await box.wait())

    def take_in(self, number: int, deliver: Callable[[bytes], None]) -> Home:
        """A home in this one for a guest. Raises `EnvironmentFailure` if it is being removed, and `OSError`."""
        if self._removal is not None:
            raise EnvironmentFailure("its box is being removed")
        seats = self.folder / "seats"
        seats.mkdir(mode=0o755, exist_ok=True)
        guest = Home(seats / str(number), deliver, self)
        self._guests += 1
        return guest

    async def leave(self, reason: str) -> None:
        """Leave no trace but what guests need. May be called several times. Raises `EnvironmentFailure`."""
        self._is_left = True
        if self._guests and await self.link.kill_worker():
            await self._clear()
            if self._guests:
                return
        await self._remove(reason)

    async def _clear(self) -> None:
        """Give back the memory of files nobody will read again."""
        if self.box is not None:
            try:
                await asyncio.to_thread(empty_tmp, self.box)
            except OSError as error:  # the box has just ended, or its memory goes with it later
                log.debug("the files of box %s were not removed: %s", self.box.id, error)

    async def _remove(self, reason: str) -> None:
        if self._removal is None:
            self._removal = asyncio.create_task(self._remove_all(reason))
        await asyncio.shield(self._removal)

    async def _remove_all(self, reason: str) -> None:
        try:
            if self.box is not None:
                await self.box.destroy(reason)
        finally:
            if self._watch is not None:
                self._watch.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._watch
            self.link.close()
            if self._endpoint is not None:
                self._endpoint.close()
            shutil.rmtree(self.folder, ignore_errors=True)
            if self._host is not None:
                await self._host._guest_left(reason)

    async def _guest_left(self, reason: str) -> None:
        self._guests -= 1
        if self._is_left and not self._guests:
            await self._remove(reason)
