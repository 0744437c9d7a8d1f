"""What each resource of a template comes down to, and what others may know of it. No I/O but a look at code folders."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from samovar.sam import expand_events
from samovar.sam.code import Code, CodeError, of_uri
from samovar.sam.document import Node, TemplateError, nearest
from samovar.sam.drivers.functions import FunctionWanted
from samovar.sam.drivers.layers import LayerWanted
from samovar.sam.drivers.qualified import QualifiedWanted
from samovar.sam.drivers.queues import QueueWanted
from samovar.sam.expand_events import Called
from samovar.sam.item import Item
from samovar.sam.properties import (
    ApiProperties,
    BucketProperties,
    EventInvoke,
    FunctionProperties,
    HttpApiProperties,
    LayerProperties,
    MappingProperties,
    QueueProperties,
    RoleProperties,
)
from samovar.sam.reading import convert
from samovar.sam.target import Target, given
from samovar.sam.template import Resource

IMPLICIT: Final = ("ServerlessHttpApi", "ServerlessRestApi")
"""The APIs that SAM makes for events that name none."""
_QUEUE_ATTRIBUTES: Final = (
    "FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit", "DelaySeconds",
    "MaximumMessageSize", "MessageRetentionPeriod", "ReceiveMessageWaitTimeSeconds", "VisibilityTimeout",
    "RedrivePolicy", "RedriveAllowPolicy",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Expanded:
    """A resource, taken apart."""

    items: list[Item]
    """In the order in which they are made."""
    known: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of the resource, and of what SAM generates from it: attributes, as far as they are known beforehand."""


class Expander:
    """Takes resources apart, their functions resolved. Every method raises `TemplateError` with the line."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._stages: dict[str, str] = {}
        self._kinds: dict[str, Callable[[Resource, Node], Expanded]] = {
            "AWS::Serverless::Function": self._function,
            "AWS::Serverless::LayerVersion": self._layer,
            "AWS::Serverless::HttpApi": self._http_api,
            "AWS::Serverless::Api": self._rest_api,
            "AWS::SQS::Queue": self._queue,
            "AWS::S3::Bucket": self._bucket,
            "AWS::Lambda::EventSourceMapping": self._mapping,
            "AWS::IAM::Role": self._role,
        }

    def expand(self, resource: Resource, properties: Node) -> Expanded:
        """A resource with its resolved properties."""
        expand = self._kinds.get(resource.type)
        if expand is None:
            hint = nearest(resource.type, self._kinds)
            raise self._error(resource.line, f"{resource.name}: the type {resource.type} is not supported; {hint}")
        return expand(resource, properties)

    def generated(self, resource: Resource) -> Iterator[str]:
        """Names by which a template may refer to what SAM makes of a resource."""
        if resource.type == "AWS::Serverless::Function":
            yield from (f"{resource.name}Role", f"{resource.name}Url")

    def _function(self, resource: Resource, node: Node) -> Expanded:
        target, properties = self._target, convert(node, FunctionProperties, self._target.path)
        name = self._name(properties.function_name, resource, r"[a-zA-Z0-9_-]{1,64}")
        called = Called(resource.name, name, properties.auto_publish_alias, target)
        events = node.members().get("Events", Node(node.line, {})).members()
        role = properties.role or f"arn:aws:iam::{target.account}:role/{target.stack}-{resource.name}Role"
        wanted = FunctionWanted(
            configuration={"FunctionName": name, "Role": role, **self._configuration(properties)},
            at_creation={
                "PackageType": properties.package_type,
                **({"Architectures": properties.architectures} if properties.architectures else {}),
            },
            code=self._code(resource, node, properties),
            tags=properties.tags,
            reserved=properties.reserved_concurrent_executions,
            recursive_loop=properties.recursive_loop or "Terminate",
            routes=expand_events.routes(events, called, self._stages),
        )
        items = [Item(name=resource.name, kind="AWS::Lambda::Function", line=resource.line, wanted=wanted)]
        items += self._of_function(resource, properties, called)
        items += expand_events.items(events, called)
        arn = target.arn("lambda", f"function:{name}")
        known = {
            resource.name: {"": name, "Arn": arn},
            f"{resource.name}Role": {"": role.rpartition("/")[2], "Arn": role},
        }
        if properties.auto_publish_alias:
            alias = f"{arn}:{properties.auto_publish_alias}"
            known[f"{resource.name}Alias{properties.auto_publish_alias}"] = {"": alias}
            known[resource.name] |= {"Alias": alias, "Version": arn}
        if any(item.kind == "AWS::Lambda::Url" for item in items):
            known[f"{resource.name}Url"] = {"": arn, "FunctionUrl": "http://", "FunctionArn": arn}
        return Expanded(items=items, known=known)

    def _of_function(self, resource: Resource, properties: FunctionProperties, called: Called) -> Iterator[Item]:
        """What belongs to a function beside its events."""
        if called.alias:
            named = QualifiedWanted(function=called.name, alias=called.alias, members={})
            yield Item(
                name=f"{resource.name}Alias{called.alias}", kind="AWS::Lambda::Alias", line=resource.line, wanted=named
            )
        if properties.provisioned_concurrency_config is not None:
            if not called.alias:
                raise self._error(
                    resource.line, f"{resource.name}: ProvisionedConcurrencyConfig needs AutoPublishAlias"
                )
            members = given(properties.provisioned_concurrency_config, "ProvisionedConcurrentExecutions")
            wanted = QualifiedWanted(function=called.name, alias=called.alias, members=members)
            yield Item(
                name=f"{resource.name}Provisioned", kind="Samovar::Provisioned", line=resource.line, wanted=wanted
            )
        if properties.event_invoke_config is not None:
            members = _event_invoke(properties.event_invoke_config)
            wanted = QualifiedWanted(function=called.name, alias=called.alias, members=members)
            yield Item(
                name=f"{resource.name}EventInvokeConfig",
                kind="AWS::Lambda::EventInvokeConfig",
                line=resource.line,
                wanted=wanted,
            )
        if properties.function_url_config is not None:
            yield expand_events.url(properties.function_url_config, called, resource.line)

    def _configuration(self, properties: FunctionProperties) -> dict[str, Any]:
        wanted = given(
            properties, "Description", "Handler", "Runtime", "MemorySize", "Timeout", "EphemeralStorage",
            "Environment", "Layers", "ImageConfig", "LoggingConfig",
        )  # fmt: skip
        if properties.package_type == "Image":
            wanted.pop("Layers", None)
        if properties.tracing is not None:
            wanted["TracingConfig"] = {"Mode": "Active" if properties.tracing == "Active" else "PassThrough"}
        queue = properties.dead_letter_queue
        wanted["DeadLetterConfig"] = {"TargetArn": queue.target_arn} if queue is not None else {"TargetArn": ""}
        return wanted

    def _code(self, resource: Resource, node: Node, properties: FunctionProperties) -> Code:
        if properties.package_type == "Image":
            if not properties.image_uri:
                raise self._error(resource.line, f"{resource.name}: PackageType Image needs ImageUri")
            return Code(image=properties.image_uri)
        for member, value in (("Handler", properties.handler), ("Runtime", properties.runtime)):
            if not value:
                raise self._error(resource.line, f"{resource.name} has no {member}")
        if (properties.code_uri is None) == (properties.inline_code is None):
            raise self._error(resource.line, f"{resource.name} needs either CodeUri or InlineCode")
        if properties.inline_code is not None:
            return Code(inline=properties.inline_code)
        assert properties.code_uri is not None
        return self._uri(properties.code_uri, node.members()["CodeUri"].line)

    def _uri(self, uri: Any, line: int) -> Code:
        try:
            return of_uri(uri, self._target.folder)
        except CodeError as error:
            raise self._error(line, error.message) from error

    def _layer(self, resource: Resource, node: Node) -> Expanded:
        properties = convert(node, LayerProperties, self._target.path)
        name = self._name(properties.layer_name, resource, r"[a-zA-Z0-9_-]{1,140}")
        members = given(properties, "Description", "CompatibleRuntimes", "CompatibleArchitectures", "LicenseInfo")
        wanted = LayerWanted(
            name=name,
            code=self._uri(properties.content_uri, node.members()["ContentUri"].line),
            members={member: value for member, value in members.items() if value},
        )
        item = Item(name=resource.name, kind="AWS::Lambda::LayerVersion", line=resource.line, wanted=wanted)
        return Expanded(items=[item], known={resource.name: {"": self._target.arn("lambda", f"layer:{name}:1")}})

    def _http_api(self, resource: Resource, node: Node) -> Expanded:
        self._stages[resource.name] = convert(node, HttpApiProperties, self._target.path).stage_name
        return self._api(resource)

    def _rest_api(self, resource: Resource, node: Node) -> Expanded:
        self._stages[resource.name] = convert(node, ApiProperties, self._target.path).stage_name
        return self._api(resource)

    def _api(self, resource: Resource) -> Expanded:
        """An API is nothing by itself: `Ref` gives its logical id, by which events find its stage."""
        return Expanded(items=[], known={resource.name: {"": resource.name}})

    def _queue(self, resource: Resource, node: Node) -> Expanded:
        properties = convert(node, QueueProperties, self._target.path)
        suffix = ".fifo" if properties.fifo_queue and not properties.queue_name else ""
        name = self._name(properties.queue_name, resource, r"[a-zA-Z0-9_-]{1,80}(\.fifo)?", suffix)
        attributes = given(properties, *_QUEUE_ATTRIBUTES)
        wanted = QueueWanted(
            name=name,
            attributes={member: _as_text(value) for member, value in attributes.items()},
            tags={tag.key: tag.value for tag in properties.tags},
        )
        url = f"{self._target.client.endpoint}/{self._target.account}/{name}"
        known = {"": url, "Arn": self._target.arn("sqs", name), "QueueName": name, "QueueUrl": url}
        item = Item(name=resource.name, kind="AWS::SQS::Queue", line=resource.line, wanted=wanted)
        return Expanded(items=[item], known={resource.name: known})

    def _bucket(self, resource: Resource, node: Node) -> Expanded:
        properties = convert(node, BucketProperties, self._target.path)
        default = f"{self._target.stack}-{resource.name}".lower().replace("_", "-")
        name = self._name(properties.bucket_name or default, resource, r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
        item = Item(name=resource.name, kind="AWS::S3::Bucket", line=resource.line, wanted=name)
        return Expanded(items=[item], known={resource.name: {"": name, "Arn": f"arn:aws:s3:::{name}"}})

    def _mapping(self, resource: Resource, node: Node) -> Expanded:
        properties = convert(node, MappingProperties, self._target.path)
        wanted = given(
            properties, "FunctionName", "EventSourceArn", "Enabled", "BatchSize", "MaximumBatchingWindowInSeconds",
            "FilterCriteria", "FunctionResponseTypes", "ScalingConfig",
        )  # fmt: skip
        item = Item(name=resource.name, kind="AWS::Lambda::EventSourceMapping", line=resource.line, wanted=wanted)
        return Expanded(items=[item], known={resource.name: {"": resource.name}})

    def _role(self, resource: Resource, node: Node) -> Expanded:
        name = convert(node, RoleProperties, self._target.path).role_name or f"{self._target.stack}-{resource.name}"
        arn = f"arn:aws:iam::{self._target.account}:role/{name}"
        return Expanded(items=[], known={resource.name: {"": name, "Arn": arn}})

    def _name(self, chosen: str | None, resource: Resource, pattern: str, suffix: str = "") -> str:
        """The name a resource has on the platform: the template's, else one of stack and logical id."""
        name = chosen or f"{self._target.stack}-{resource.name}{suffix}"
        if re.fullmatch(pattern, name) is None:
            raise self._error(resource.line, f"{resource.name}: {name!r} is no name; one matches {pattern}")
        return name

    def _error(self, line: int, problem: str) -> TemplateError:
        return TemplateError(f"{self._target.path}:{line}: {problem}")


def _event_invoke(config: EventInvoke) -> dict[str, Any]:
    members = given(config, "MaximumEventAgeInSeconds", "MaximumRetryAttempts")
    there = config.destination_config
    destinations = (
        {
            name: {"Destination": one.destination}
            for name, one in (("OnSuccess", there.on_success), ("OnFailure", there.on_failure))
            if one is not None
        }
        if there is not None
        else {}
    )
    return {**members, **({"DestinationConfig": destinations} if destinations else {})}


def _as_text(value: Any) -> str:
    """Attributes of queues are text, whatever they mean."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return json.dumps({name: msgspec.to_builtins(item) for name, item in value.items()}, separators=(",", ":"))
    return str(value)
