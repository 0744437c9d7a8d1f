"""Publishing and deleting versions, and pointing aliases at them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from gateway.functions.artifacts import base64_digest
from gateway.functions.functions import SETTLED_WITHIN_S, Functions
from gateway.functions.qualified import joined
from gateway.functions.qualified_store import QualifiedStore, VersionInUse
from gateway.functions.record import Alias, FunctionRecord, without_qualifier
from gateway.functions.registry import Registry, check_revision, not_found
from gateway.functions.routing import check_routing
from samovar.errors import InvalidParameterValue, PreconditionFailed, ResourceConflict, ResourceNotFound
from samovar.function import Placement
from samovar.link.operations import Forget, Warm
from samovar.names import new_request_id

_ATTEMPTS: Final = 16
"""How often a change is tried again that others got in the way of."""
AliasEdit = Callable[[Alias], Alias]


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller says about a version to be published."""

    description: str | None = None
    """`None` takes the function's."""
    code_sha256: str | None = None
    """Publish only if the code has this digest, in Base64."""
    revision_id: str | None = None
    """Publish only if the function has this revision."""


class Published:
    """What the control API does with versions and aliases."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions
        self._registry: Registry = functions.registry

    @property
    def _store(self) -> QualifiedStore:
        return self._registry.qualified.store

    async def publish(self, arn: str, wish: Publication) -> FunctionRecord:
        """Make a version of a function as it is now, or give the last one if nothing has changed since.

        Raises `ResourceNotFound`; `PreconditionFailed` and `InvalidParameterValue` for preconditions that do not hold;
        `ResourceConflict` if other changes keep getting in between.
        """
        for _ in range(_ATTEMPTS):
            current = await self._registry.fresh(arn)
            _check_preconditions(current, wish)
            if current.is_published:
                last = await self._store.version(arn, str(current.last_published))
                if last is not None:
                    return joined(last, current)
            version = self._version(current, wish, await self._registry.store.next_serial())
            latest = msgspec.structs.replace(
                current,
                last_published=int(version.version.version),
                is_published=True,
                version=msgspec.structs.replace(current.version, revision_id=new_request_id()),
            )
            written = await self._store.publish(current, latest, version)
            if written == "ok":
                self._registry.apply(latest)
                return joined(version, latest)
            if written == "missing":
                raise not_found(arn)
        raise _busy(arn)

    def _version(self, current: FunctionRecord, wish: Publication, serial: int) -> FunctionRecord:
        """The record of a new version: what is of the function as a whole is joined to it when it is read."""
        version = msgspec.structs.replace(
            current.version,
            version=str(current.last_published + 1),
            serial=serial,
            revision_id=new_request_id(),
            max_environments=None,
            placement=Placement(),
            provisioned=(),
        )
        description = current.description if wish.description is None else wish.description
        timestamp = self._functions.timestamp()
        return msgspec.structs.replace(
            current, version=version, description=description, last_modified=timestamp, tags={}, url=None, attached={}
        )

    async def delete(self, arn: str, number: str) -> set[str]:
        """Remove a version, if it exists; the digests of what it used.

        Raises `ResourceNotFound` without the function, and `ResourceConflict` for a version that aliases point to.
        """
        await self._registry.fresh(arn)
        record = await self._store.version(arn, number)
        try:
            serial = await self._store.delete_version(arn, number)
        except VersionInUse as used:
            raise ResourceConflict(
                f"Unable to delete version because the following aliases reference it: [{', '.join(used.aliases)}]"
            ) from used
        self._registry.qualified.forget(arn, number)
        await self._detach(arn, number)
        if serial is not None:
            await self._functions.tell("forget", msgspec.json.encode(Forget(arn, serial, number)))
        return set() if record is None else {record.version.code_sha256, record.version.layers_sha256}

    async def create_alias(self, arn: str, alias: Alias) -> Alias:
        """Add an alias. Raises `ResourceConflict`, `ResourceNotFound` and `InvalidParameterValue`."""
        return await self._put(arn, None, alias)

    async def change_alias(self, arn: str, name: str, edit: AliasEdit, revision_id: str | None) -> Alias:
        """Change an alias by `edit`. Raises as `create_alias` does, and `PreconditionFailed`."""
        for _ in range(_ATTEMPTS):
            current = await self._store.alias(arn, name)
            if current is None:
                raise ResourceNotFound(f"Alias not found: {arn}:{name}")
            if revision_id is not None and revision_id != current.revision_id:
                raise PreconditionFailed(
                    "The Revision Id provided does not match the latest Revision Id. "
                    "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
                )
            edited = edit(current)
            for number in {edited.version, *edited.weights} - {current.version, *current.weights}:
                await self._warm(arn, number, current.version)
            try:
                return await self._put(arn, current, edited)
            except _ChangedMeanwhile:
                continue
        raise _busy(f"{arn}:{name}")

    async def _warm(self, arn: str, number: str, beside: str) -> None:
        """Nobody is to be cold because an alias has moved. What cannot be warmed keeps no alias where it is."""
        try:
            version = (await self._registry.fresh(arn, number)).version
        except ResourceNotFound:
            return  # which is said when the alias is to be written
        await self._functions.tell("warm", msgspec.json.encode(Warm(version, beside, SETTLED_WITHIN_S)))

    async def delete_alias(self, arn: str, name: str) -> None:
        """Remove an alias; one that is not there is no error. Raises `ResourceNotFound` without the function."""
        await self._registry.fresh(arn)
        await self._store.delete_alias(arn, name)
        self._registry.qualified.forget(arn, name)
        await self._detach(arn, name)

    async def _detach(self, arn: str, qualifier: str) -> None:
        """Remove what was attached to a version or an alias, so that a later one of its name does not inherit it."""
        if qualifier in (await self._registry.fresh(arn)).attached:
            await self._registry.change(arn, lambda record: without_qualifier(record, qualifier))

    async def _put(self, arn: str, current: Alias | None, alias: Alias) -> Alias:
        check_routing(alias)
        alias = msgspec.structs.replace(alias, revision_id=new_request_id())
        written = await self._store.put_alias(arn, current, alias)
        if written == "changed":
            raise _ChangedMeanwhile
        if written == "exists":
            raise ResourceConflict(f"Alias already exists: {arn}:{alias.name}")
        if written == "missing":
            raise not_found(arn, alias.version)
        if written != "ok":
            raise not_found(arn, written.partition(":")[2])
        self._registry.qualified.keep(arn, alias)
        return alias


class _ChangedMeanwhile(Exception):
    """The alias is not any more what it was when it was read."""


def _check_preconditions(current: FunctionRecord, wish: Publication) -> None:
    check_revision(current, wish.revision_id)
    code = current.version.code_sha256
    digest = base64_digest(code) if current.version.image is None else code
    if wish.code_sha256 and wish.code_sha256 != digest:
        raise InvalidParameterValue(
            f"CodeSHA256 ({wish.code_sha256}) is different from current CodeSHA256 in $LATEST ({digest}). "
            "Please try again with the CodeSHA256 in $LATEST."
        )


def _busy(arn: str) -> ResourceConflict:
    return ResourceConflict(
        f"The operation cannot be performed at this time. An update is in progress for resource: {arn}"
    )
