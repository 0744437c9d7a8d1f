"""Messages to destinations: one way for each kind of ARN or URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway import lineage
from gateway.events.event import EventHead, NewEvent
from gateway.events.targets import bucket_of, object_key, service_of, url_of
from gateway.queues.message import Attribute, Outgoing
from samovar.errors import InvalidParameterValue, ServiceUnavailable
from samovar.names import new_request_id, split_arn

if TYPE_CHECKING:
    from gateway.tasks.tools import Tools

FIFO: Final = ".fifo"
_ANSWERS_WITHIN_S: Final = 30.0
_PASSES: Final = frozenset({408, 425, 429})
"""Answers below 500 after which the same request may succeed later (RFC 9110)."""


class Deliver:
    """Brings a message to where it is to go. One a process."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def deliver(self, head: EventHead, body: bytes) -> None:
        """Bring it there.

        Raises `ServiceUnavailable` or another `PlatformError` for what may pass, and `InvalidParameterValue` or
        `ResourceNotFound` for a destination that is none or is gone.
        """
        match service_of(head.target):
            case "lambda":
                await self._invoke(head.target, head, body)
            case "sqs":
                await self._send(head.target, head, body)
            case "s3":
                key = object_key(head, new_request_id())
                await self._tools.objects.put(bucket_of(head.target), key, body)
            case "http" | "https":
                await self._post(url_of(head.target), head, body)
            case _:
                raise InvalidParameterValue(f"The destination {head.target} is none that Samovar can reach.")

    async def _invoke(self, target: str, head: EventHead, body: bytes) -> None:
        arn, qualifier = split_arn(target)
        await self._tools.registry.get(arn, qualifier)
        event = NewEvent(
            arn=arn,
            qualifier=qualifier,
            payload=body,
            request_id=new_request_id(),
            source="aws:lambda",
            trace_id=head.trace_id,
        )
        await self._tools.intake.accept(event)

    async def _send(self, queue: str, head: EventHead, body: bytes) -> None:
        attributes = {
            name: Attribute(given["DataType"], given["StringValue"]) for name, given in head.attributes.items()
        }
        is_fifo = queue.endswith(FIFO)
        message = Outgoing(
            body=body.decode(),
            attributes=attributes,
            trace=head.trace_id or lineage.new_root(head.accepted_ms / 1000),
            group=head.arn.rpartition(":")[2] if is_fifo else None,
            deduplication_id=head.id if is_fifo else None,
        )
        await self._tools.queues.send(queue, message)

    async def _post(self, url: str, head: EventHead, body: bytes) -> None:
        import httpx  # 8 MiB, where something is to be posted

        headers = {"content-type": "application/json", "x-amzn-requestid": head.id}
        try:
            async with httpx.AsyncClient(timeout=_ANSWERS_WITHIN_S, trust_env=False) as http:
                answer = await http.post(url, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise ServiceUnavailable(f"{url}: {str(error) or type(error).__name__}") from error
        except httpx.InvalidURL as error:
            raise InvalidParameterValue(f"The destination {url} is no URL: {error}") from error
        if answer.status_code >= 500 or answer.status_code in _PASSES:
            raise ServiceUnavailable(f"{url} answered {answer.status_code}")
        if not answer.is_success:
            raise InvalidParameterValue(f"{url} answered {answer.status_code}")
