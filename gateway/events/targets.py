"""Where messages about events go: destinations that are no function, read from their ARNs. Pure.

An HTTP endpoint has an ARN of a form of Samovar's own, for AWS's API takes nothing else: `arn:aws:https:::host/path`
stands for `https://host/path`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from gateway.events.event import EventHead
from samovar.errors import InvalidParameterValue

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def service_of(arn: str) -> str:
    """The service in an ARN; empty for what is none."""
    parts = arn.split(":", 5)
    return parts[2] if len(parts) == 6 and parts[0] == "arn" else ""


def resource_of(arn: str) -> str:
    """What an ARN names within its service, account and region."""
    return arn.split(":", 5)[5]


def url_of(arn: str) -> str:
    """The URL of an HTTP endpoint. Raises `InvalidParameterValue`."""
    url = f"{service_of(arn)}://{resource_of(arn)}"
    try:
        parts = urlsplit(url)
        is_good = bool(parts.hostname) and (parts.port is None or parts.port > 0) and url.isascii()
    except ValueError:
        is_good = False
    if not is_good or re.search(r"\s", url):
        raise InvalidParameterValue(f"The destination ARN {arn} is invalid: {url} is no URL.")
    return url


def bucket_of(arn: str) -> str:
    """The name of a bucket. Raises `InvalidParameterValue`."""
    name = resource_of(arn)
    if _BUCKET.fullmatch(name) is None:
        raise InvalidParameterValue(f"The destination ARN {arn} is invalid: {name!r} is no bucket name.")
    return name


def check_target(arn: str) -> None:
    """Raise `InvalidParameterValue` for the ARN of a bucket or an endpoint that cannot be one."""
    if service_of(arn) in ("http", "https"):
        url_of(arn)
    elif service_of(arn) == "s3":
        bucket_of(arn)


def object_key(head: EventHead, unique: str) -> str:
    """The key of a record in a bucket (AWS Lambda developer guide, "Adding a destination")."""
    moment = datetime.fromtimestamp(head.accepted_ms / 1000, UTC)
    name = head.arn.rpartition(":")[2]
    return f"aws/lambda/async/{name}/{moment:%Y/%m/%d}/{moment:%Y-%m-%dT%H.%M.%S}-{unique}"
