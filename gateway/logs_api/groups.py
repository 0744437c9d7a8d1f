"""Log groups: DescribeLogGroups, ListLogGroups, CreateLogGroup, DeleteLogGroup, retention policies and tags."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec

from gateway.logs_api import tokens
from gateway.logs_api.folders import Place
from samovar.errors import InvalidParameter
from samovar.logs import groups as log_groups
from samovar.logs import lines as logs
from samovar.logs.groups import GroupChange, GroupSubject, LogGroup

_DAYS: Final = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
"""Days a policy may keep events (PutRetentionPolicy)."""
_PAGE: Final = 50


class DescribeLogGroups(msgspec.Struct, kw_only=True, rename="camel"):
    """Members of the request that say which groups."""

    log_group_name_prefix: str | None = None
    log_group_name_pattern: str | None = None
    log_group_identifiers: list[str] | None = None
    log_group_class: str | None = None
    next_token: str | None = None
    limit: int = _PAGE


class ListLogGroups(msgspec.Struct, kw_only=True, rename="camel"):
    """Members of the request that say which groups."""

    log_group_name_pattern: str | None = None
    log_group_class: str | None = None
    data_sources: list[Any] | None = None
    field_index_names: list[str] | None = None
    log_group_tags: list[Any] | None = None
    next_token: str | None = None
    limit: int = _PAGE


class CreateLogGroup(msgspec.Struct, kw_only=True, rename="camel"):
    """A group to be made before functions write to it."""

    log_group_name: str
    tags: dict[str, str] = {}
    log_group_class: str = "STANDARD"
    kms_key_id: str | None = None


class NamedGroup(msgspec.Struct, kw_only=True, rename="camel"):
    """A request that only names a group."""

    log_group_name: str


class PutRetentionPolicy(NamedGroup, kw_only=True, rename="camel"):
    """How long a group's events are kept."""

    retention_in_days: int


class TaggedResource(msgspec.Struct, kw_only=True, rename="camel"):
    """A group by its ARN, and tags to add or remove."""

    resource_arn: str
    tags: dict[str, str] = {}
    tag_keys: list[str] = []


class TaggedGroup(NamedGroup, kw_only=True, rename="camel"):
    """A group by its name, and tags to add."""

    tags: dict[str, str] = {}


class UntaggedGroup(NamedGroup, kw_only=True, rename="camel"):
    """A group by its name, and keys of tags to remove."""

    tags: list[str] = []


async def describe(place: Place, request: DescribeLogGroups) -> dict[str, Any]:
    """DescribeLogGroups: by name, by what a name begins with or contains, or all."""
    if request.log_group_name_prefix is not None and request.log_group_name_pattern is not None:
        raise InvalidParameter("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
    return await _page_of(place, request, lambda name: _is_meant(place, request, name), _shown)


async def list_groups(place: Place, request: ListLogGroups) -> dict[str, Any]:
    """ListLogGroups: by up to five texts that names contain, or begin with after a `^`; or all."""
    unread = {
        "dataSources": request.data_sources,
        "fieldIndexNames": request.field_index_names,
        "logGroupTags": request.log_group_tags,
    }
    for member, given in unread.items():
        if given:
            raise InvalidParameter(f"Samovar lists log groups by their names, not by {member}.")
    texts = (request.log_group_name_pattern or "").split("|")

    def is_meant(name: str) -> bool:
        group = log_groups.group_name(name)
        is_found = any(group.startswith(text[1:]) if text.startswith("^") else text in group for text in texts)
        return is_found and request.log_group_class in (None, "STANDARD")

    return await _page_of(place, request, is_meant, _summary)


async def _page_of(
    place: Place,
    request: DescribeLogGroups | ListLogGroups,
    is_meant: Callable[[str], bool],
    show: Callable[[Place, str], dict[str, Any] | None],
) -> dict[str, Any]:
    """The groups that are meant, from the request's token on, in the order of their names."""
    after = tokens.redeem(request.next_token, request, str) if request.next_token else ""
    names = await asyncio.to_thread(log_groups.names, place.logs_dir, place.region)
    chosen = [name for name in names if log_groups.group_name(name) > after and is_meant(name)]
    page = chosen[: request.limit]
    shown = await asyncio.to_thread(lambda: [show(place, name) for name in page])
    answer: dict[str, Any] = {"logGroups": [group for group in shown if group is not None]}
    if len(chosen) > len(page):
        answer["nextToken"] = tokens.issue(request, log_groups.group_name(page[-1]))
    return answer


def _is_meant(place: Place, request: DescribeLogGroups, name: str) -> bool:
    group = log_groups.group_name(name)
    if not group.startswith(request.log_group_name_prefix or ""):
        return False
    if (request.log_group_name_pattern or "").lower() not in group.lower():
        return False
    if request.log_group_class not in (None, "STANDARD"):
        return False
    wanted = request.log_group_identifiers
    return wanted is None or group in wanted or place.arn(name) in wanted


def _summary(place: Place, name: str) -> dict[str, Any]:
    return {"logGroupName": log_groups.group_name(name), "logGroupArn": place.arn(name), "logGroupClass": "STANDARD"}


def _shown(place: Place, name: str) -> dict[str, Any] | None:
    folder = place.folder(name)
    group = log_groups.read(folder)
    if group is None:
        return None  # deleted since it was listed
    retention = {} if group.retention_days is None else {"retentionInDays": group.retention_days}
    return {
        "logGroupName": log_groups.group_name(name),
        "creationTime": group.created_ms,
        **retention,
        "metricFilterCount": 0,
        "arn": f"{place.arn(name)}:*",
        "storedBytes": logs.size_of(folder),
        "logGroupClass": "STANDARD",
        "logGroupArn": place.arn(name),
    }


async def create(place: Place, request: CreateLogGroup) -> None:
    """CreateLogGroup, also for functions that need not exist yet."""
    try:
        name = log_groups.folder_name(request.log_group_name)
    except ValueError:
        raise InvalidParameter(
            f"1 validation error detected: Value '{request.log_group_name}' at 'logGroupName' failed to satisfy "
            "constraint: Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+, and have length less "
            f"than or equal to {log_groups.MAX_GROUP_LENGTH}"
        ) from None
    if request.log_group_class != "STANDARD" or request.kms_key_id:
        raise InvalidParameter("Samovar offers log groups of the class STANDARD, without keys of their own")
    await place.order("create_log_group", GroupChange(region=place.region, name=name, add_tags=request.tags))


async def delete(place: Place, request: NamedGroup) -> None:
    """DeleteLogGroup: the lines are gone; the function's next one makes a new group."""
    name = place.folder_of(request.log_group_name)
    await place.order("delete_log_group", GroupSubject(region=place.region, name=name))


async def put_retention(place: Place, request: PutRetentionPolicy) -> None:
    """PutRetentionPolicy: older events are hidden at once; their files go within the hour."""
    if request.retention_in_days not in _DAYS:
        raise InvalidParameter(
            f"1 validation error detected: Value '{request.retention_in_days}' at 'retentionInDays' failed to satisfy "
            f"constraint: Member must satisfy enum value set: [{', '.join(map(str, _DAYS))}]"
        )
    await _keep_for(place, request.log_group_name, request.retention_in_days)


async def delete_retention(place: Place, request: NamedGroup) -> None:
    """DeleteRetentionPolicy: events stay until the files are rotated."""
    await _keep_for(place, request.log_group_name, None)


async def _keep_for(place: Place, group: str, days: int | None) -> None:
    name = place.folder_of(group)
    await place.order("change_log_group", GroupChange(region=place.region, name=name, retention_days=days))


async def list_tags_of_resource(place: Place, request: TaggedResource) -> dict[str, Any]:
    """ListTagsForResource."""
    _, group = await _by_arn(place, request)
    return {"tags": group.tags}


async def tag_resource(place: Place, request: TaggedResource) -> None:
    """TagResource."""
    name, _ = await _by_arn(place, request)
    await place.order("change_log_group", GroupChange(region=place.region, name=name, add_tags=request.tags))


async def untag_resource(place: Place, request: TaggedResource) -> None:
    """UntagResource."""
    name, _ = await _by_arn(place, request)
    await place.order("change_log_group", GroupChange(region=place.region, name=name, remove_tags=request.tag_keys))


async def list_tags(place: Place, request: NamedGroup) -> dict[str, Any]:
    """ListTagsLogGroup, the older form."""
    _, group = await place.find(request.log_group_name)
    return {"tags": group.tags}


async def tag(place: Place, request: TaggedGroup) -> None:
    """TagLogGroup, the older form."""
    name = place.folder_of(request.log_group_name)
    await place.order("change_log_group", GroupChange(region=place.region, name=name, add_tags=request.tags))


async def untag(place: Place, request: UntaggedGroup) -> None:
    """UntagLogGroup, the older form."""
    name = place.folder_of(request.log_group_name)
    await place.order("change_log_group", GroupChange(region=place.region, name=name, remove_tags=request.tags))


async def _by_arn(place: Place, request: TaggedResource) -> tuple[str, LogGroup]:
    if not request.resource_arn.startswith("arn:"):
        raise InvalidParameter(f"{request.resource_arn} is not a valid ARN of a log group.")
    return await place.find(None, request.resource_arn)
