"""Schedule groups: Create, Get, Delete and ListScheduleGroups. The group `default` is always there."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import Request, Response

from gateway.lambda_api.edge import Region, UsesServices, answer
from gateway.lambda_api.operations import Operations, asked
from gateway.scheduler_api.schedules import UsesSchedules
from gateway.schedules.schedules import Conflict, group_arn
from samovar.errors import ResourceNotFound, ValidationFailed

router = Operations("scheduler")

DEFAULT = "default"


class _Named(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    name: str


class _Listing(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    name_prefix: str = ""


@router.operation("CreateScheduleGroup")
async def create_group(request: Request, region: Region, services: UsesServices, schedules: UsesSchedules) -> Response:
    """CreateScheduleGroup."""
    name = asked(request, _Named).name
    arn = group_arn(services.settings.account, region, name)
    if name == DEFAULT or not await schedules.store.make_group(arn, schedules.now()):
        raise Conflict(f"Schedule group {name} already exists.")
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
    """ListScheduleGroups."""
    prefix = asked(request, _Listing).name_prefix
    account = services.settings.account
    every = {group_arn(account, region, DEFAULT): 0.0} | await schedules.store.groups()
    mine = group_arn(account, region, prefix)
    return answer(
        {"ScheduleGroups": [_shown(arn, made) for arn, made in sorted(every.items()) if arn.startswith(mine)]}
    )


def _shown(arn: str, made: float) -> dict[str, Any]:
    name = arn.rpartition("/")[2]
    return {"Arn": arn, "Name": name, "State": "ACTIVE", "CreationDate": made, "LastModificationDate": made}
