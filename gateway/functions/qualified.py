"""The published versions and aliases a gateway knows, beside the functions of the registry.

Aliases are few and small, and all of them are kept of the functions whose calls name one. Of versions, which are many
and never change, those are kept that were called. What the function as a whole has (reserved concurrency, placement,
tags) is joined to a version here, so that it holds for versions that were published before it was set.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

import msgspec

from gateway.functions.qualified_store import QualifiedStore
from gateway.functions.record import Alias, FunctionRecord, FunctionUrl
from gateway.functions.routing import choose
from samovar.names import LATEST
from samovar.provisioning import Provision

_KEPT: Final = 4096
"""Versions kept in memory, over all functions; what was read first goes first."""


def joined(version: FunctionRecord, latest: FunctionRecord) -> FunctionRecord:
    """A published version with what its function has as a whole.

    Its serial grows when that changes, by which an invoker knows that there is something new to it.
    """
    held = [one.provisioned for one in latest.attached.values() if one.provisioned is not None]
    count = sum(one.versions.get(version.version.version, 0) for one in held)
    record = msgspec.structs.replace(
        version.version,
        provisioned=(Provision(count=count),) if count else (),
        max_environments=latest.version.max_environments,
        placement=latest.version.placement,
        serial=max(version.version.serial, latest.attached_serial),
    )
    return msgspec.structs.replace(version, version=record, tags=latest.tags, http_route=latest.http_route)


def url_key(url: FunctionUrl, arn: str) -> str:
    """What the host names of a function's URL begin with, but for the word between: its id and its region."""
    return f"{url.url_id}.{arn.split(':', 4)[3]}"


class Qualified:
    """See the module. Belongs to the registry, which tells it what has changed."""

    def __init__(
        self,
        store: QualifiedStore,
        latest: Callable[[str], FunctionRecord | None],
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`latest` gives a function by its ARN if it is cached; `chance` is what weighted routing draws."""
        self.store = store
        self._latest = latest
        self._chance = chance
        self._aliases: dict[str, Alias] = {}
        """By qualified ARN."""
        self._urls: dict[str, str] = {}
        """The qualified ARNs of aliases by their URLs: id and region, joined by a dot."""
        self._versions: dict[str, FunctionRecord] = {}
        """As they were published, by qualified ARN."""
        self._joined: dict[str, FunctionRecord] = {}
        self._changes = 0  # counts what may have made a read in progress outdated

    def cached(self, arn: str, qualifier: str) -> FunctionRecord | None:
        """The version that takes a call to a version or an alias, as far as it is known. No I/O."""
        alias = self._aliases.get(f"{arn}:{qualifier}")
        if alias is not None:
            qualifier = choose(alias, self._chance()) if alias.weights else alias.version
            if qualifier == LATEST:
                return self._latest(arn)
        return self._joined.get(f"{arn}:{qualifier}")

    def cached_by_url(self, url: str) -> FunctionRecord | None:
        """The version that takes a call to an alias's URL (id and region, joined by a dot). No I/O."""
        name = self._urls.get(url)
        alias = None if name is None else self._aliases.get(name)
        if name is None or alias is None:
            return None
        record = self.cached(name.removesuffix(f":{alias.name}"), alias.name)
        return None if record is None else msgspec.structs.replace(record, url=alias.url)

    async def by_url(self, latest: FunctionRecord, name: str, url: str) -> FunctionRecord | None:
        """As `cached_by_url`, reading what is not; `None` if the alias has no such URL."""
        alias = await self._read_alias(latest.arn, name)
        if alias is None or alias.url is None or url_key(alias.url, latest.arn) != url:
            return None
        record = await self.get(latest, name)
        return None if record is None else msgspec.structs.replace(record, url=alias.url)

    async def get(self, latest: FunctionRecord, qualifier: str) -> FunctionRecord | None:
        """As `cached`, reading what is not; `None` if there is no such version or alias."""
        if not qualifier.isdecimal():
            alias = self._aliases.get(f"{latest.arn}:{qualifier}") or await self._read_alias(latest.arn, qualifier)
            if alias is None:
                return None
            qualifier = choose(alias, self._chance())
        if qualifier == LATEST:
            return latest
        return self._joined.get(f"{latest.arn}:{qualifier}") or await self._read(latest, qualifier)

    async def fresh(self, latest: FunctionRecord, qualifier: str) -> FunctionRecord | None:
        """A version, or the one an alias mainly points to, as the store has it now."""
        if not qualifier.isdecimal():
            alias = await self.store.alias(latest.arn, qualifier)
            if alias is None:
                return None
            qualifier = alias.version
        return latest if qualifier == LATEST else await self._read(latest, qualifier)

    async def _read_alias(self, arn: str, name: str) -> Alias | None:
        changes = self._changes
        alias = await self.store.alias(arn, name)
        if alias is not None and changes == self._changes:
            self._keep_alias(arn, alias)
        return alias

    async def _read(self, latest: FunctionRecord, number: str) -> FunctionRecord | None:
        changes = self._changes
        version = await self.store.version(latest.arn, number)
        if version is None:
            return None
        if changes == self._changes:
            self._keep(f"{latest.arn}:{number}", version, latest)
        return joined(version, latest)

    def _keep(self, name: str, version: FunctionRecord, latest: FunctionRecord) -> None:
        if name not in self._versions and len(self._versions) >= _KEPT:
            self._forget(next(iter(self._versions)))
        self._versions[name] = version
        self._joined[name] = joined(version, latest)

    # What the registry tells.

    def follows(self, latest: FunctionRecord) -> None:
        """A function has changed as a whole."""
        self._changes += 1
        prefix = f"{latest.arn}:"
        for name in [name for name in self._versions if name.startswith(prefix)]:
            self._joined[name] = joined(self._versions[name], latest)

    def drop(self, arn: str) -> None:
        """A function is gone."""
        prefix = f"{arn}:"
        for name in [name for name in (*self._aliases, *self._versions) if name.startswith(prefix)]:
            self._forget(name)

    def clear(self) -> None:
        """Notifications were missed: what is known may be out of date."""
        self._changes += 1
        self._aliases.clear()
        self._urls.clear()
        self._versions.clear()
        self._joined.clear()

    async def refresh(self, arn: str, qualifier: str) -> None:
        """A version or an alias has changed, or is gone."""
        self._changes += 1
        name = f"{arn}:{qualifier}"
        if name in self._versions and await self.store.version(arn, qualifier) is None:
            self._forget(name)
        elif name in self._aliases:
            alias = await self.store.alias(arn, qualifier)
            if alias is None:
                self._forget(name)
            else:
                self._keep_alias(arn, alias)

    def keep(self, arn: str, alias: Alias) -> None:
        """This process has changed an alias itself."""
        self._changes += 1
        self._keep_alias(arn, alias)

    def forget(self, arn: str, qualifier: str) -> None:
        """This process has deleted a version or an alias itself."""
        self._forget(f"{arn}:{qualifier}")

    def _keep_alias(self, arn: str, alias: Alias) -> None:
        name = f"{arn}:{alias.name}"
        self._drop_url(name)
        self._aliases[name] = alias
        if alias.url is not None:
            self._urls[url_key(alias.url, arn)] = name

    def _drop_url(self, name: str) -> None:
        known = self._aliases.get(name)
        if known is not None and known.url is not None:
            self._urls.pop(url_key(known.url, name), None)

    def _forget(self, name: str) -> None:
        self._changes += 1
        self._drop_url(name)
        self._aliases.pop(name, None)
        self._versions.pop(name, None)
        self._joined.pop(name, None)
