"""The seccomp profile that Docker engines are given; that it holds is in test_snapshot_seats.py."""

from __future__ import annotations

import json
from typing import Any

import pytest

from invoker.isolation.docker_seccomp import profile
from invoker.isolation.syscalls import DENIED, NEW_NAMESPACES, SOCKET_FAMILIES


@pytest.fixture(scope="module")
def rules() -> list[dict[str, Any]]:
    """The rules of the profile."""
    document: dict[str, Any] = json.loads(profile())
    assert document["defaultAction"] == "SCMP_ACT_ERRNO"
    return list(document["syscalls"])


def of(rules: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The rules for one call."""
    return [rule for rule in rules if name in rule["names"]]


def test_nothing_of_the_table_is_allowed_but_unshare_for_seats(rules: list[dict[str, Any]]) -> None:
    allowed = {name for rule in rules if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    assert allowed.intersection(DENIED) == {"unshare"}
    (rule,) = of(rules, "unshare")
    assert [(one["index"], one["op"], one["value"]) for one in rule["args"]] == [(0, "SCMP_CMP_EQ", 0x1002_0000)]


def test_what_programs_need_is_allowed_whatever_its_arguments(rules: list[dict[str, Any]]) -> None:
    needed = {"read", "write", "mmap", "execve", "futex", "openat", "prctl", "capset", "seccomp", "pidfd_open", "statx"}
    (plain,) = of(rules, "read")
    assert needed <= set(plain["names"])
    assert "args" not in plain


def test_processes_are_made_in_the_namespaces_of_their_parent(rules: list[dict[str, Any]]) -> None:
    (rule,) = of(rules, "clone")
    (flags,) = rule["args"]
    assert (flags["op"], flags["value"], flags["valueTwo"]) == ("SCMP_CMP_MASKED_EQ", NEW_NAMESPACES, 0)
    (rule,) = of(rules, "clone3")
    assert (rule["action"], rule["errnoRet"]) == ("SCMP_ACT_ERRNO", 38)


def test_every_socket_family_is_allowed_but_those_of_the_table(rules: list[dict[str, Any]]) -> None:
    holds = {
        "SCMP_CMP_LT": lambda family, value: family < value,
        "SCMP_CMP_EQ": lambda family, value: family == value,
        "SCMP_CMP_GT": lambda family, value: family > value,
    }
    compared = [rule["args"][0] for rule in of(rules, "socket")]
    allowed = {family for family in range(64) for one in compared if holds[one["op"]](family, one["value"])}
    assert set(range(64)) - allowed == set(SOCKET_FAMILIES)
