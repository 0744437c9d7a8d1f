"""Who a function is to the platform."""

from __future__ import annotations

import re

from gateway.access.sessions import RoleSession

ACCOUNT = "123456789012"


def session(function: str, role_name: str = "cook", key_id: str = "ASIA1") -> RoleSession:
    return RoleSession(
        key_id=key_id, name=function, role="invoke", region="us-east-1", function=function, role_name=role_name
    )


def test_sessions_of_a_role_share_its_id_whatever_their_keys() -> None:
    first, second = session("orders"), session("orders", key_id="ASIA2")
    assert first.user_id(ACCOUNT) == second.user_id(ACCOUNT)
    role, _, name = first.user_id(ACCOUNT).partition(":")
    assert re.fullmatch(r"AROA[A-Z2-7]{17}", role)
    assert name == "orders"
    assert session("tea").user_id(ACCOUNT) == f"{role}:tea"
    assert session("orders", "waiter").user_id(ACCOUNT).partition(":")[0] != role


def test_a_name_of_one_letter_is_too_short_for_a_session() -> None:
    assert session("l").arn(ACCOUNT) == f"arn:aws:sts::{ACCOUNT}:assumed-role/cook/l@lambda_function"
    assert session("ll").arn(ACCOUNT) == f"arn:aws:sts::{ACCOUNT}:assumed-role/cook/ll"
