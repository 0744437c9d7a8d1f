"""Schedules with what EventBridge Scheduler's API has no word for: when they are due, catching up, running one now."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Final

import msgspec
from fastapi import APIRouter, Request, Response

from gateway.lambda_api.body import read
from gateway.lambda_api.edge import Region, UsesServices, answer, no_content, resolve
from gateway.scheduler_api.schedules import UsesSchedules
from gateway.schedules.expressions import ticks
from gateway.schedules.schedule import Schedule, Target
from gateway.schedules.schedules import Conflict
from gateway.services import Services
from gateway.v1.schema import described
from samovar.errors import ResourceNotFound
from samovar.names import function_arn
from samovar.schedules import PutSchedule, ScheduleRun, ScheduleState, ScheduleView

router = APIRouter(prefix="/schedules")

_SHOWN_MOMENTS: Final = 3
_GROUP: Final = "default"


@router.get("", responses=described.answers(list[ScheduleView]))
async def list_schedules(region: Region, services: UsesServices, schedules: UsesSchedules) -> Response:
    """Every schedule of the region, of all groups, with the moments that come next."""
    moments = await schedules.store.moments()
    found = [one for one in await schedules.store.all() if one.region == region]
    return answer([_shown(one, moments.get(one.arn)) for one in found])


@router.put("/{name}", responses=described.answers(ScheduleView))
async def put_schedule(
    request: Request, name: str, region: Region, services: UsesServices, schedules: UsesSchedules
) -> Response:
    """Make a schedule, or put it in the place of the one of its name."""
    wanted = _wanted(services, region, name, await read(request, PutSchedule), schedules.now())
    await schedules.check_target(wanted)
    try:
        made = await schedules.update(wanted)
    except ResourceNotFound as error:
        try:
            made = await schedules.create(wanted)
        except Conflict:
            raise error from None
    return answer(_shown(made, (await schedules.store.moments()).get(made.arn)))


@router.put("/{name}/state", responses=described.answers(ScheduleView))
async def put_state(
    request: Request, name: str, region: Region, services: UsesServices, schedules: UsesSchedules
) -> Response:
    """Switch a schedule on or off. What passes meanwhile is not caught up."""
    asked = await read(request, ScheduleState)
    found = await schedules.get(services.settings.account, region, _GROUP, name)
    changed = msgspec.structs.replace(found, enabled=asked.enabled, modified=schedules.now())
    made = await schedules.update(changed)
    return answer(_shown(made, (await schedules.store.moments()).get(made.arn)))


@router.delete("/{name}", status_code=204)
async def delete_schedule(name: str, region: Region, services: UsesServices, schedules: UsesSchedules) -> Response:
    """Remove a schedule."""
    await schedules.delete(services.settings.account, region, _GROUP, name)
    return no_content()


@router.post("/{name}/run", responses=described.answers(ScheduleRun))
async def run_schedule(name: str, region: Region, services: UsesServices, schedules: UsesSchedules) -> Response:
    """Start now what a schedule starts, besides what is due."""
    found = await schedules.get(services.settings.account, region, _GROUP, name)
    return answer(ScheduleRun(request_id=await schedules.run(found)))


def _wanted(services: Services, region: str, name: str, asked: PutSchedule, now: float) -> Schedule:
    account = services.settings.account
    target = asked.target
    if ":sqs:" not in target:
        reference = resolve(services, region, target)
        target = function_arn(account, reference.region or region, reference.name, reference.qualifier)
    return Schedule(
        account=account,
        region=region,
        name=name,
        expression=asked.expression,
        timezone=asked.timezone,
        window_min=asked.window,
        enabled=asked.enabled,
        target=Target(
            arn=target,
            input=None if asked.input is None else msgspec.json.encode(asked.input).decode(),
            dead_letter=asked.dead_letter,
        ),
        description=asked.description,
        catch_up=asked.catch_up,
        function=asked.of_function,
        created=now,
        modified=now,
    )


def _shown(schedule: Schedule, due: float | None) -> ScheduleView:
    target = schedule.target
    moments = () if due is None else islice(ticks(schedule.after(), due - 1), _SHOWN_MOMENTS)
    return ScheduleView(
        name=schedule.name,
        group=schedule.group,
        arn=schedule.arn,
        expression=schedule.expression,
        timezone=schedule.timezone,
        target=target.arn,
        enabled=schedule.enabled,
        input=_read(target.input),
        window=schedule.window_min,
        catch_up=schedule.catch_up,
        dead_letter=target.dead_letter,
        description=schedule.description,
        of_function=schedule.function,
        next=tuple(datetime.fromtimestamp(one, UTC).isoformat().replace("+00:00", "Z") for one in moments),
    )


def _read(given: str | None) -> object:
    """An input as JSON; as text, where it is none, as for queues."""
    if given is None:
        return None
    try:
        found: object = msgspec.json.decode(given)
    except msgspec.DecodeError:
        return given
    return found
