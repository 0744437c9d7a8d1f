"""Schedules: Create, Get, Update, Delete and ListSchedules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import msgspec
from fastapi import Depends, Request, Response

from gateway.lambda_api.edge import Region, UsesServices, answer
from gateway.lambda_api.operations import Operations, asked
from gateway.scheduler_api.models import ScheduleRequest, refuse_elsewhere, shown, summary
from gateway.schedules.expressions import InvalidExpression
from gateway.schedules.schedules import Schedules
from samovar.errors import ValidationFailed

router = Operations("scheduler")

PAGE: Final = 100
"""What a list has at most, also when nothing is said: AWS's API model."""


def _schedules(request: Request) -> Schedules:
    found: Schedules = request.app.state.schedules
    return found


UsesSchedules = Annotated[Schedules, Depends(_schedules)]


class _Named(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    name: str
    group_name: str | None = None


class _Listing(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    group_name: str | None = None
    name_prefix: str = ""
    state: str | None = None
    next_token: str | None = None
    max_results: int = PAGE


@contextmanager
def _in_aws_words() -> Iterator[None]:
    """Say of an expression that is none what AWS says; Samovar's own API and command line say what is wrong with it."""
    try:
        yield
    except InvalidExpression as error:
        raise ValidationFailed(error.plain) from error


@router.operation("CreateSchedule")
async def create_schedule(
    request: Request, region: Region, services: UsesServices, schedules: UsesSchedules
) -> Response:
    """CreateSchedule."""
    refuse_elsewhere(request.state.given)
    wanted = asked(request, ScheduleRequest).schedule(services.settings.account, region, schedules.now())
    with _in_aws_words():
        return answer({"ScheduleArn": (await schedules.create(wanted)).arn})


@router.operation("UpdateSchedule")
async def update_schedule(
    request: Request, region: Region, services: UsesServices, schedules: UsesSchedules
) -> Response:
    """UpdateSchedule."""
    refuse_elsewhere(request.state.given)
    wanted = asked(request, ScheduleRequest).schedule(services.settings.account, region, schedules.now())
    with _in_aws_words():
        return answer({"ScheduleArn": (await schedules.update(wanted)).arn})


@router.operation("GetSchedule")
async def get_schedule(request: Request, region: Region, services: UsesServices, schedules: UsesSchedules) -> Response:
    """GetSchedule."""
    named = asked(request, _Named)
    group = named.group_name or "default"
    return answer(shown(await schedules.get(services.settings.account, region, group, named.name)))


@router.operation("DeleteSchedule")
async def delete_schedule(
    request: Request, region: Region, services: UsesServices, schedules: UsesSchedules
) -> Response:
    """DeleteSchedule."""
    named = asked(request, _Named)
    await schedules.delete(services.settings.account, region, named.group_name or "default", named.name)
    return answer({})


@router.operation("ListSchedules")
async def list_schedules(request: Request, region: Region, schedules: UsesSchedules) -> Response:
    """ListSchedules, in the order of their ARNs; the token is the ARN that comes before the next page."""
    wanted = asked(request, _Listing)
    found = {
        one.arn: one
        for one in await schedules.store.all()
        if one.region == region
        and one.name.startswith(wanted.name_prefix)
        and wanted.group_name in (None, one.group)
        and wanted.state in (None, "ENABLED" if one.enabled else "DISABLED")
    }
    left = behind(wanted.next_token, list(found))
    page = left[: wanted.max_results]
    told = {"Schedules": [summary(found[arn]) for arn in page]}
    return answer(told | ({"NextToken": page[-1]} if len(page) < len(left) else {}))


def behind(token: str | None, arns: list[str]) -> list[str]:
    """What of a list in order comes behind a token: the last ARN of the page before. Raises `ValidationFailed`."""
    if token is None:
        return arns
    if not token.startswith("arn:"):
        raise ValidationFailed("Invalid NextToken.")
    return [arn for arn in arns if arn > token]
