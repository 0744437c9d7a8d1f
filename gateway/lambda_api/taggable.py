"""What tags can be on: functions and event source mappings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Protocol

import msgspec
from fastapi import Depends, Request

from gateway.functions.functions import Functions
from gateway.lambda_api.edge import Region, UsesFunctions, UsesServices, find, resolve
from gateway.lambda_api.mappings import UsesLeases, UsesMappings, settled_mapping
from gateway.lambda_api.placement import with_tags
from gateway.lambda_api.validation import check_tags
from gateway.mappings.mapping import Mapping as EventSourceMapping
from gateway.mappings.mapping_store import MappingStore
from gateway.pollers.leases import Leases
from gateway.services import Services
from samovar.errors import InvalidParameterValue, ResourceNotFound
from samovar.names import FunctionReference, new_request_id

Tags = Mapping[str, str]
EditTags = Callable[[Tags], dict[str, str]]


class Taggable(Protocol):
    """One resource with tags. Both methods raise `ResourceNotFound`."""

    async def tags(self) -> Tags:
        """Those it has."""
        ...

    async def retag(self, edit: EditTags) -> None:
        """Give it others. Raises `InvalidParameterValue` for what it cannot have."""
        ...


class FunctionTags:
    """Tags of a function, by which it also chooses where it runs."""

    def __init__(self, services: Services, functions: Functions, reference: FunctionReference) -> None:
        self._services = services
        self._functions = functions
        self._reference = reference

    async def tags(self) -> Tags:
        """See `Taggable`."""
        return (await find(self._services, self._reference)).tags

    async def retag(self, edit: EditTags) -> None:
        """See `Taggable`."""
        await self._functions.attach(self._reference.arn, lambda record: with_tags(record, edit(record.tags)))


class MappingTags:
    """Tags of an event source mapping."""

    def __init__(self, store: MappingStore, leases: Leases, region: str, arn: str) -> None:
        self._store = store
        self._leases = leases
        self._region = region
        self._arn = arn

    async def tags(self) -> Tags:
        """See `Taggable`."""
        return (await self._settled()).tags

    async def retag(self, edit: EditTags) -> None:
        """See `Taggable`."""
        current = await self._settled()
        tags = edit(current.tags)
        check_tags(tags)
        changed = msgspec.structs.replace(current, tags=tags, revision_id=new_request_id())
        await self._store.put(current, changed)

    async def _settled(self) -> EventSourceMapping:
        try:
            return await settled_mapping(self._store, self._leases, self._region, self._arn.rpartition(":")[2])
        except ResourceNotFound as error:
            raise ResourceNotFound(f"Event source mapping not found: {self._arn}") from error


def _named(
    request: Request,
    region: Region,
    services: UsesServices,
    functions: UsesFunctions,
    store: UsesMappings,
    leases: UsesLeases,
) -> Taggable:
    """What the ARN of a request means. Raises `ResourceNotFound` for kinds of which there is nothing here."""
    arn = request.state.given["Resource"]
    kind = arn.split(":", 6)[5]
    if kind == "event-source-mapping":
        return MappingTags(store, leases, region, arn)
    if kind == "capacity-provider":
        raise ResourceNotFound(f"Capacity provider not found: {arn}")
    if kind != "function":
        raise ResourceNotFound("The resource you requested does not exist.")
    reference = resolve(services, region, arn)
    if reference.qualifier is not None:
        raise InvalidParameterValue(
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
        )
    return FunctionTags(services, functions, reference)


NamedTaggable = Annotated[Taggable, Depends(_named)]
"""The resource whose ARN a request gives."""
