"""A client of SQS's API, as much of it as the command line needs: signed requests in the JSON protocol."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec

from samovar.access.sigv4 import Signed, sign
from samovar.clients.connection import Connected
from samovar.errors import (
    AccessDenied,
    CallerError,
    ResourceNotFound,
    SamovarError,
    ServiceFailure,
    by_aws_name,
)

_MISSING = frozenset({"QueueDoesNotExist", "ResourceNotFoundException"})
_PAGE = 1000


class Sqs(Connected):
    """The queues of one platform. Use it as a context manager, so that its connections are closed."""

    def call(self, operation: str, **members: Any) -> dict[str, Any]:
        """One operation; members that are `None` are left out. Raises what the platform answers."""
        body = msgspec.json.encode({name: value for name, value in members.items() if value is not None})
        headers = {"X-Amz-Target": f"AmazonSQS.{operation}", "Content-Type": "application/x-amz-json-1.0"}
        request = self._http.build_request("POST", f"{self.endpoint}/", content=body, headers=headers)
        if self._key is not None:
            given = {name.lower(): value for name, value in request.headers.raw if name.lower() in _SIGNED}
            signed = Signed("POST", request.url.raw_path, b"", given)
            request.headers.update(sign(signed, body, self._key, time.time(), "sqs"))
        with self._reaching():
            answer = self._http.send(request)
        if answer.is_error:
            raise _error(answer)
        found: dict[str, Any] = msgspec.json.decode(answer.content or b"{}")
        return found

    def url(self, name: str) -> str:
        """The URL of the queue of that name, or with that ARN. Raises `ResourceNotFound`."""
        return str(self.call("GetQueueUrl", QueueName=name.rpartition(":")[2])["QueueUrl"])

    def urls(self, prefix: str | None = None) -> Iterator[str]:
        """The URLs of all queues, page after page."""
        token: str | None = None
        while True:
            page = self.call("ListQueues", QueueNamePrefix=prefix, MaxResults=_PAGE, NextToken=token)
            yield from page.get("QueueUrls", [])
            token = page.get("NextToken")
            if token is None:
                return

    def attributes(self, url: str) -> dict[str, str]:
        """All attributes of a queue, with its counts."""
        found: dict[str, str] = self.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return found


_SIGNED = (b"host", b"x-amz-target", b"content-type")


def _error(answer: httpx.Response) -> SamovarError:
    try:
        fault = msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.DecodeError:
        return ServiceFailure(f"HTTP {answer.status_code} {answer.reason_phrase}")
    name = str(fault.get("__type", "")).rpartition("#")[2]
    message = str(fault.get("message") or fault.get("Message") or f"HTTP {answer.status_code}")
    if name in _MISSING:
        return ResourceNotFound(message)
    kind = by_aws_name(name, answer.status_code)
    return (
        kind(message)
        if answer.status_code >= 500 or issubclass(kind, AccessDenied | CallerError)
        else CallerError(message)
    )
