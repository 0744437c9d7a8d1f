"""The API model as it is read from botocore's file, and what is checked against it."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import botocore.session  # type: ignore[import-untyped]  # it ships no types
import pytest
from fastapi.routing import APIRoute

from gateway.lambda_api import constraints, model
from gateway.lambda_api.operations import Operations
from samovar.errors import SerializationFailed, ValidationFailed
from samovar.names import REFERENCE_PATTERN


def botocore_model() -> Any:
    return botocore.session.Session().get_service_model("lambda")


def test_every_operation_is_read_as_botocore_reads_it() -> None:
    theirs = botocore_model()
    assert set(model.operations()) == set(theirs.operation_names)
    for name, ours in model.operations().items():
        operation = theirs.operation_model(name)
        uri = ours.path + (f"?{ours.query}" if ours.query else "")
        assert (operation.http["method"], operation.http["requestUri"]) == (ours.method, uri)
        if operation.input_shape is not None:
            assert ours.input is not None
            shape = model.shape(ours.input)
            assert set(shape.members) == set(operation.input_shape.members)
            assert list(shape.required) == list(operation.input_shape.required_members)


def test_every_pattern_of_a_request_is_understood() -> None:
    seen: set[str] = set()

    def walk(name: str) -> None:
        if name in seen:
            return
        seen.add(name)
        shape = model.shape(name)
        if shape.pattern is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # Python might give "--" in a class a meaning some day
                constraints._compiled(shape.pattern)
        for part in (*shape.members.values(), shape.member, shape.key, shape.value):
            if part is not None:
                walk(part.shape)

    for operation in model.operations().values():
        if operation.input is not None:
            walk(operation.input)
    assert len(seen) > 150


def test_the_pattern_of_names_is_the_models() -> None:
    assert model.shape("NamespacedFunctionName").pattern == REFERENCE_PATTERN


def test_a_gateway_does_not_import_botocore() -> None:
    program = (
        "import sys, gateway.app, gateway.__main__; sys.exit(any(name.startswith('botocore') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


def test_routes_are_where_the_model_says() -> None:
    router = Operations()

    @router.operation("ListProvisionedConcurrencyConfigs")
    @router.operation("GetProvisionedConcurrencyConfig")
    @router.operation("TagResource")
    async def endpoint() -> None:
        """Does nothing."""

    routes = [route for route in router.routes if isinstance(route, APIRoute)]
    assert [(route.name, route.path, route.methods) for route in routes] == [
        ("ListProvisionedConcurrencyConfigs", "/2019-09-30/functions/{FunctionName}/provisioned-concurrency", {"GET"}),
        ("TagResource", "/2017-03-31/tags/{Resource:path}", {"POST"}),
        ("GetProvisionedConcurrencyConfig", "/2019-09-30/functions/{FunctionName}/provisioned-concurrency", {"GET"}),
    ]


NAME = {"FunctionName": "tea"}
BROKEN: dict[str, tuple[str, dict[str, Any], str]] = {
    "nothing at all": (
        "CreateAlias",
        NAME,
        "2 validation errors detected: Value null at 'name' failed to satisfy constraint: Member must not be null; "
        "Value null at 'functionVersion' failed to satisfy constraint: Member must not be null",
    ),
    "a number as an alias": (
        "CreateAlias",
        {**NAME, "Name": "2024", "FunctionVersion": "1"},
        "1 validation error detected: Value '2024' at 'name' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)",
    ),
    "a weight": (
        "UpdateAlias",
        {**NAME, "Name": "live", "RoutingConfig": {"AdditionalVersionWeights": {"2": 2.0}}},
        "1 validation error detected: Value '{2=2.0}' at 'routingConfig.additionalVersionWeights' failed to satisfy "
        "constraint: Map value must satisfy constraint: [Member must have value less than or equal to 1.0, "
        "Member must have value greater than or equal to 0.0, Member must not be null]",
    ),
    "a weighted version": (
        "UpdateAlias",
        {**NAME, "Name": "live", "RoutingConfig": {"AdditionalVersionWeights": {"$LATEST": 0.5}}},
        "1 validation error detected: Value '{$LATEST=0.5}' at 'routingConfig.additionalVersionWeights' failed to "
        "satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 1024, "
        "Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+]",
    ),
    "no tag keys": (
        "UntagResource",
        {"Resource": "arn:aws:lambda:us-east-1:123456789012:function:tea"},
        "1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: Member must not be null",
    ),
    "an enumeration": (
        "PutFunctionRecursionConfig",
        {**NAME, "RecursiveLoop": "Sometimes"},
        "1 validation error detected: Value 'Sometimes' at 'recursiveLoop' failed to satisfy constraint: "
        "Member must satisfy enum value set: [Terminate, Allow]",
    ),
    "in a list of structures": (
        "UpdateEventSourceMapping",
        {"UUID": "u", "SourceAccessConfigurations": [{"Type": "BASIC_AUTH"}, {"Type": "MAGIC"}]},
        "'sourceAccessConfigurations.2.member.type'",
    ),
}


@pytest.mark.parametrize(("operation", "given", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_broken_is_told_in_awss_words(operation: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        constraints.check(operation, given)
    assert message in refused.value.message


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("Timeout", 1.5, "DECIMAL_VALUE can not be converted to an Integer"),
        ("Timeout", True, "TRUE_VALUE can not be converted to an Integer"),
        ("Timeout", {}, "Start of structure or map found where not expected"),
        ("Description", 5, "NUMBER_VALUE can not be converted to a String"),
        ("VpcConfig", [], "Expected a structure at 'vpcConfig', found START_ARRAY"),
        ("Layers", "x", "Expected a list at 'layers', found STRING_VALUE"),
    ],
)
def test_a_value_of_the_wrong_type_stops_everything(member: str, value: object, message: str) -> None:
    with pytest.raises(SerializationFailed, match=message):
        constraints.check("UpdateFunctionConfiguration", {"FunctionName": "tea", "MemorySize": 1, member: value})


def test_nulls_are_not_given_and_whole_numbers_may_be_written_with_a_point() -> None:
    constraints.check("UpdateFunctionConfiguration", {"FunctionName": "tea", "Timeout": 3.0, "Description": None})
