"""What gateways have done with log groups; the table is in `samovar/logs/groups.py`. Retention is applied here, too."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import msgspec

from invoker.logs.output import LogFiles
from invoker.server import Operation
from samovar.clock import Clock
from samovar.errors import ResourceAlreadyExists, ResourceNotFound
from samovar.logs import groups as log_groups
from samovar.logs import lines as logs
from samovar.logs.groups import GroupChange, GroupSubject, LogGroup

log = logging.getLogger("samovar.output")

_EXPIRES_EVERY_S = 3600.0
"""Readers hide a line the moment it is too old; its file is removed this often."""
NO_GROUP = "The specified log group does not exist."
NO_STREAM = "The specified log stream does not exist."


class LogGroups:
    """Owner of the groups' records. What takes its time on large files is done in threads."""

    def __init__(self, files: LogFiles, folder: Path, clock: Clock) -> None:
        self._files = files
        self._folder = folder
        self._clock = clock
        self._expiring: asyncio.Task[None] | None = None

    def table(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "create_log_group": self.create,
            "change_log_group": self.change,
            "delete_log_group": self.delete,
            "delete_log_stream": self.delete_stream,
        }

    async def create(self, body: bytes) -> bytes:
        """A group without lines. Raises `ResourceAlreadyExists`."""
        order = msgspec.json.decode(body, type=GroupChange)
        folder = self._folder_of(order)
        self._files.flush()
        if log_groups.read(folder) is not None:
            raise ResourceAlreadyExists("The specified log group already exists")
        folder.mkdir(parents=True, exist_ok=True)
        group = LogGroup(created_ms=int(self._clock.epoch() * 1000), is_explicit=True)
        log_groups.write(folder, _changed(group, order))
        return b""

    async def change(self, body: bytes) -> bytes:
        """Retention and tags."""
        order = msgspec.json.decode(body, type=GroupChange)
        log_groups.write(self._folder_of(order), _changed(self._group(order), order))
        self._expire(order.region, order.name)
        return b""

    async def delete(self, body: bytes) -> bytes:
        """The group and all lines."""
        order = msgspec.json.decode(body, type=GroupSubject)
        self._group(order)
        self._files.delete(order.region, order.name)
        return b""

    async def delete_stream(self, body: bytes) -> bytes:
        """One stream's lines, wherever they stand between those of others."""
        order = msgspec.json.decode(body, type=GroupSubject)
        self._group(order)
        folder = self._folder_of(order)
        erased = await asyncio.to_thread(logs.erase, folder, order.stream)
        if not erased:
            raise ResourceNotFound(NO_STREAM)
        group = self._group(order)  # read again: it may have been changed meanwhile
        log_groups.write(folder, msgspec.structs.replace(group, erasures=group.erasures + 1))
        return b""

    def start(self) -> None:
        """Have expired lines removed from now on."""
        self._expiring = asyncio.create_task(self._expire_all())

    async def close(self) -> None:
        """Stop that."""
        if self._expiring is not None:
            self._expiring.cancel()
            await asyncio.gather(self._expiring, return_exceptions=True)

    async def _expire_all(self) -> None:
        while True:
            try:
                for region in self._folder.iterdir() if self._folder.is_dir() else ():
                    for name in log_groups.names(self._folder, region.name):
                        self._expire(region.name, name)
            except OSError as error:
                log.warning("old log lines cannot be removed: %s", error)
            await asyncio.sleep(_EXPIRES_EVERY_S)

    def _expire(self, region: str, name: str) -> None:
        group = log_groups.read(logs.folder_of(self._folder, region, name))
        if group is not None and group.retention_days is not None:
            self._files.expire(region, name, group.oldest_ms(int(self._clock.epoch() * 1000)))

    def _group(self, order: GroupChange | GroupSubject) -> LogGroup:
        """The record as it stands, with all lines written so far. Raises `ResourceNotFound`."""
        self._files.flush()
        group = log_groups.read(self._folder_of(order))
        if group is None:
            raise ResourceNotFound(NO_GROUP)
        return group

    def _folder_of(self, order: GroupChange | GroupSubject) -> Path:
        return logs.folder_of(self._folder, order.region, order.name)


def _changed(group: LogGroup, order: GroupChange) -> LogGroup:
    tags = {**group.tags, **order.add_tags}
    for key in order.remove_tags:
        tags.pop(key, None)
    if order.retention_days is not msgspec.UNSET:
        group = msgspec.structs.replace(group, retention_days=order.retention_days, is_explicit=True)
    return msgspec.structs.replace(group, tags=tags)
