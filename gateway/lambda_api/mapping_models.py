"""Requests and answers about event source mappings, as AWS names their members (API reference, data types)."""

from __future__ import annotations

from collections.abc import Mapping as Map
from typing import Any

import msgspec

from gateway.mappings.mapping import KINDS, Config, Mapping
from samovar.errors import SerializationFailed
from samovar.names import new_request_id


class CreateMappingRequest(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`CreateEventSourceMapping`, but for the parameters in `Config`."""

    function_name: str
    enabled: bool | None = None
    tags: dict[str, str] | None = None


class UpdateMappingRequest(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`UpdateEventSourceMapping`, but for the parameters in `Config`."""

    uuid: str = msgspec.field(name="UUID")
    function_name: str | None = None
    enabled: bool | None = None


class MappingName(msgspec.Struct, frozen=True):
    """What names a mapping."""

    uuid: str = msgspec.field(name="UUID")


class MappingListing(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`ListEventSourceMappings`."""

    event_source_arn: str | None = None
    function_name: str | None = None
    marker: str | None = None
    max_items: int | None = None


class MappingAnswer(Config, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """`EventSourceMappingConfiguration`."""

    uuid: str = msgspec.field(name="UUID")
    function_arn: str
    last_modified: float
    last_processing_result: str | None = None
    state: str
    state_transition_reason: str
    event_source_mapping_arn: str


class Mappings(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """`ListEventSourceMappings`."""

    event_source_mappings: list[MappingAnswer]
    next_marker: str | None = None


def configured(given: Map[str, Any], before: Config | None = None) -> Config:
    """The parameters a request gives, over those there were before. Raises `SerializationFailed`."""
    names = zip(Config.__struct_fields__, Config.__struct_encode_fields__, strict=True)
    new = {field: given[name] for field, name in names if given.get(name) is not None}
    if new.get("filter_criteria") is not None and not new["filter_criteria"].get("Filters"):
        new["filter_criteria"] = None  # which is how filters are removed
    if "self_managed_event_source" in new and before is None:
        new.setdefault("self_managed_kafka_event_source_config", {}).setdefault("ConsumerGroupId", new_request_id())
    try:
        return msgspec.convert(msgspec.to_builtins(_over(before or Config(), new)), Config)
    except msgspec.ValidationError as error:
        raise SerializationFailed(str(error)) from error


def shown(mapping: Mapping, result: str | None = None) -> MappingAnswer:
    """A mapping as the API shows it, with what came of its last batch if there was one."""
    kind = KINDS[mapping.kind]
    config = {name: value for name in Config.__struct_fields__ if (value := getattr(mapping.config, name)) is not None}
    return MappingAnswer(
        **config,
        uuid=mapping.uuid,
        function_arn=mapping.function_arn,
        last_modified=mapping.modified,
        last_processing_result=_result(mapping, result),
        state=mapping.state,
        state_transition_reason=kind.reason,
        event_source_mapping_arn=mapping.arn,
    )


def _result(mapping: Mapping, result: str | None) -> str | None:
    """What is told of the last batch. AWS tells nothing of queues, and so do we, but for what goes wrong."""
    if mapping.kind == "sqs":
        return None if result == "OK" else result
    return result or "No records processed"


def _over(before: Config, new: Map[str, Any]) -> Config:
    return msgspec.structs.replace(before, **new)
