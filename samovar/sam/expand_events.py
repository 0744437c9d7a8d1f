"""What a function's `Events` come down to: routes, mappings, notices, schedules. No I/O."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, Final, cast, get_args

from samovar.errors import InvalidParameterValue
from samovar.sam.document import Node, TemplateError, nearest
from samovar.sam.drivers.buckets import NoticeWanted
from samovar.sam.drivers.qualified import QualifiedWanted
from samovar.sam.expand_apis import DEFAULT_STAGE, IMPLICIT, REST_STAGE, Apis
from samovar.sam.expand_schedules import window
from samovar.sam.expand_stores import keys, queue
from samovar.sam.item import Item
from samovar.sam.properties.events import (
    ApiEvent,
    Event,
    HttpApiEvent,
    OwnDeadLetters,
    QueueEvent,
    ScheduleEvent,
    ScheduleV2Event,
    UploadEvent,
)
from samovar.sam.properties.function import UrlConfig
from samovar.sam.reading import convert
from samovar.sam.target import Target, given
from samovar.stack import Method, Payload, Route

_KINDS: Final = ("Api", "FunctionUrl", "HttpApi", "S3", "SQS", "Schedule", "ScheduleV2")
_METHODS: Final[tuple[str, ...]] = get_args(Method)


class Called:
    """The function whose events are read, as they are to call it."""

    def __init__(self, resource: str, name: str, alias: str | None, target: Target) -> None:
        self.resource = resource
        self.name = name
        self.alias = alias
        self.arn = target.arn("lambda", f"function:{name}") + (f":{alias}" if alias else "")
        self.target = target


def routes(events: dict[str, Node], called: Called, apis: Apis) -> tuple[Route, ...]:
    """The routes that lead to a function. Raises `TemplateError`."""
    found: dict[tuple[str, str], Route] = {}
    for name, node in events.items():
        route = _route(node, called, apis)
        if route is None:
            continue
        if (route.method, route.path) in found:
            raise _error(called, node.line, f"{name}: {route.method} {route.path} leads to {called.resource} already")
        found[route.method, route.path] = route
    return tuple(found.values())


def items(events: dict[str, Node], called: Called) -> Iterator[Item]:
    """Everything else. Raises `TemplateError`."""
    path = called.target.path
    for name, node in events.items():
        event = convert(node, Event, path)
        properties = node.members().get("Properties", Node(node.line, {}))
        logical = f"{called.resource}{name}"
        if event.type == "SQS":
            yield _mapping(logical, convert(properties, QueueEvent, path), called, node.line)
        elif event.type == "S3":
            yield _notice(logical, convert(properties, UploadEvent, path), called, node.line)
        elif event.type == "Schedule":
            yield from _schedule(logical, convert(properties, ScheduleEvent, path), called, node.line)
        elif event.type == "ScheduleV2":
            yield from _schedule_v2(logical, convert(properties, ScheduleV2Event, path), called, node.line)
        elif event.type == "FunctionUrl":
            yield url(convert(properties, UrlConfig, path), called, node.line)
        elif event.type not in _KINDS:
            hint = nearest(event.type, _KINDS)
            raise _error(called, node.members()["Type"].line, f"events of type {event.type} are not supported; {hint}")


def url(config: UrlConfig, called: Called, line: int) -> Item:
    """A function's URL."""
    members = given(config, "AuthType", "Cors", "InvokeMode")
    wanted = QualifiedWanted(function=called.name, alias=called.alias, members=members)
    return Item(name=f"{called.resource}Url", kind="AWS::Lambda::Url", line=line, wanted=wanted)


def _route(node: Node, called: Called, apis: Apis) -> Route | None:
    event = convert(node, Event, called.target.path)
    properties = node.members().get("Properties", Node(node.line, {}))
    payload: Payload
    if event.type == "HttpApi":
        http = convert(properties, HttpApiEvent, called.target.path)
        if (http.path is None) != (http.method is None):
            raise _error(called, node.line, "an HttpApi event has both Path and Method, or neither")
        method, path, payload = http.method or "ANY", http.path or "$default", http.payload_format_version
        api, stage = http.api_id or IMPLICIT[0], apis.stage(http.api_id, DEFAULT_STAGE)
    elif event.type == "Api":
        rest = convert(properties, ApiEvent, called.target.path)
        method, path, payload = rest.method, rest.path, "rest"
        api, stage = rest.rest_api_id or IMPLICIT[1], apis.stage(rest.rest_api_id, REST_STAGE)
    else:
        return None
    method = "ANY" if method in ("*", "any") else method.upper()
    if method not in _METHODS:
        raise _error(called, node.line, f"{method} is no method; {nearest(method, _METHODS)}")
    try:
        return Route(
            api=called.target.stack,
            method=cast(Method, method),
            path=path,
            payload=payload,
            stage=stage,
            qualifier=called.alias,
            cors=apis.cors(api),
        )
    except InvalidParameterValue as error:
        raise _error(called, node.line, error.message) from error


def _mapping(logical: str, event: QueueEvent, called: Called, line: int) -> Item:
    members = given(event, "BatchSize", "MaximumBatchingWindowInSeconds", "FilterCriteria", "ScalingConfig")
    wanted = {
        "FunctionName": called.arn,
        "EventSourceArn": event.queue,
        "Enabled": event.enabled,
        "FunctionResponseTypes": event.function_response_types,
        **members,
    }
    return Item(name=logical, kind="AWS::Lambda::EventSourceMapping", line=line, wanted=wanted)


def _notice(logical: str, event: UploadEvent, called: Called, line: int) -> Item:
    wanted = NoticeWanted(
        bucket=event.bucket,
        id=f"{called.target.stack}-{logical}",
        target_arn=called.arn,
        events=[event.events] if isinstance(event.events, str) else event.events,
        filter=keys(event.filter),
    )
    return Item(name=logical, kind="Samovar::Notice", line=line, wanted=wanted)


def _schedule(logical: str, event: ScheduleEvent, called: Called, line: int) -> Iterator[Item]:
    target = yield from _started(logical, event, called, line)
    wanted = {
        "Name": event.name or f"{called.target.stack}-{logical}",
        "ScheduleExpression": event.schedule,
        "State": event.state or ("ENABLED" if event.enabled else "DISABLED"),
        "Description": event.description,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": target,
    }
    yield Item(name=logical, kind="AWS::Scheduler::Schedule", line=line, wanted=wanted)


def _schedule_v2(logical: str, event: ScheduleV2Event, called: Called, line: int) -> Iterator[Item]:
    target = yield from _started(logical, event, called, line)
    wanted = {
        "Name": event.name or f"{called.target.stack}-{logical}",
        "State": event.state,
        "Description": event.description,
        "FlexibleTimeWindow": window(event.flexible_time_window),
        "Target": target,
        **given(event, "GroupName", "ScheduleExpression", "ScheduleExpressionTimezone", "StartDate", "EndDate"),
    }
    yield Item(name=logical, kind="AWS::Scheduler::Schedule", line=line, wanted=wanted)


def _started(
    logical: str, event: ScheduleEvent | ScheduleV2Event, called: Called, line: int
) -> Generator[Item, None, dict[str, Any]]:
    """The target of a schedule, behind the queue for dead letters that SAM makes if there is to be one."""
    role = f"arn:aws:iam::{called.target.account}:role/{called.target.stack}-{called.resource}Role"
    letters = {}
    if event.dead_letter_config is not None:
        letters = {"DeadLetterConfig": {"Arn": (yield from _letters(logical, event.dead_letter_config, called, line))}}
    return {"Arn": called.arn, "RoleArn": role, **given(event, "Input", "RetryPolicy"), **letters}


def _letters(logical: str, said: OwnDeadLetters, called: Called, line: int) -> Generator[Item, None, str]:
    if said.arn is not None:
        return said.arn
    if said.type is None:
        raise _error(called, line, f"DeadLetterConfig of {logical} has neither Arn nor Type")
    name = said.queue_logical_id or f"{logical}Queue"
    item, known = queue(called.target, name, line, f"{called.target.stack}-{name}"[:80], {}, {})
    yield item
    return known["Arn"]


def _error(called: Called, line: int, problem: str) -> TemplateError:
    return TemplateError(f"{called.target.path}:{line}: {problem}")
