"""Schedule groups: Create, Get, Delete and ListScheduleGroups, and their tags. The group `default` is always there."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from fastapi import Request, Response

from gateway.lambda_api.edge import Region, UsesServices, answer
from gateway.lambda_api.operations import Operations, asked
from gateway.scheduler_api.schedules import PAGE, UsesSchedules, behind
from gateway.schedules.schedules import Conflict, Schedules, group_arn
from samovar.errors import ResourceNotFound, ValidationFailed

router = Operations("scheduler")

DEFAULT: Final = "default"
_MOST_TAGS: Final = 50
"""Amazon EventBridge Scheduler user guide, "Quotas"."""


class _Named(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    name: str


class _Tag(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    key: str
    value: str


class _Made(_Named, frozen=True, kw_only=True, rename="pascal"):
    tags: tuple[_Tag, ...] = ()
    client_token: str = ""


class _Tagged(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    resource_arn: str
    tags: tuple[_Tag, ...] = ()
    tag_keys: tuple[str, ...] = ()


class _Listing(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    name_prefix: str = ""
    next_token: str | None = None
    max_results: int = PAGE


@router.operation("CreateScheduleGroup")
async def create_group(request: Request, region: Region, services: UsesServices, schedules: UsesSchedules) -> Response:
    """CreateScheduleGroup."""
    wanted = asked(request, _Made)
    name = wanted.name
    tags = _checked({tag.key: tag.value for tag in wanted.tags})
    arn = group_arn(services.settings.account, region, name)
    if name == DEFAULT or not await schedules.store.make_group(arn, schedules.now(), wanted.client_token):
        raise Conflict(f"Schedule group {name} already exists.")
    if tags:
        await schedules.store.put_tags(arn, tags)
    return answer({"ScheduleGroupArn": arn})


@router.operation("GetScheduleGroup")
async def get_group(request: Request, region: Region, services: UsesServices, schedules: UsesSchedules) -> Response:
    """GetScheduleGroup."""
    name = asked(request, _Named).name
    arn = group_arn(services.settings.account, region, name)
    groups = {group_arn(services.settings.account, region, DEFAULT): 0.0} | await schedules.store.groups()
    if arn not in groups:
        raise ResourceNotFound(f"Schedule group {name} does not exist.")
    return answer(_shown(arn, groups[arn]))


@router.operation("DeleteScheduleGroup")
async def delete_group(request: Request, region: Region, services: UsesServices, schedules: UsesSchedules) -> Response:
    """DeleteScheduleGroup, with the schedules in it."""
    name = asked(request, _Named).name
    if name == DEFAULT:
        raise ValidationFailed("Default schedule group cannot be deleted.")
    if not await schedules.store.remove_group(group_arn(services.settings.account, region, name)):
        raise ResourceNotFound(f"Schedule group {name} does not exist.")
    for schedule in await schedules.store.all():
        if (schedule.region, schedule.group) == (region, name):
            await schedules.store.delete(schedule.arn)
    return answer({})


@router.operation("ListScheduleGroups")
async def list_groups(request: Request, region: Region, services: UsesServices, schedules: UsesSchedules) -> Response:
    """ListScheduleGroups, in the order of their ARNs."""
    wanted = asked(request, _Listing)
    account = services.settings.account
    every = {group_arn(account, region, DEFAULT): 0.0} | await schedules.store.groups()
    mine = group_arn(account, region, wanted.name_prefix)
    found = behind(wanted.next_token, sorted(arn for arn in every if arn.startswith(mine)))
    page = found[: wanted.max_results]
    told = {"ScheduleGroups": [_shown(arn, every[arn]) for arn in page]}
    return answer(told | ({"NextToken": page[-1]} if len(page) < len(found) else {}))


@router.operation("TagResource")
async def tag_resource(request: Request, schedules: UsesSchedules) -> Response:
    """TagResource: add tags, or replace the values of those that are there."""
    wanted = asked(request, _Tagged)
    tags = await _tags(schedules, wanted.resource_arn)
    await schedules.store.put_tags(wanted.resource_arn, _checked(tags | {tag.key: tag.value for tag in wanted.tags}))
    return answer({})


@router.operation("UntagResource")
async def untag_resource(request: Request, schedules: UsesSchedules) -> Response:
    """UntagResource: remove tags; those that are not there are no error."""
    wanted = asked(request, _Tagged)
    tags = await _tags(schedules, wanted.resource_arn)
    left = {key: value for key, value in tags.items() if key not in wanted.tag_keys}
    await schedules.store.put_tags(wanted.resource_arn, left)
    return answer({})


@router.operation("ListTagsForResource")
async def list_tags(request: Request, schedules: UsesSchedules) -> Response:
    """ListTagsForResource."""
    tags = await _tags(schedules, asked(request, _Tagged).resource_arn)
    return answer({"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]})


async def _tags(schedules: Schedules, arn: str) -> dict[str, str]:
    """The tags of a group. Raises `ResourceNotFound`; AWS tags groups alone, of schedules there is no ARN to tag."""
    if arn.rpartition("/")[2] != DEFAULT and arn not in await schedules.store.groups():
        raise ResourceNotFound(f"Schedule group {arn.rpartition('/')[2]} does not exist.")
    return await schedules.store.tags(arn)


def _checked(tags: dict[str, str]) -> dict[str, str]:
    if len(tags) > _MOST_TAGS:
        raise ValidationFailed(f"A schedule group has at most {_MOST_TAGS} tags.")
    return tags


def _shown(arn: str, made: float) -> dict[str, Any]:
    name = arn.rpartition("/")[2]
    return {"Arn": arn, "Name": name, "State": "ACTIVE", "CreationDate": made, "LastModificationDate": made}
