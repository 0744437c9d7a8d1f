"""Requests of AWS's APIs that are checked and not carried out: limits, values, what runs here. Nothing is changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Meta

from gateway.functions.layers import Layers
from gateway.functions.record import FunctionRecord
from gateway.lambda_api import constraints, model
from gateway.lambda_api.body import read
from gateway.lambda_api.configuration import configured
from gateway.lambda_api.edge import UsesRuntimes, UsesServices, answer
from gateway.lambda_api.layers import UsesLayers
from gateway.lambda_api.mapping_models import configured as configured_mapping
from gateway.lambda_api.models import CreateFunctionRequest
from gateway.lambda_api.placement import with_tags
from gateway.lambda_api.runtimes import Runtimes
from gateway.lambda_api.validation import check_creation
from gateway.mappings import mapping as mapping_rules
from gateway.schedules.expressions import timetable
from gateway.services import Services
from gateway.v1.schema import described
from samovar.errors import CallerError, InvalidParameterValue
from samovar.function import FunctionVersion
from samovar.stack import MAX_CHECKS, Check

router = APIRouter()
_NO_CODE: Final = {"ZipFile": "bm8gY29kZQ=="}
"""In place of a package that is not there yet."""


class ChecksRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The requests to check."""

    requests: Annotated[tuple[Check, ...], Meta(max_length=MAX_CHECKS)]


@router.post("/checks", responses=described.answers(list[str]), openapi_extra=described.takes(ChecksRequest))
async def check_requests(
    request: Request, services: UsesServices, runtimes: UsesRuntimes, layers: UsesLayers
) -> Response:
    """What would be refused of these requests: AWS's message for each, or nothing. None is carried out.

    Names that must exist, or must not, are no matter here.
    """
    asked = (await read(request, ChecksRequest)).requests
    host = _Host(services, runtimes, layers)
    return answer([await _problem(check, host) for check in asked])


class _Host(NamedTuple):
    """What checks look at beside their requests."""

    services: Services
    runtimes: Runtimes
    layers: Layers


async def _problem(check: Check, host: _Host) -> str:
    try:
        if check.service == "sqs":
            _check_queue(check.request)
            return ""
        if check.operation not in model.operations(check.service):
            raise InvalidParameterValue(f"there is no operation {check.operation} of {check.service}")
        constraints.check(check.operation, check.request, check.service)
        own = _OWN.get(check.operation)
        if own is not None:
            await own(check.request, host)
    except CallerError as error:
        return error.message
    except msgspec.ValidationError as error:
        return str(error)
    return ""


async def _function(request: dict[str, Any], host: _Host) -> None:
    code = request.get("Code") or {}
    create = msgspec.convert({**request, "Code": code if code.get("ImageUri") else _NO_CODE}, CreateFunctionRequest)
    check_creation(create)
    await host.runtimes.check(create.runtime)
    await host.layers.resolve(create.layers or [], host.services.settings.region)
    version = FunctionVersion(
        name=str(request.get("FunctionName")),
        account=host.services.settings.account,
        region=host.services.settings.region,
        serial=0,
        revision_id="",
        runtime=create.runtime or "",
        handler=create.handler or "",
        code_sha256="",
    )
    with_tags(configured(FunctionRecord(version=version), create), create.tags or {})


async def _mapping(request: dict[str, Any], host: _Host) -> None:
    del host
    mapping_rules.check(configured_mapping(request))


async def _schedule(request: dict[str, Any], host: _Host) -> None:
    timetable(
        request["ScheduleExpression"], request.get("ScheduleExpressionTimezone") or "UTC", host.services.clock.epoch()
    )


def _check_queue(request: dict[str, Any]) -> None:
    from gateway.queues.attributes import checked, defaults, merged  # the gateway loads queues when somebody uses them

    is_fifo = str(request.get("QueueName", "")).endswith(".fifo")
    merged(defaults(fifo=is_fifo), checked(request.get("Attributes") or {}, fifo=is_fifo))


_OWN: Final[dict[str, Callable[[dict[str, Any], _Host], Awaitable[None]]]] = {
    "CreateEventSourceMapping": _mapping,
    "CreateFunction": _function,
    "CreateSchedule": _schedule,
}
"""What the services check beyond their models."""
