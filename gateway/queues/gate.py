"""Tells requests to SQS from those to Samovar's other services. What serves them is loaded with the first one.

JSON comes to `/`, or to a queue's URL, with the operation in `X-Amz-Target`. Forms come to `/`, signed for SQS, or to a
queue's URL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.access.guard import Guard
from gateway.services import Services

if TYPE_CHECKING:
    from gateway.queues.api.app import SqsApi

TARGET: Final = b"AmazonSQS."
_QUEUE_PATH: Final = re.compile(r"/\d{12}/[A-Za-z0-9_-]{1,80}(\.fifo)?/?")
_SIGNED_FOR_SQS: Final = (b"/sqs/aws4_request", b"%2Fsqs%2Faws4_request")
_FORM: Final = b"application/x-www-form-urlencoded"


class SqsGate:
    """An ASGI application before another: SQS's requests go to SQS, all others pass."""

    def __init__(self, services: Services, guard: Guard, others: ASGIApp) -> None:
        self._services = services
        self._guard = guard
        self._others = others
        self._api: SqsApi | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection's scope."""
        if scope["type"] == "http" and _may_be_ours(scope):
            headers = dict(scope["headers"])
            as_json = headers.get(b"x-amz-target", b"").startswith(TARGET)
            if as_json or _is_query(scope, headers):
                await self._loaded()(scope, receive, send, as_json=as_json)
                return
        await self._others(scope, receive, send)

    def _loaded(self) -> SqsApi:
        if self._api is None:
            from gateway.queues.api.app import SqsApi

            self._api = SqsApi(self._services, self._guard)
        return self._api


def _may_be_ours(scope: Scope) -> bool:
    path = scope["path"]
    return scope["method"] in ("GET", "POST") and (path == "/" or _QUEUE_PATH.fullmatch(path) is not None)


def _is_query(scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
    """A form or a query that is signed for SQS, or that names an action of a queue and is signed for nothing else."""
    if b"x-amz-target" in headers:
        return False
    signed = headers.get(b"authorization") or scope["query_string"]
    if any(mark in signed for mark in _SIGNED_FOR_SQS):
        return True
    is_action = b"Action=" in scope["query_string"] or headers.get(b"content-type", b"").startswith(_FORM)
    return scope["path"] != "/" and b"authorization" not in headers and b"Amz-Credential" not in signed and is_action
