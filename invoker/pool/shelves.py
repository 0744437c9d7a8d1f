"""Which shelf a call or an environment belongs to: that of a version's record in force, or of the one to follow it."""

from __future__ import annotations

from collections.abc import Iterator

from invoker.environments.environment import Environment
from invoker.pool.keepalive import KeepAlive
from invoker.pool.shelf import Shelf
from samovar.function import FunctionVersion

Key = tuple[str, str]


class Shelves:
    """See the module. Iterating gives the shelves of the records in force."""

    def __init__(self, keep: KeepAlive) -> None:
        self._keep = keep
        self._current: dict[Key, Shelf] = {}
        self._coming: dict[Key, Shelf] = {}
        """Of records that are to follow, once they are warm: their environments serve nobody yet."""

    def __iter__(self) -> Iterator[Shelf]:
        return iter(list(self._current.values()))

    def get(self, key: Key) -> Shelf | None:
        """The shelf of the record in force."""
        return self._current.get(key)

    def add(self, version: FunctionVersion) -> Shelf:
        """The shelf of a version that has none yet."""
        shelf = self._current[version.key] = Shelf(version, self._keep)
        return shelf

    def home(self, environment: Environment) -> Shelf | None:
        """The shelf an environment belongs to; `None` when its record is outdated."""
        serial = environment.version.serial
        shelf = self._current.get(environment.key)
        if shelf is not None and shelf.since <= serial <= shelf.version.serial:
            return shelf
        coming = self._coming.get(environment.key)
        return coming if coming is not None and coming.since <= serial <= coming.version.serial else None

    def prepare(self, version: FunctionVersion) -> tuple[Shelf, Shelf | None]:
        """The shelf of a record that is to follow, and another one that was to, which is given up."""
        present = self._coming.get(version.key)
        if present is not None and present.version.is_built_like(version):
            present.version = version
            return present, None
        shelf = self._coming[version.key] = Shelf(version, self._keep, self._current.get(version.key))
        return shelf, present

    def succeed(self, version: FunctionVersion) -> tuple[Shelf, list[Shelf]]:
        """Put a newer record in force. Gives its shelf, which has the calls that wait, and those that are outdated."""
        old = self._current[version.key]
        coming = self._coming.pop(version.key, None)
        # What a lower limit has no place for could not be told from the rest: all of it makes way.
        fits = version.max_environments is None or old.live <= version.max_environments
        if fits and old.version.is_built_like(version):
            old.version = version
            return old, [coming] if coming is not None else []
        outdated = [old]
        if coming is not None and not coming.version.is_built_like(version):
            outdated.append(coming)
            coming = None
        shelf = coming or Shelf(version, self._keep, old)
        shelf.version = version
        shelf.waiters, old.waiters = old.waiters, shelf.waiters
        self._current[version.key] = shelf
        return shelf, outdated

    def remove(self, key: Key) -> list[Shelf]:
        """A version is gone: its shelves, that of the record in force first."""
        found = (shelves.pop(key, None) for shelves in (self._current, self._coming))
        return [shelf for shelf in found if shelf is not None]

    @property
    def waiting(self) -> int:
        """Calls in all queues."""
        return sum(shelf.waiting for shelf in self._current.values())

    def hungry(self) -> list[Shelf]:
        """Those that have calls waiting, the longest first."""
        waiting = [shelf for shelf in self._current.values() if shelf.waiters]
        return sorted(waiting, key=lambda one: one.waiters[0].since)
