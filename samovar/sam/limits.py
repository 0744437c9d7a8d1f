"""Limits and values, asked of the platform before anything is made: it has the rules, and answers in AWS's words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from samovar.clients import stacks as stack_client
from samovar.deploy.deployment import note_on_runtime
from samovar.sam.document import TemplateError
from samovar.sam.item import Item
from samovar.sam.target import Target
from samovar.stack import MAX_CHECKS, Check

_QUALIFIED: Final = {
    "AWS::Lambda::EventInvokeConfig": "PutFunctionEventInvokeConfig",
    "AWS::Lambda::Url": "CreateFunctionUrlConfig",
    "Samovar::Provisioned": "PutProvisionedConcurrencyConfig",
}


def check_limits(target: Target, items: list[Item]) -> None:
    """Have every request checked that can be written before something is made. Raises `TemplateError`."""
    own = {item.wanted.name for item in items if item.kind == "AWS::Lambda::LayerVersion"}
    asked = [(item, check) for item in items for check in _checks(item, own)]
    problems: list[str] = []
    for begin in range(0, len(asked), MAX_CHECKS):
        part = asked[begin : begin + MAX_CHECKS]
        answers = stack_client.check(target.client, [check for _, check in part])
        problems += [
            f"{target.path}:{item.line}: {item.name}: {problem}"
            for (item, _), problem in zip(part, answers, strict=True)
            if problem
        ]
    if problems:
        raise TemplateError("\n".join(problems))


def notes_on_runtimes(target: Target, items: list[Item]) -> Iterator[str]:
    """Which functions will be there and cannot run on this host in their isolation, and what they lack."""
    functions = [item for item in items if item.kind == "AWS::Lambda::Function"]
    invoker = target.client.status().invoker if functions else None
    if invoker is None:  # it is away for now, which is no fault of the template's
        return
    for item in functions:
        runtime, isolation = item.wanted.configuration.get("Runtime"), item.wanted.tags.get("samovar:isolation")
        note = note_on_runtime(runtime, isolation, invoker) if runtime else None
        if note is not None:
            yield f"{target.path}:{item.line}: {item.name}: {note}"


def _checks(item: Item, own: set[str]) -> Iterator[Check]:
    """The requests by which a thing will be made, as far as they are known. `own`: layers that are yet to be made."""
    kind, wanted = item.kind, item.wanted
    if kind == "AWS::Lambda::Function":
        code: dict[str, Any] = {"ImageUri": wanted.code.image} if wanted.code.image else {"ZipFile": ""}
        layers = [arn for arn in wanted.configuration.get("Layers", []) if _layer_in(arn) not in own]
        request = {
            **wanted.configuration, **wanted.at_creation, "Layers": layers, "Code": code, "Tags": wanted.tags,
        }  # fmt: skip
        yield Check(service="lambda", operation="CreateFunction", request=request)
        if wanted.reserved is not None:
            named = {"FunctionName": wanted.configuration["FunctionName"]}
            reserved = {**named, "ReservedConcurrentExecutions": wanted.reserved}
            yield Check(service="lambda", operation="PutFunctionConcurrency", request=reserved)
    elif kind in _QUALIFIED:
        yield Check(service="lambda", operation=_QUALIFIED[kind], request={**wanted.named, **wanted.members})
    elif kind == "AWS::Lambda::Alias" and "FunctionVersion" in wanted.members:
        named = {"FunctionName": wanted.function, "Name": wanted.alias}
        yield Check(service="lambda", operation="CreateAlias", request={**named, **wanted.members})
    elif kind == "AWS::Lambda::LayerVersion":
        layer = {"LayerName": wanted.name, "Content": {"ZipFile": ""}, **wanted.members}
        yield Check(service="lambda", operation="PublishLayerVersion", request=layer)
    elif kind == "AWS::Lambda::Permission":
        named = {"FunctionName": wanted.function, "StatementId": f"{wanted.label}-{'0' * 12}"}
        yield Check(service="lambda", operation="AddPermission", request={**named, **wanted.members})
    elif kind == "AWS::Lambda::EventSourceMapping":
        yield Check(service="lambda", operation="CreateEventSourceMapping", request=wanted)
    elif kind == "AWS::Scheduler::Schedule":
        yield Check(service="scheduler", operation="CreateSchedule", request=wanted)
    elif kind == "AWS::SQS::Queue":
        yield Check(
            service="sqs", operation="CreateQueue", request={"QueueName": wanted.name, "Attributes": wanted.attributes}
        )


def _layer_in(arn: str) -> str:
    """The name of the layer in a version's ARN."""
    return arn.partition(":layer:")[2].partition(":")[0]
