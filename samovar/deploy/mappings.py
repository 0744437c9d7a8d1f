"""The event source mappings of a deployed function, brought to what its manifest says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from samovar.answers import SourceMapping
from samovar.clients.platform import Client
from samovar.deploy.triggers import MAPPING_TAG, SourceTrigger
from samovar.errors import InvalidParameterValue, ResourceConflict

_SETTLES_WITHIN_S = 30.0
_FILTERS = "FilterCriteria"
_NO_QUEUE = "AWS.SimpleQueueService.NonExistentQueue"
"""In Lambda's message about a queue that is not there."""


def bring_about(client: Client, function_arn: str, wanted: tuple[SourceTrigger, ...]) -> bool:
    """Make, change and delete mappings; whether there was anything to do. Raises what the API answers with.

    Mappings that somebody else made are left alone, unless the manifest names their source. Raises
    `InvalidParameterValue`, naming the source, when it cannot be worked on.
    """
    present = {found.event_source_arn: found for found in client.list_mappings(function_arn)}
    parameters = {trigger.source(function_arn): trigger.parameters(function_arn) for trigger in wanted}
    changed = False
    for source, members in parameters.items():
        found = present.get(source)
        if found is None:
            with _told_of(source):
                client.create_mapping({**members, "FunctionName": function_arn, "Tags": {MAPPING_TAG: "yes"}})
            changed = True
        elif _differs(members, found):
            with _told_of(source):
                _patiently(client, found.uuid, members)
            changed = True
    for source, found in present.items():
        if source not in parameters and MAPPING_TAG in client.tags(found.event_source_mapping_arn):
            client.delete_mapping(found.uuid)
            changed = True
    return changed


@contextmanager
def _told_of(source: str) -> Iterator[None]:
    """A refusal says which source it is about, and that the function itself is deployed."""
    try:
        yield
    except InvalidParameterValue as error:
        what = f"the function is deployed, but does not work on {source}"
        if _NO_QUEUE in error.message:
            name = source.rpartition(":")[2]
            what = f"{what}: there is no such queue. Make it with `samovar queues create {name}`, then deploy again"
            raise InvalidParameterValue(what) from error
        raise InvalidParameterValue(f"{what}: {error.message}") from error


def _differs(wanted: dict[str, Any], found: SourceMapping) -> bool:
    present = {
        "EventSourceArn": found.event_source_arn,
        "BatchSize": found.batch_size,
        "MaximumBatchingWindowInSeconds": found.maximum_batching_window_in_seconds,
        "FunctionResponseTypes": found.function_response_types,
        _FILTERS: found.filter_criteria or {"Filters": []},
        "ScalingConfig": found.scaling_config or {},
        "Enabled": found.state in ("Creating", "Enabling", "Enabled", "Updating"),
    }
    return wanted != present


def _patiently(client: Client, uuid: str, members: dict[str, Any]) -> None:
    """Change a mapping; one that is being changed already is waited for."""
    retrying = Retrying(
        retry=retry_if_exception_type(ResourceConflict),
        wait=wait_exponential(multiplier=0.1, max=1.0),
        stop=stop_after_delay(_SETTLES_WITHIN_S),
        reraise=True,
    )
    changes = {name: value for name, value in members.items() if name != "EventSourceArn"}
    retrying(client.update_mapping, uuid, changes)
