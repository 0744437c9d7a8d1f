"""What a function's `Events` come down to: routes, mappings, notices, schedules. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast, get_args

import msgspec

from samovar.errors import InvalidParameterValue
from samovar.sam.document import Node, TemplateError, nearest
from samovar.sam.drivers.buckets import NoticeWanted
from samovar.sam.drivers.qualified import QualifiedWanted
from samovar.sam.item import Item
from samovar.sam.properties import (
    ApiEvent,
    Event,
    HttpApiEvent,
    QueueEvent,
    ScheduleEvent,
    ScheduleV2Event,
    UploadEvent,
    UrlConfig,
)
from samovar.sam.reading import convert
from samovar.sam.target import Target, given
from samovar.stack import Method, Payload, Route

_KINDS: Final = ("Api", "FunctionUrl", "HttpApi", "S3", "SQS", "Schedule", "ScheduleV2")
_METHODS: Final[tuple[str, ...]] = get_args(Method)
_REST_STAGE: Final = "Prod"
"""The stage SAM gives an API that it makes itself."""


class Called:
    """The function whose events are read, as they are to call it."""

    def __init__(self, resource: str, name: str, alias: str | None, target: Target) -> None:
        self.resource = resource
        self.name = name
        self.alias = alias
        self.arn = target.arn("lambda", f"function:{name}") + (f":{alias}" if alias else "")
        self.target = target


def routes(events: dict[str, Node], called: Called, stages: dict[str, str]) -> tuple[Route, ...]:
    """The routes that lead to a function. `stages`: API → its stage. Raises `TemplateError`."""
    found: dict[tuple[str, str], Route] = {}
    for name, node in events.items():
        route = _route(node, called, stages)
        if route is None:
            continue
        if (route.method, route.path) in found:
            raise _error(called, node.line, f"{name}: {route.method} {route.path} leads to {called.resource} already")
        found[route.method, route.path] = route
    return tuple(found.values())


def items(events: dict[str, Node], called: Called) -> Iterator[Item]:
    """Everything else. Raises `TemplateError`."""
    for name, node in events.items():
        event = convert(node, Event, called.target.path)
        properties = node.members().get("Properties", Node(node.line, {}))
        logical = f"{called.resource}{name}"
        if event.type == "SQS":
            yield _mapping(logical, convert(properties, QueueEvent, called.target.path), called, node.line)
        elif event.type == "S3":
            yield _notice(logical, convert(properties, UploadEvent, called.target.path), called, node.line)
        elif event.type == "Schedule":
            yield _schedule(logical, convert(properties, ScheduleEvent, called.target.path), called, node.line)
        elif event.type == "ScheduleV2":
            yield _schedule_v2(logical, convert(properties, ScheduleV2Event, called.target.path), called, node.line)
        elif event.type == "FunctionUrl":
            yield url(convert(properties, UrlConfig, called.target.path), called, node.line)
        elif event.type not in _KINDS:
            hint = nearest(event.type, _KINDS)
            raise _error(called, node.members()["Type"].line, f"events of type {event.type} are not supported; {hint}")


def url(config: UrlConfig, called: Called, line: int) -> Item:
    """A function's URL."""
    members = given(config, "AuthType", "Cors", "InvokeMode")
    wanted = QualifiedWanted(function=called.name, alias=called.alias, members=members)
    return Item(name=f"{called.resource}Url", kind="AWS::Lambda::Url", line=line, wanted=wanted)


def _route(node: Node, called: Called, stages: dict[str, str]) -> Route | None:
    event = convert(node, Event, called.target.path)
    properties = node.members().get("Properties", Node(node.line, {}))
    payload: Payload
    if event.type == "HttpApi":
        http = convert(properties, HttpApiEvent, called.target.path)
        if (http.path is None) != (http.method is None):
            raise _error(called, node.line, "an HttpApi event has both Path and Method, or neither")
        method, path, payload = http.method or "ANY", http.path or "$default", http.payload_format_version
        stage = stages.get(http.api_id or "", "$default")
    elif event.type == "Api":
        rest = convert(properties, ApiEvent, called.target.path)
        method, path, payload = rest.method, rest.path, "rest"
        stage = stages.get(rest.rest_api_id or "", _REST_STAGE)
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
    rules = (
        [{"Name": rule.name.lower(), "Value": rule.value} for rule in event.filter.s3_key.rules] if event.filter else []
    )
    wanted = NoticeWanted(
        bucket=event.bucket,
        id=f"{called.target.stack}-{logical}",
        function_arn=called.arn,
        events=[event.events] if isinstance(event.events, str) else event.events,
        filter={"Key": {"FilterRules": rules}} if rules else None,
    )
    return Item(name=logical, kind="Samovar::Notice", line=line, wanted=wanted)


def _schedule(logical: str, event: ScheduleEvent, called: Called, line: int) -> Item:
    state = event.state or ("ENABLED" if event.enabled else "DISABLED")
    wanted = {
        "Name": event.name or f"{called.target.stack}-{logical}",
        "ScheduleExpression": event.schedule,
        "State": state,
        "Description": event.description,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": _started(event, called),
    }
    return Item(name=logical, kind="AWS::Scheduler::Schedule", line=line, wanted=wanted)


def _schedule_v2(logical: str, event: ScheduleV2Event, called: Called, line: int) -> Item:
    window = msgspec.to_builtins(event.flexible_time_window) if event.flexible_time_window else {"Mode": "OFF"}
    wanted = {
        "Name": event.name or f"{called.target.stack}-{logical}",
        "State": event.state,
        "Description": event.description,
        "FlexibleTimeWindow": {name: value for name, value in window.items() if value is not None},
        "Target": _started(event, called),
        **given(event, "ScheduleExpression", "ScheduleExpressionTimezone", "StartDate", "EndDate"),
    }
    return Item(name=logical, kind="AWS::Scheduler::Schedule", line=line, wanted=wanted)


def _started(event: ScheduleEvent | ScheduleV2Event, called: Called) -> dict[str, Any]:
    role = f"arn:aws:iam::{called.target.account}:role/{called.target.stack}-{called.resource}Role"
    members = given(event, "Input", "RetryPolicy", "DeadLetterConfig")
    return {"Arn": called.arn, "RoleArn": role, **members}


def _error(called: Called, line: int, problem: str) -> TemplateError:
    return TemplateError(f"{called.target.path}:{line}: {problem}")
