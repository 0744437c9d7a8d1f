"""Small things tests of queues need."""

from __future__ import annotations

from gateway.queues.message import Outgoing, Received, Sent
from gateway.queues.queues import Queues, Wanted

ACCOUNT = "123456789012"
REGION = "us-east-1"


async def send(queues: Queues, arn: str, *bodies: str, group: str | None = None) -> list[Sent]:
    """Send messages that are nothing but their bodies."""
    return [await queues.send(arn, Outgoing(body=body, group=group)) for body in bodies]


async def receive(queues: Queues, arn: str, most: int = 10, visibility_s: int | None = None) -> list[Received]:
    """Receive what there is now."""
    return await queues.receive(arn, Wanted(most, visibility_s, wait_s=0))


def bodies(messages: list[Received]) -> list[str]:
    """What is in messages."""
    return [received.message.body for received in messages]
