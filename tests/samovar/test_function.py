"""Records of functions refuse what Lambda refuses, in Lambda's words."""

from __future__ import annotations

from typing import Any

import pytest

from samovar.errors import InvalidParameterValue, ValidationFailed
from samovar.function import FunctionVersion, Limits, check_environment
from samovar.names import FunctionReference, check_new_name, function_arn, new_request_id, new_url_id
from samovar.provisioning import Provision


def version(**changes: Any) -> FunctionVersion:
    usual: dict[str, Any] = {
        "name": "orders", "account": "123456789012", "region": "us-east-1", "serial": 1, "revision_id": "r",
        "runtime": "python3.11", "handler": "app.handler", "code_sha256": "ab",
    }  # fmt: skip
    return FunctionVersion(**usual | changes)


@pytest.mark.parametrize(("field", "value"), [("memory_mb", 127), ("memory_mb", 10_241), ("timeout_s", 0),
                                              ("timeout_s", 901), ("tmp_mb", 511)])  # fmt: skip
def test_limits_out_of_range_are_refused(field: str, value: int) -> None:
    with pytest.raises(InvalidParameterValue, match=f"Value '{value}' at '.*' failed to satisfy constraint"):
        Limits(**{field: value})


def test_what_only_says_how_many_environments_there_may_be_needs_no_new_ones() -> None:
    changed = version(serial=2, revision_id="s", max_environments=3, provisioned=(Provision(count=1),))
    assert version().is_built_like(changed)
    assert not version().is_built_like(version(serial=2, code_sha256="cd"))
    assert not version().is_built_like(version(serial=2, environment={"LEVEL": "debug"}))


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 65, "ünder"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InvalidParameterValue, match="function name"):
        version(name=name)


@pytest.mark.parametrize("handler", ["", "app handler", "x" * 129])
def test_a_handler_that_is_none_is_refused(handler: str) -> None:
    with pytest.raises(InvalidParameterValue, match="handler"):
        version(handler=handler)


def test_reserved_variables_are_refused_by_name() -> None:
    with pytest.raises(InvalidParameterValue, match="Reserved keys used in this request: AWS_REGION, _HANDLER"):
        check_environment({"AWS_REGION": "x", "_HANDLER": "y", "MINE": "z"})


@pytest.mark.parametrize("given", ["0", "1601", "many", "-1", "٣"])
def test_a_number_of_events_at_once_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(InvalidParameterValue, match="it is a number of events, 1 to 1600"):
        version(runtime="provided.al2023", environment={"AWS_LAMBDA_MAX_CONCURRENCY": given})


def test_only_functions_with_a_runtime_of_their_own_say_how_many_events_they_take_at_once() -> None:
    variables = {"AWS_LAMBDA_MAX_CONCURRENCY": "32"}
    assert version(runtime="provided.al2023", environment=variables).concurrency == 32
    assert version(runtime="provided.al2023").concurrency == 1
    with pytest.raises(InvalidParameterValue, match="Reserved keys used in this request: AWS_LAMBDA_MAX_CONCURRENCY"):
        version(runtime="python3.11", environment=variables)


@pytest.mark.parametrize("name", ["1A", "A", "A-B", ""])
def test_malformed_variable_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidParameterValue, match="environment variable name"):
        check_environment({name: "x"})


def test_more_than_four_kilobytes_of_variables_are_refused() -> None:
    check_environment({"BIG": "x" * 4000})
    with pytest.raises(InvalidParameterValue, match="exceeded the 4KB limit"):
        check_environment({"BIG": "x" * 4096})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("orders", FunctionReference("orders")),
        ("orders:live", FunctionReference("orders", "live")),
        ("orders:$LATEST", FunctionReference("orders", "$LATEST")),
        ("123456789012:function:orders:3", FunctionReference("orders", "3", "123456789012")),
        (
            "arn:aws:lambda:eu-west-1:123456789012:function:orders",
            FunctionReference("orders", None, "123456789012", "eu-west-1"),
        ),
    ],
)
def test_every_form_of_a_function_name_is_read(text: str, expected: FunctionReference) -> None:
    assert FunctionReference.parse(text) == expected


@pytest.mark.parametrize("text", ["", "a b", "arn:aws:s3:::bucket", "orders:live:more", "orders:"])
def test_what_names_no_function_is_refused(text: str) -> None:
    with pytest.raises(ValidationFailed, match="1 validation error detected"):
        FunctionReference.parse(text)


def test_a_name_that_is_too_long_is_refused_to_who_makes_a_function() -> None:
    assert FunctionReference.parse("123456789012:function:" + "x" * 65).name == "x" * 65
    with pytest.raises(InvalidParameterValue, match="Member must have length less than or equal to 64"):
        check_new_name("x" * 65)
    check_new_name("x" * 64)


def test_arns_carry_the_qualifier() -> None:
    assert version().qualified_arn == function_arn("123456789012", "us-east-1", "orders", "$LATEST")


def test_identifiers_are_unique_and_well_formed() -> None:
    import uuid

    ids = {new_request_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(uuid.UUID(one).version == 4 and str(uuid.UUID(one)) == one for one in ids)
    assert len(new_url_id()) == 32
