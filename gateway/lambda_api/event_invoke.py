"""How asynchronous calls are treated: Put, Update, Get, Delete and ListFunctionEventInvokeConfig(s).

What they mean is in `gateway/events/rules.py`. Source of the rules: AWS Lambda API reference and developer guide,
"Asynchronous invocation".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from fastapi import Request, Response

from gateway.events.targets import check_target
from gateway.functions.record import Attached, EventInvoke, attached_to, with_attached
from gateway.functions.registry import Edit
from gateway.lambda_api.edge import Named, UsesFunctions, UsesServices, answer, find, no_content
from gateway.lambda_api.event_invoke_models import (
    Destination,
    Destinations,
    EventInvokeConfig,
    EventInvokeConfigs,
    EventInvokeRequest,
    Page,
)
from gateway.lambda_api.operations import Operations, asked
from gateway.lambda_api.qualifiers import check_qualifier
from gateway.services import Services
from samovar.errors import InvalidParameterValue, ResourceNotFound
from samovar.names import LATEST, FunctionReference

router = Operations()

_PAGE: Final = 50
_SERVICES: Final = ("sqs", "lambda", "s3", "http", "https")
_ELSEWHERE: Final = ("sns", "events")
"""Services of AWS that may be destinations there."""


@router.operation("PutFunctionEventInvokeConfig")
async def put_function_event_invoke_config(
    request: Request, reference: Named, services: UsesServices, functions: UsesFunctions
) -> Response:
    """PutFunctionEventInvokeConfig: what is not given is as if it had never been."""
    wanted = await _checked(request, reference, services)
    return await _change(reference, functions, lambda _: _with(EventInvoke(modified=0.0), wanted))


@router.operation("UpdateFunctionEventInvokeConfig")
async def update_function_event_invoke_config(
    request: Request, reference: Named, services: UsesServices, functions: UsesFunctions
) -> Response:
    """UpdateFunctionEventInvokeConfig: what is not given stays."""
    wanted = await _checked(request, reference, services)
    return await _change(reference, functions, lambda found: _with(found or _absent(reference), wanted))


@router.operation("GetFunctionEventInvokeConfig")
async def get_function_event_invoke_config(reference: Named, services: UsesServices) -> Response:
    """GetFunctionEventInvokeConfig."""
    try:
        record = await find(services, reference._replace(qualifier=None))
    except ResourceNotFound:
        _absent(reference)
    found = attached_to(record, reference.qualifier).event_invoke or _absent(reference)
    return answer(_shown(reference, found))


@router.operation("DeleteFunctionEventInvokeConfig")
async def delete_function_event_invoke_config(reference: Named, functions: UsesFunctions) -> Response:
    """DeleteFunctionEventInvokeConfig."""

    def remove(found: Attached) -> Attached:
        if found.event_invoke is None:
            _absent(reference)
        return msgspec.structs.replace(found, event_invoke=None)

    try:
        await functions.attach(reference.arn, _editing(reference, remove))
    except ResourceNotFound:
        _absent(reference)
    return no_content()


@router.operation("ListFunctionEventInvokeConfigs")
async def list_function_event_invoke_configs(request: Request, reference: Named, services: UsesServices) -> Response:
    """ListFunctionEventInvokeConfigs, in the order of their qualifiers; a marker is the last one of the page before."""
    page = asked(request, Page)
    await _check_there(services, reference._replace(qualifier=None))
    record = await find(services, reference._replace(qualifier=None))
    configured = {name: one.event_invoke for name, one in sorted(record.attached.items()) if one.event_invoke}
    names = [name for name in configured if page.marker is None or name > page.marker]
    shown = names[: page.max_items or _PAGE]
    configs = [_shown(reference._replace(qualifier=name), configured[name]) for name in shown]
    return answer(EventInvokeConfigs(configs, next_marker=shown[-1] if len(names) > len(shown) else None))


async def _checked(request: Request, reference: FunctionReference, services: Services) -> EventInvokeRequest:
    """What is asked for. Raises `InvalidParameterValue` and `ResourceNotFound` with AWS's words."""
    wanted = asked(request, EventInvokeRequest)
    given = (wanted.maximum_retry_attempts, wanted.maximum_event_age_in_seconds, wanted.destination_config)
    if all(value is None for value in given):
        raise InvalidParameterValue("You must specify at least one of error handling or destination setting.")
    await _check_there(services, reference)
    for one in wanted.destination_config or ():
        await _check_destination(services, reference, wanted.destination_config or Destinations(), one)
    return wanted


async def _check_there(services: Services, reference: FunctionReference) -> None:
    try:
        await check_qualifier(services, reference)
    except ResourceNotFound as error:
        raise ResourceNotFound("The function doesn't exist.") from error


async def _check_destination(services: Services, reference: FunctionReference, every: Destinations, arn: str) -> None:
    if arn.split(":")[2:3] in ([service] for service in _ELSEWHERE):
        raise InvalidParameterValue(
            f"The destination {arn} is not offered by Samovar: name a function, a queue (arn:aws:sqs:…), a bucket "
            "(arn:aws:s3:::…) or an HTTP endpoint (arn:aws:https:::host/path)"
        )
    if arn.split(":")[2:3] not in ([service] for service in _SERVICES):
        raise InvalidParameterValue(f"The provided destination config {every.in_javas_words()} is invalid.")
    if arn.split(":")[2] != "lambda":
        check_target(arn)
        return
    target = FunctionReference.parse(arn)
    if target.arn == reference.arn:
        raise InvalidParameterValue("You can't specify the function as a destination for itself.")
    if await services.store.get(target.arn) is None:
        raise InvalidParameterValue(f"The destination ARN {arn} is invalid.")


async def _change(
    reference: FunctionReference, functions: UsesFunctions, edit: Callable[[EventInvoke | None], EventInvoke]
) -> Response:
    now = functions.epoch()

    def change(found: Attached) -> Attached:
        return msgspec.structs.replace(
            found, event_invoke=msgspec.structs.replace(edit(found.event_invoke), modified=now)
        )

    record = await functions.attach(reference.arn, _editing(reference, change))
    made = attached_to(record, reference.qualifier).event_invoke
    assert made is not None, "it was just set"
    return answer(_shown(reference, made))


def _editing(reference: FunctionReference, edit: Callable[[Attached], Attached]) -> Edit:
    return lambda record: with_attached(record, reference.qualifier, edit)


def _with(found: EventInvoke, wanted: EventInvokeRequest) -> EventInvoke:
    retries, age, destinations = (
        wanted.maximum_retry_attempts,
        wanted.maximum_event_age_in_seconds,
        wanted.destination_config or Destinations(),
    )
    return EventInvoke(
        modified=found.modified,
        retries=found.retries if retries is None else retries,
        max_age_s=found.max_age_s if age is None else age,
        on_success=_chosen(found.on_success, destinations.on_success),
        on_failure=_chosen(found.on_failure, destinations.on_failure),
    )


def _chosen(before: str | None, wanted: Destination | None) -> str | None:
    """A destination that is given without an ARN is taken away."""
    return before if wanted is None else wanted.destination or None


def _shown(reference: FunctionReference, found: EventInvoke) -> EventInvokeConfig:
    return EventInvokeConfig(
        last_modified=found.modified,
        function_arn=f"{reference.arn}:{reference.qualifier or LATEST}",
        maximum_retry_attempts=found.retries,
        maximum_event_age_in_seconds=found.max_age_s,
        destination_config=Destinations(Destination(found.on_success), Destination(found.on_failure)),
    )


def _absent(reference: FunctionReference) -> EventInvoke:
    name = f"{reference.arn}:{reference.qualifier or LATEST}"
    raise ResourceNotFound(f"The function {name} doesn't have an EventInvokeConfig")
