"""Event source mappings: Create, Get, List, Update and DeleteEventSourceMapping(s).

Their records are kept with their states. What reads the sources is in `gateway/pollers/`; a change is in force when
nobody reads a source any more as it was said before, and whoever looks at the mapping finds out whether that is so.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from fastapi import Depends, Request, Response

from gateway.events.targets import check_target, service_of
from gateway.lambda_api.edge import Region, UsesFunctions, UsesServices, answer, find, resolve
from gateway.lambda_api.mapping_models import (
    CreateMappingRequest,
    MappingListing,
    MappingName,
    Mappings,
    UpdateMappingRequest,
    configured,
    shown,
)
from gateway.lambda_api.operations import Operations, asked
from gateway.lambda_api.qualifiers import check_qualifier
from gateway.lambda_api.validation import check_tags
from gateway.mappings import mapping as rules
from gateway.mappings.mapping import Event, Mapping
from gateway.mappings.mapping_store import MappingStore, SourceTaken
from gateway.pollers.leases import POLL, Leases
from gateway.pollers.settling import is_polled, settled
from gateway.queues.errors import QueueDoesNotExist
from gateway.services import Services
from samovar.errors import InvalidParameterValue, ResourceConflict, ResourceNotFound
from samovar.names import FunctionReference, function_arn, new_request_id, split_arn

router = Operations()

_PAGE: Final = 100
_TOLD: Final = ("sqs", "lambda", "s3", "http", "https")
"""Services that can be told of records that are given up."""


def _store(request: Request) -> MappingStore:
    found: MappingStore = request.app.state.mappings
    return found


def _leases(request: Request) -> Leases:
    found: Leases = request.app.state.leases
    return found


UsesMappings = Annotated[MappingStore, Depends(_store)]
UsesLeases = Annotated[Leases, Depends(_leases)]


@router.operation("CreateEventSourceMapping")
async def create_event_source_mapping(
    request: Request, region: Region, services: UsesServices, functions: UsesFunctions, store: UsesMappings
) -> Response:
    """CreateEventSourceMapping."""
    wanted = asked(request, CreateMappingRequest)
    config = configured(request.state.given)
    rules.check(config)
    tags = wanted.tags or {}
    check_tags(tags)
    function = await _function(services, region, wanted.function_name)
    await _check_queue(services, function, config)
    await _check_destination(services, function, config)
    uuid = new_request_id()
    enabled = wanted.enabled is not False
    made = Mapping(
        uuid=uuid,
        revision_id=new_request_id(),
        account=services.settings.account,
        region=region,
        function_arn=function,
        state="Creating" if enabled else "Disabled",
        enabled=enabled,
        modified=functions.epoch(),
        config=rules.with_defaults(config),
        tags=tags,
    )
    await _put(store, None, made)
    _ring(services, made)
    return answer(shown(made), 202)


@router.operation("GetEventSourceMapping")
async def get_event_source_mapping(
    request: Request, region: Region, store: UsesMappings, leases: UsesLeases
) -> Response:
    """GetEventSourceMapping."""
    found = await settled_mapping(store, leases, region, asked(request, MappingName).uuid)
    return answer(shown(found, (await store.results([found.uuid])).get(found.uuid)))


@router.operation("ListEventSourceMappings")
async def list_event_source_mappings(
    request: Request, region: Region, services: UsesServices, store: UsesMappings, leases: UsesLeases
) -> Response:
    """ListEventSourceMappings, of a source, a function or all; a marker is the last UUID of the page before."""
    wanted = asked(request, MappingListing)
    function = None if wanted.function_name is None else resolve(services, region, wanted.function_name)
    found = [
        mapping
        for mapping in [await settled(store, leases, one) for one in await store.all() if one.region == region]
        if mapping is not None
        and (wanted.marker is None or mapping.uuid > wanted.marker)
        and wanted.event_source_arn in (None, mapping.config.event_source_arn)
        and (function is None or _feeds(mapping, function))
    ]
    page = found[: wanted.max_items or _PAGE]
    results = await store.results([one.uuid for one in page])
    next_marker = page[-1].uuid if len(found) > len(page) else None
    return answer(Mappings([shown(one, results.get(one.uuid)) for one in page], next_marker=next_marker))


@router.operation("UpdateEventSourceMapping")
async def update_event_source_mapping(
    request: Request,
    region: Region,
    services: UsesServices,
    functions: UsesFunctions,
    store: UsesMappings,
    leases: UsesLeases,
) -> Response:
    """UpdateEventSourceMapping: what is not given stays."""
    wanted = asked(request, UpdateMappingRequest)
    current = await settled_mapping(store, leases, region, wanted.uuid)
    changed = configured(request.state.given, current.config)
    rules.check(changed)
    event: Event = "update" if wanted.enabled is None else "enable" if wanted.enabled else "disable"
    name = wanted.function_name
    function = current.function_arn if name is None else await _function(services, region, name)
    await _check_destination(services, function, changed)
    updated = msgspec.structs.replace(
        current,
        revision_id=new_request_id(),
        function_arn=function,
        state=rules.fired(current.state, event),
        enabled=current.enabled if wanted.enabled is None else wanted.enabled,
        modified=functions.epoch(),
        config=changed,
    )
    await _put(store, current, updated)
    _ring(services, updated)
    return answer(shown(updated), 202)


@router.operation("DeleteEventSourceMapping")
async def delete_event_source_mapping(
    request: Request, region: Region, functions: UsesFunctions, store: UsesMappings, leases: UsesLeases
) -> Response:
    """DeleteEventSourceMapping."""
    current = await settled_mapping(store, leases, region, asked(request, MappingName).uuid)
    deleted = msgspec.structs.replace(
        current,
        revision_id=new_request_id(),
        state=rules.fired(current.state, "delete"),
        modified=functions.epoch(),
    )
    await _put(store, current, deleted)
    return answer(shown(deleted), 202)


async def settled_mapping(store: MappingStore, leases: Leases, region: str, uuid: str) -> Mapping:
    """A mapping in the state it is in now. Raises `ResourceNotFound`."""
    found = await store.get(uuid.lower())
    now = None if found is None or found.region != region else await settled(store, leases, found)
    if now is None:
        raise ResourceNotFound("The resource you requested does not exist.")
    return now


def _ring(services: Services, mapping: Mapping) -> None:
    """Have some worker begin to read the source; those that read it already hear of the change by themselves."""
    if is_polled(mapping):
        services.doorbell.ask(POLL, (mapping.uuid, 0))


async def _function(services: Services, region: str, name: str) -> str:
    """The ARN a mapping is for. Raises `InvalidParameterValue` if there is no such function, version or alias."""
    reference = resolve(services, region, name)
    try:
        await find(services, reference._replace(qualifier=None))
        await check_qualifier(services, reference)
    except ResourceNotFound as error:
        raise InvalidParameterValue("Function does not exist") from error
    return function_arn(reference.account or "", region, reference.name, reference.qualifier)


async def _check_queue(services: Services, function_arn: str, config: rules.Config) -> None:
    """A queue has to be there, and to leave the function its time; AWS's words."""
    if rules.kind_of(config) != "sqs":
        return
    try:
        queue = await services.queues.get(config.event_source_arn or "")
    except QueueDoesNotExist as error:
        raise InvalidParameterValue(
            f"Error occurred while ReceiveMessage. SQS Error Code: {error.code}. SQS Error Message: {error.message}"
        ) from error
    arn, qualifier = split_arn(function_arn)
    timeout_s = (await services.registry.get(arn, qualifier)).version.limits.timeout_s
    visibility_s = queue.rules.visibility_ms // 1000
    if visibility_s < timeout_s:
        raise InvalidParameterValue(
            f"Queue visibility timeout: {visibility_s} seconds is less than Function timeout: {timeout_s} seconds"
        )


async def _check_destination(services: Services, function_arn: str, config: rules.Config) -> None:
    """What is told of records that are given up is of a kind that can be told, and, as a function, is there."""
    arn = rules.on_failure(config)
    if arn is None or rules.kind_of(config) != "redis":
        return
    service = service_of(arn)
    if service not in _TOLD:
        raise InvalidParameterValue(f"The destination ARN {arn} is invalid.")
    if service != "lambda":
        check_target(arn)
        return
    target, qualifier = split_arn(arn)
    if target == split_arn(function_arn)[0]:
        raise InvalidParameterValue("You can't specify the function as a destination for itself.")
    try:
        await services.registry.get(target, qualifier)
    except ResourceNotFound as error:
        raise InvalidParameterValue(f"The destination ARN {arn} is invalid.") from error


def _feeds(mapping: Mapping, function: FunctionReference) -> bool:
    if function.qualifier is not None:
        return mapping.function_arn == f"{function.arn}:{function.qualifier}"
    return mapping.function_arn == function.arn or mapping.function_arn.startswith(f"{function.arn}:")


async def _put(store: MappingStore, current: Mapping | None, mapping: Mapping) -> None:
    try:
        await store.put(current, mapping)
    except SourceTaken as taken:
        raise ResourceConflict(_already(mapping, taken.uuid)) from taken


def _already(mapping: Mapping, uuid: str) -> str:
    """AWS's words, which differ from kind to kind."""
    config, name = mapping.config, FunctionReference.parse(mapping.function_arn).name
    source = config.event_source_arn
    instead = f"Please update or delete the existing mapping with UUID {uuid}"
    if mapping.kind == "sqs":
        return (
            f'An event source mapping with SQS arn (" {source} ") and function (" {name} ") already exists. {instead}'
        )
    if config.self_managed_event_source is not None:
        endpoints = ",".join(config.self_managed_event_source["Endpoints"]["KAFKA_BOOTSTRAP_SERVERS"])
        return (
            f'An event source mapping with event source ("{endpoints}"), function ("{mapping.function_arn}"), '
            f'topics ("{",".join(config.topics or [])}") already exists. {instead}'
        )
    return f'The event source arn (" {source} ") and function (" {name} ") provided mapping already exists. {instead}'
