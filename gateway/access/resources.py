"""Which resource a request is about, as policies name it: its ARN, or `*` where a request names none. Pure.

AWS service authorization reference, "Resource types defined by" Lambda, SQS, S3 and CloudWatch Logs.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import parse_qs

import msgspec

from gateway.access.operations import INVOKE_URL, Asked
from samovar.names import FunctionReference, function_arn

_ANY = "*"


class Place(NamedTuple):
    """Where a request is served."""

    account: str
    region: str


def function_of(asked: Asked, query: bytes) -> FunctionReference | None:
    """The function a request names, with its qualifier, of which the one in the path counts first."""
    if asked.function is None:
        return None
    reference = FunctionReference.parse(asked.function)
    if asked.operation != INVOKE_URL and reference.qualifier is None:  # the query of a URL is the function's own
        given = parse_qs(query.decode("latin-1")).get("Qualifier", [None])[-1]
        reference = reference._replace(qualifier=given)
    return reference


def resource_of(asked: Asked, place: Place, path: str, query: bytes, body: bytes) -> str:
    """The ARN of what a request is about. Raises as `FunctionReference.parse` does."""
    account, region = place
    reference = function_of(asked, query)
    if reference is not None:
        where = reference.account or account, reference.region or region
        return function_arn(*where, reference.name, reference.qualifier)
    service = asked.operation.service
    if service == "logs":
        name = _members(body).get("logGroupName") or _members(body).get("logGroupIdentifier")
        if not isinstance(name, str):
            return _ANY
        return (
            name.removesuffix(":*") if name.startswith("arn:") else f"arn:aws:logs:{region}:{account}:log-group:{name}"
        )
    if service == "sqs":
        given = _members(body) or {name: values[-1] for name, values in parse_qs(body.decode("latin-1")).items()}
        url = given.get("QueueUrl") or (path if asked.operation.protocol == "query" and path != "/" else None)
        queue = url.rstrip("/").rpartition("/")[2] if isinstance(url, str) else given.get("QueueName")
        return f"arn:aws:sqs:{region}:{account}:{queue}" if isinstance(queue, str) else _ANY
    if service == "s3" and path.strip("/"):
        return f"arn:aws:s3:::{path.lstrip('/')}"
    return _ANY


def _members(body: bytes) -> dict[str, Any]:
    try:
        read = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return read if isinstance(read, dict) else {}
