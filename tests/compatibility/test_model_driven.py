"""Every operation of AWS's model: requests that break each constraint of it, and answers held to its shapes.

What is sent and what is expected is made from botocore's model. A score for each operation is printed.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import boto3  # type: ignore[import-untyped]  # it ships no types
import botocore.session  # type: ignore[import-untyped]  # it ships no types
import pytest
from botocore import xform_name
from botocore.config import Config  # type: ignore[import-untyped]  # it ships no types
from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types
from botocore.validate import ParamValidator  # type: ignore[import-untyped]  # it ships no types

from tests.compatibility.aws import ARN, create, package
from tests.docs.compatibility import offered
from tests.gateway.builders import CODE, ROLE
from tests.signing import key_for

pytestmark = pytest.mark.component("boto3", "valkey")
MODEL: Final[Any] = botocore.session.get_session().get_service_model("lambda")
LAYER: Final = "arn:aws:lambda:us-east-1:123456789012:layer:"
TEA: Final = f"{ARN}tea"
QUEUE: Final = "arn:aws:sqs:us-east-1:123456789012:tea-orders"
RUNS_SOMETHING: Final = {"InvokeWithResponseStream"}
"""Held to the model where there is something that runs: `test_streaming.py`."""
LONGEST: Final = 2048
"""Longer values than this are not sent: a path has to hold them."""
IN_OTHER_WORDS: Final = {("CreateFunction", "Runtime"), ("UpdateFunctionConfiguration", "Runtime")}
"""AWS answers these with an InvalidParameterValueException of its own."""


class Broken(NamedTuple):
    """A request that breaks one constraint."""

    member: str
    value: Any
    """`None` leaves it out."""
    path: str
    """As the answer is to name it."""


def lowered(name: str) -> str:
    return name[0].lower() + name[1:]


def broken_requests(operation: str) -> Iterator[Broken]:
    """One for each constraint of each member, and of the members of structures in it."""
    root = MODEL.operation_model(operation).input_shape
    if root is None:
        return
    for name, shape in root.members.items():
        located = shape.serialization.get("location")
        if name in root.required_members and located != "uri":
            yield Broken(name, None, lowered(name))
        for value in broken_values(shape, in_path=located == "uri"):
            yield Broken(name, value, lowered(name))
        if shape.type_name == "structure":
            for inner, inner_shape in shape.members.items():
                for value in broken_values(inner_shape, in_path=False):
                    yield Broken(name, {inner: value}, f"{lowered(name)}.{lowered(inner)}")


def broken_values(shape: Any, *, in_path: bool) -> Iterator[Any]:
    """Values of the right type that break one constraint each. An empty part of a path is no part of it."""
    metadata: Mapping[str, Any] = shape.metadata
    low, high = metadata.get("min"), metadata.get("max")
    if shape.type_name == "string":
        if shape.enum:
            yield "NoSuchValue"
        if high is not None and high < LONGEST:
            yield "x" * (high + 1)
        if low and not in_path:
            yield ""
        pattern = metadata.get("pattern")
        if pattern and not shape.enum and "\\p" not in pattern and re.fullmatch(pattern, "no {such} value") is None:
            yield "no {such} value"
    elif shape.type_name in ("integer", "long", "double", "float") and not in_path:
        yield from ([] if low is None else [low - 1]) + ([] if high is None else [high + 1])
    elif shape.type_name == "list" and shape.member.type_name == "string" and high is not None and high < 20:
        yield ["x"] * (high + 1)


@pytest.fixture
def unchecked(endpoint: str) -> Iterator[Any]:
    """boto3's client that sends whatever it is given."""
    key = key_for(endpoint)
    config = Config(retries={"total_max_attempts": 1}, parameter_validation=False, signature_version="v4")
    client = boto3.client(
        "lambda",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=key.key_id,
        aws_secret_access_key=key.secret,
        config=config,
    )
    yield client
    client.close()


def in_the_path(operation: str) -> dict[str, Any]:
    """Something for each part of an operation's path."""
    root = MODEL.operation_model(operation).input_shape
    members = {} if root is None else root.members
    located = {name: one for name, one in members.items() if one.serialization.get("location") == "uri"}
    return {name: 1 if one.type_name in ("integer", "long") else "x" for name, one in located.items()}


def refused(client: Any, operation: str, request: dict[str, Any]) -> tuple[int, str, str]:
    """Status, code and message of the error a request is answered with; status 200 if there is none."""
    try:
        getattr(client, xform_name(operation))(**request)
    except ClientError as error:
        told: Any = error.response
        return told["ResponseMetadata"]["HTTPStatusCode"], told["Error"]["Code"], told["Error"].get("Message", "")
    return 200, "", ""


def test_what_breaks_the_model_is_refused_by_name(unchecked: Any, capsys: pytest.CaptureFixture[str]) -> None:
    there, wrong, score = offered(), [], []
    for operation in sorted(MODEL.operation_names):
        requests = list(broken_requests(operation))
        failures = 0
        for broken in requests:
            given = in_the_path(operation) | ({} if broken.value is None else {broken.member: broken.value})
            status, code, message = refused(unchecked, operation, given)
            right = 400 <= status < 500
            if operation in there and (operation, broken.member) not in IN_OTHER_WORDS:
                right = (status, code) == (400, "ValidationException") and f"at '{broken.path}'" in message
            if not right:
                failures += 1
                wrong.append(f"{operation} {broken.member}={str(broken.value)[:40]}: {status} {code} {message[:200]}")
        score.append(f"{operation:45} {len(requests) - failures:3} of {len(requests):3}")
    with capsys.disabled():
        sys.stdout.write("\n".join(["", "Requests that break AWS's model, refused as AWS does:", *score, ""]))
    assert not wrong, "\n".join(wrong)


# Answers.


def scenario(answers: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Operations and what they are given, in an order in which each can do its work.

    `answers`: operation → its last answer, of those that came before.
    """
    tea, live = {"FunctionName": "tea"}, {"FunctionName": "tea", "Name": "live"}
    yield "GetFunction", tea
    yield "GetFunctionConfiguration", tea
    yield "UpdateFunctionCode", {**tea, "ZipFile": package("def handler(event, context): return 2"), "Publish": True}
    yield "UpdateFunctionConfiguration", {**tea, "MemorySize": 256, "Environment": {"Variables": {"POT": "big"}}}
    yield "PublishVersion", {**tea, "Description": "the second"}
    yield "ListVersionsByFunction", tea
    yield "CreateAlias", {**live, "FunctionVersion": "1"}
    yield "UpdateAlias", {**live, "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.5}}}
    yield "GetAlias", live
    yield "ListAliases", tea
    yield "GetFunction", {**tea, "Qualifier": "live"}
    yield "ListFunctions", {"FunctionVersion": "ALL"}
    yield "GetAccountSettings", {}
    yield "PutFunctionConcurrency", {**tea, "ReservedConcurrentExecutions": 3}
    yield "GetFunctionConcurrency", tea
    yield "DeleteFunctionConcurrency", tea
    yield "CreateFunctionUrlConfig", {**tea, "AuthType": "NONE", "Cors": {"AllowOrigins": ["*"]}}
    yield "UpdateFunctionUrlConfig", {**tea, "Cors": {"MaxAge": 5}}
    yield "GetFunctionUrlConfig", tea
    yield "ListFunctionUrlConfigs", tea
    yield "DeleteFunctionUrlConfig", tea
    yield "TagResource", {"Resource": f"{ARN}tea", "Tags": {"team": "kitchen"}}
    yield "ListTags", {"Resource": f"{ARN}tea"}
    yield "UntagResource", {"Resource": f"{ARN}tea", "TagKeys": ["team"]}
    yield from of_other_resources(tea)
    yield from of_calls(tea)
    yield from of_mappings(tea, answers)
    yield "DeleteAlias", live
    yield "DeleteFunction", {**tea, "Qualifier": "2"}


def of_other_resources(tea: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Policies, layers, and what else a function has."""
    statement = {"StatementId": "s3", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
    yield "AddPermission", {**tea, **statement}
    yield "GetPolicy", tea
    yield "RemovePermission", {**tea, "StatementId": "s3"}
    yield "PutFunctionEventInvokeConfig", {**tea, "MaximumRetryAttempts": 1}
    yield "UpdateFunctionEventInvokeConfig", {**tea, "MaximumEventAgeInSeconds": 60}
    yield "GetFunctionEventInvokeConfig", tea
    yield "ListFunctionEventInvokeConfigs", tea
    yield "DeleteFunctionEventInvokeConfig", tea
    yield "PutFunctionRecursionConfig", {**tea, "RecursiveLoop": "Allow"}
    yield "GetFunctionRecursionConfig", tea
    yield "PutRuntimeManagementConfig", {**tea, "UpdateRuntimeOn": "Auto"}
    yield "GetRuntimeManagementConfig", tea
    cups = {"LayerName": "cups", "VersionNumber": 1}
    yield "PublishLayerVersion", {"LayerName": "cups", "Content": {"ZipFile": package("cups = 2")}}
    yield "GetLayerVersion", cups
    yield "GetLayerVersionByArn", {"Arn": f"{LAYER}cups:1"}
    yield "ListLayers", {}
    yield "ListLayerVersions", {"LayerName": "cups"}
    shared = {"StatementId": "all", "Action": "lambda:GetLayerVersion", "Principal": "*"}
    yield "AddLayerVersionPermission", {**cups, **shared}
    yield "GetLayerVersionPolicy", cups
    yield "RemoveLayerVersionPermission", {**cups, "StatementId": "all"}
    yield "DeleteLayerVersion", cups


def of_calls(tea: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is called, and what is kept ready for it. Nothing runs here, so calls are tried or handed in."""
    yield "Invoke", {**tea, "InvocationType": "DryRun"}
    yield "Invoke", {**tea, "InvocationType": "Event", "Payload": b"{}"}
    yield "InvokeAsync", {**tea, "InvokeArgs": b"{}"}
    ready = {**tea, "Qualifier": "live"}
    yield "UpdateAlias", {**tea, "Name": "live", "RoutingConfig": {"AdditionalVersionWeights": {}}}
    yield "PutProvisionedConcurrencyConfig", {**ready, "ProvisionedConcurrentExecutions": 1}
    yield "GetProvisionedConcurrencyConfig", ready
    yield "ListProvisionedConcurrencyConfigs", tea
    yield "DeleteProvisionedConcurrencyConfig", ready
    statement = {"Sid": "one", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}}
    policy = {"Version": "2012-10-17", "Statement": [{**statement, "Action": "lambda:InvokeFunction", "Resource": TEA}]}
    yield "PutResourcePolicy", {"ResourceArn": TEA, "Policy": json.dumps(policy)}
    yield "GetResourcePolicy", {"ResourceArn": TEA}
    yield "DeleteResourcePolicy", {"ResourceArn": TEA}


def of_mappings(tea: dict[str, Any], answers: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A queue's mapping, from its beginning to its end."""
    filters = {"Filters": [{"Pattern": '{"body": {"cups": [2]}}'}]}
    yield "CreateEventSourceMapping", {**tea, "EventSourceArn": QUEUE, "BatchSize": 5, "FilterCriteria": filters}
    uuid = {"UUID": answers["CreateEventSourceMapping"]["UUID"]}
    yield "GetEventSourceMapping", uuid
    yield "ListEventSourceMappings", tea
    scaling = {"ScalingConfig": {"MaximumConcurrency": 4}, "FunctionResponseTypes": ["ReportBatchItemFailures"]}
    yield "UpdateEventSourceMapping", {**uuid, **scaling}
    yield "GetEventSourceMapping", uuid
    yield "DeleteEventSourceMapping", uuid


def faults(shape: Any, value: Any, at: str) -> Iterator[str]:
    """Where a value is not as its shape has it, beyond its type: values of enumerations, patterns, bounds."""
    if shape.type_name == "structure":
        for name in set(value) & set(shape.members):
            yield from faults(shape.members[name], value[name], f"{at}.{name}")
    elif shape.type_name == "list":
        for number, item in enumerate(value):
            yield from faults(shape.member, item, f"{at}[{number}]")
    elif shape.type_name == "map":
        for key, item in value.items():
            yield from faults(shape.value, item, f"{at}[{key}]")
    elif shape.type_name == "string":
        pattern = shape.metadata.get("pattern", "")
        if shape.enum and value not in shape.enum:
            yield f"{at} = {value!r} is none of {shape.enum}"
        if pattern and "\\p" not in pattern and re.fullmatch(pattern, value) is None:
            yield f"{at} = {value!r} does not match {pattern}"


def told(operation: str, answer: Mapping[str, Any]) -> list[str]:
    """What of an answer is not as the model has it."""
    model = MODEL.operation_model(operation)
    content = {name: value for name, value in answer.items() if name != "ResponseMetadata"}
    if model.output_shape is None:
        return [f"{operation}: {content} where nothing is to be"] if content else []
    if model.has_streaming_output:
        content.pop(model.output_shape.serialization["payload"], None)
    report = ParamValidator().validate(content, model.output_shape)
    wrong = [f"{operation}: {report.generate_report()}"] if report.has_errors() else []
    return wrong + [f"{operation}: {fault}" for fault in faults(model.output_shape, content, operation)]


def test_answers_are_as_the_model_has_them(aws: Any, sqs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    sqs.create_queue(QueueName=QUEUE.rpartition(":")[2])
    answers: dict[str, Any] = {}
    wrong = told("CreateFunction", create(aws, "tea", CODE.decode(), Role=ROLE))
    score = Counter({"CreateFunction": 1})
    for operation, request in scenario(answers):
        answers[operation] = getattr(aws, xform_name(operation))(**request)
        wrong += told(operation, answers[operation])
        score[operation] += 1
    with capsys.disabled():
        lines = [f"{operation:45} {count:3} answers" for operation, count in sorted(score.items())]
        left = ", ".join(sorted(offered() - score.keys()))
        sys.stdout.write("\n".join(["", "Answers held to AWS's model:", *lines, f"not here: {left}", ""]))
    assert not wrong, "\n".join(wrong)
    assert offered() - score.keys() <= RUNS_SOMETHING


# Errors.


def smallest(shape: Any) -> Any:
    """The least that a shape takes."""
    kind, metadata = shape.type_name, shape.metadata
    if kind == "structure":
        return {name: smallest(shape.members[name]) for name in shape.required_members}
    if kind == "list":
        return [smallest(shape.member)] * metadata.get("min", 0)
    if kind == "map":
        return {}
    if kind in ("integer", "long"):
        return metadata.get("min", 1)
    if kind in ("double", "float"):
        return float(metadata.get("min", 0))
    if kind in ("boolean", "blob", "timestamp"):
        return {"boolean": False, "blob": b"{}", "timestamp": 0}[kind]
    return shape.enum[0] if shape.enum else KNOWN_TEXTS.get(shape.name, "x" * max(1, metadata.get("min", 1)))


KNOWN_TEXTS: Final = {
    "FunctionArn": f"{ARN}nobody",
    "FunctionName": "nobody",
    "NamespacedFunctionName": "nobody",
    "PolicyResourceArn": f"{ARN}nobody",
    "RoleArn": ROLE,
    "TaggableResource": f"{ARN}nobody",
    "LayerVersionArn": f"{LAYER}nobody:1",
}
"""Shapes that have a form of their own, as something that is not there."""


def test_what_is_not_there_is_refused_by_errors_of_the_model(
    unchecked: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each operation, for things that are not there. `ValidationException` is AWS's for all, and in no model."""
    wrong, refusals = [], Counter[str]()
    for operation in sorted(offered()):
        model = MODEL.operation_model(operation)
        given = smallest(model.input_shape) if model.input_shape is not None else {}
        status, code, message = refused(unchecked, operation, given)
        refusals[code or "done"] += 1
        known = {shape.metadata.get("error", {}).get("code", shape.name) for shape in model.error_shapes}
        if code and code not in known | {"ValidationException"}:
            wrong.append(f"{operation}: {status} {code} is none of {', '.join(sorted(known))}: {message[:200]}")
        if status >= 500:
            wrong.append(f"{operation}: {status} {code} {message[:200]}")
    with capsys.disabled():
        counted = ", ".join(f"{code} {count}" for code, count in refusals.most_common())
        sys.stdout.write(f"\nThings that are not there: {counted}\n")
    assert not wrong, "\n".join(wrong)
