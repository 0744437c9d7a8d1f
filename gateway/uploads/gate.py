"""Tells requests to S3 from those to Samovar's other services. What serves them is loaded with the first one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.access.guard import Guard
from gateway.services import Services
from gateway.uploads import asking

if TYPE_CHECKING:
    from gateway.uploads.front import Front


class Gate:
    """An ASGI application before another: S3's requests go to S3, all others pass."""

    def __init__(self, services: Services, guard: Guard, others: ASGIApp) -> None:
        self._services = services
        self._guard = guard
        self._others = others
        self._front: Front | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or not _is_for_s3(scope):
            await self._others(scope, receive, send)
            return
        if self._front is None:
            from gateway.uploads.front import Front

            self._front = Front(self._services, self._guard)
        await self._front(scope, receive, send)


def _is_for_s3(scope: Scope) -> bool:
    """Requests below `/uploads`, those signed for S3, and forms sent to a bucket."""
    if asking.is_below_prefix(scope["raw_path"] or b"/"):
        return True
    headers = dict(scope["headers"])
    if asking.is_signed_for_s3(headers, scope["query_string"]):
        return True
    is_form = headers.get(b"content-type", b"").startswith(b"multipart/form-data")
    return bool(is_form) and scope["method"] == "POST"
