"""What a resource policy allows."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.functions.policy import Caller, Statements, allows, denies, statement

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:shop"
CALL = "lambda:InvokeFunction"
OTHER = Caller(account="210987654321", arn="arn:aws:iam::210987654321:user/ada")
BUCKET = Caller(service="s3.amazonaws.com", context={"aws:SourceArn": "arn:aws:s3:::leaves"})


def policy(who: str, action: str = CALL, **condition: dict[str, str]) -> Statements:
    return (statement("s", who, action, FUNCTION, condition),)


@pytest.mark.parametrize("who", ["*", "210987654321", "arn:aws:iam::210987654321:user/ada"])
def test_principals_that_mean_the_caller(who: str) -> None:
    assert allows(policy(who), OTHER, CALL, FUNCTION)


@pytest.mark.parametrize("who", ["123456789012", "arn:aws:iam::210987654321:user/eve", "s3.amazonaws.com"])
def test_principals_that_mean_somebody_else(who: str) -> None:
    assert not allows(policy(who), OTHER, CALL, FUNCTION)


@pytest.mark.parametrize(
    ("action", "allowed"),
    [("lambda:*", True), ("*", True), ("lambda:GetFunction", False), ("lambda:invokefunction", True)],
)
def test_actions_match_by_pattern_and_without_regard_to_case(action: str, allowed: bool) -> None:
    assert allows(policy("*", action), OTHER, CALL, FUNCTION) is allowed


def test_another_resource_is_not_meant() -> None:
    assert not allows(policy("*"), OTHER, CALL, f"{FUNCTION}:live")
    assert not allows((), OTHER, CALL, FUNCTION)


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        ({"ArnLike": {"AWS:SourceArn": "arn:aws:s3:::leaves"}}, True),
        ({"ArnLike": {"AWS:SourceArn": "arn:aws:s3:::*"}}, True),
        ({"ArnLike": {"AWS:SourceArn": "arn:aws:s3:::[l]eaves"}}, False),
        ({"StringEquals": {"AWS:SourceArn": "arn:aws:s3:::*"}}, False),
        ({"StringEquals": {"AWS:SourceAccount": "123456789012"}}, False),
        ({"DateGreaterThan": {"AWS:SourceArn": "arn:aws:s3:::leaves"}}, False),
    ],
)
def test_conditions_hold_or_fail(condition: dict[str, Any], allowed: bool) -> None:
    assert allows(policy("s3.amazonaws.com", **condition), BUCKET, CALL, FUNCTION) is allowed


def test_a_denial_is_no_permission_and_is_found_as_one() -> None:
    denial = tuple({**one, "Effect": "Deny"} for one in policy("*"))
    assert not allows(denial, OTHER, CALL, FUNCTION)
    assert denies(denial, OTHER, CALL, FUNCTION)
    assert not denies(denial, OTHER, CALL, f"{FUNCTION}:live")
    assert not denies(policy("*"), OTHER, CALL, FUNCTION)
