"""Statements of a queue's policy, as AddPermission writes them (AWS SQS API reference). Pure."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import msgspec

from gateway.queues.errors import InvalidParameter, OverLimit

_LABEL: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
_ACCOUNT: Final = re.compile(r"\d{12}")
_MOST_ACTIONS: Final = 7
_ACTIONS: Final = frozenset(
    {
        "*",
        "ChangeMessageVisibility",
        "DeleteMessage",
        "GetQueueAttributes",
        "GetQueueUrl",
        "ListDeadLetterSourceQueues",
        "PurgeQueue",
        "ReceiveMessage",
        "SendMessage",
    }
)
"""Those that may be given to other accounts."""


class Permission(NamedTuple):
    """What AddPermission is asked for."""

    label: str
    accounts: list[str]
    actions: list[str]


def added(policy: str, arn: str, permission: Permission) -> str:
    """A policy with one more statement. Raises `InvalidParameter` and `OverLimit`."""
    label, accounts, actions = permission
    if _LABEL.fullmatch(label) is None:
        raise _invalid("Label", label, "Can only include alphanumeric characters, hyphens, or underscores.")
    for account in accounts:
        if _ACCOUNT.fullmatch(account) is None:
            raise _invalid("PrincipalId", account, "Unable to verify.")
    for action in actions:
        if action not in _ACTIONS:
            reason = "Please refer to the appropriate WSDL for a list of valid actions."
            raise _invalid("ActionName", f"SQS:{action}", reason)
    if len(actions) > _MOST_ACTIONS:
        raise OverLimit(f"{len(actions)} Actions were found, maximum allowed is {_MOST_ACTIONS}.")
    fresh = {"Version": "2008-10-17", "Id": f"{arn}/SQSDefaultPolicy"}
    document: dict[str, Any] = _document(policy) if policy else fresh
    statements = statements_of(policy)
    if any(one.get("Sid") == label for one in statements):
        raise _invalid("Label", label, "Already exists.")
    statement = {
        "Sid": label,
        "Effect": "Allow",
        "Principal": {"AWS": _one_or_all([f"arn:aws:iam::{account}:root" for account in accounts])},
        "Action": _one_or_all([f"SQS:{action}" for action in actions]),
        "Resource": arn,
    }
    return msgspec.json.encode({**document, "Statement": [*statements, statement]}).decode()


def removed(policy: str, label: str) -> str:
    """A policy without the statement of that label; empty without statements. Raises `InvalidParameter`."""
    document, statements = _document(policy), statements_of(policy)
    kept = [statement for statement in statements if statement.get("Sid") != label]
    if len(kept) == len(statements):
        raise _invalid("Label", label, "can't find label.")
    return msgspec.json.encode({**document, "Statement": kept}).decode() if kept else ""


def statements_of(policy: str) -> list[dict[str, Any]]:
    """The statements of a policy. IAM lets a single one stand without a list. Raises `ValueError` for what is none."""
    found = _document(policy).get("Statement", [])
    return msgspec.convert([found] if isinstance(found, dict) else found, list[dict[str, Any]])


def _document(policy: str) -> dict[str, Any]:
    return msgspec.json.decode(policy, type=dict[str, Any]) if policy else {}


def _one_or_all(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values


def _invalid(parameter: str, value: str, reason: str) -> InvalidParameter:
    return InvalidParameter(f"Value {value} for parameter {parameter} is invalid. Reason: {reason}")
