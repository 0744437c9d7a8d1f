"""What a function may do on the platform that runs it: by its role.

A role is a name in a function's `Role`, the last part of the ARN. What it may do is in `DATA/roles/NAME.json`, a policy
document as IAM has them (AWS IAM user guide, "IAM JSON policy elements"); a role without a file has `usual`. Files are
the operator's and are read again when they change.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from gateway.functions import policy
from gateway.functions.policy import Statements

_REREAD_S: Final = 2.0
_MAX_BYTES: Final = 65_536
_MEMBERS: Final = {"Sid", "Effect", "Action", "Resource", "Condition"}
_log = logging.getLogger(__name__)

INVOKE: Final = ("lambda:InvokeFunction", "lambda:InvokeFunctionUrl")
QUEUE: Final = (
    "sqs:SendMessage*",
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage*",
    "sqs:ChangeMessageVisibility*",
    "sqs:GetQueueUrl",
    "sqs:GetQueueAttributes",
    "sqs:ListQueues",
)
STORE: Final = (
    "s3:GetObject*",
    "s3:HeadObject",
    "s3:HeadBucket",
    "s3:GetBucketLocation",
    "s3:List*",
    "s3:PutObject*",
    "s3:CopyObject",
    "s3:DeleteObject*",
    "s3:*Multipart*",
    "s3:UploadPart*",
)
READ_LOGS: Final = ("logs:Describe*", "logs:Filter*", "logs:Get*", "logs:StartLiveTail")


class Deed(NamedTuple):
    """Something a function asks for."""

    action: str
    resource: str


def usual(account: str, region: str, function: str) -> Statements:
    """What a role without a policy may do: invoke, use queues and buckets, read the logs of its function."""
    return (
        _allow(INVOKE, f"arn:aws:lambda:{region}:{account}:function:*"),
        _allow(QUEUE, "*"),
        _allow(STORE, "*"),
        _allow(READ_LOGS, f"arn:aws:logs:{region}:{account}:log-group:/aws/lambda/{function}"),
        _allow(("sts:GetCallerIdentity",), "*"),
    )


def may(statements: Statements, who: str, deed: Deed) -> bool:
    """Whether some statement allows it and none denies it (AWS IAM user guide, "Policy evaluation logic")."""
    caller = policy.Caller(arn=who)
    allowing = [one for one in statements if one["Effect"] == "Allow"]
    denying = [{**one, "Effect": "Allow"} for one in statements if one["Effect"] == "Deny"]
    return policy.allows(allowing, caller, *deed) and not policy.allows(denying, caller, *deed)


class _Read(NamedTuple):
    at: float
    stamp: tuple[int, int] | None
    """Time of change and size of the file; `None` where there is none."""
    statements: Statements | None


class Roles:
    """The policies of an installation's roles."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, _Read] = {}

    def of(self, role: str, now: float) -> Statements | None:
        """A role's own policy; `None` where it has none. One that cannot be read allows nothing. `now` is monotonic."""
        known = self._read.get(role)
        if known is not None and now - known.at < _REREAD_S:
            return known.statements
        path = self._folder / f"{role}.json"
        try:
            found = path.stat()
            stamp = (found.st_mtime_ns, found.st_size)
        except OSError:
            stamp = None
        if known is None or known.stamp != stamp:
            statements = None if stamp is None else _of_file(path)
        else:
            statements = known.statements
        self._read[role] = _Read(now, stamp, statements)
        return statements


def _allow(actions: tuple[str, ...], resource: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": "*", "Action": list(actions), "Resource": resource}


def _of_file(path: Path) -> Statements:
    try:
        with path.open("rb") as file:
            return parsed(file.read(_MAX_BYTES + 1))
    except (OSError, ValueError) as error:
        _log.error("the role of functions in %s allows nothing: %s", path, error)
        return ()


def parsed(document: bytes) -> Statements:
    """The statements of a role's policy. Raises `ValueError` for what is none, or says more than is understood."""
    if len(document) > _MAX_BYTES:
        raise ValueError(f"a policy has at most {_MAX_BYTES} bytes")
    try:
        read = msgspec.json.decode(document)
    except msgspec.DecodeError as error:
        raise ValueError(f"it is no JSON: {error}") from error
    found = read.get("Statement") if isinstance(read, dict) else None
    statements = [found] if isinstance(found, dict) else found
    if not isinstance(statements, list):
        raise ValueError("it has no Statement")
    for one in statements:
        if not isinstance(one, dict) or one.get("Effect") not in ("Allow", "Deny"):
            raise ValueError("each statement has an Effect, which is Allow or Deny")
        unknown = set(one) - _MEMBERS
        if unknown or not {"Action", "Resource"} <= set(one) or not isinstance(one.get("Condition", {}), dict):
            raise ValueError(
                f"a statement has Action and Resource, and may have Sid and Condition, not {', '.join(sorted(unknown))}"
            )
    return tuple({**one, "Principal": "*"} for one in statements)
