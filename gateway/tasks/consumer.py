"""Celery's consumer, as far as it is ours: a worker outlives its broker."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from celery.worker.consumer import Consumer


class PatientConsumer(Consumer):
    """Leaves the messages of running tasks where they are when the broker goes away.

    kombu would put them back into their queues while it closes a connection, for which it needs another one to the very
    broker that has gone; what comes of that ends the whole worker, with everything it runs. And nothing is to be put
    back: the tasks run on, in threads that need no broker.
    """

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """From Celery: the broker has gone, and is to be waited for."""
        transport = None if self.connection is None else self.connection.transport
        channels: list[Any] = getattr(transport, "channels", None) or []
        for channel in channels:
            channel.do_restore = False
        super().on_connection_error_after_connected(exc)

    def call_soon_ack(self, p: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """From Celery: a task has ended, and its message is to be acknowledged or rejected."""
        return super().call_soon_ack(partial(_unless_gone, p), *args, **kwargs)  # type: ignore[misc]  # newer than its types


def _unless_gone(settle: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Settle a message where it came from, if that is still there.

    A task may outlive the connection that brought it. kombu's transports fail each in its own way then, that for Redis
    with an `AttributeError`, which Celery takes for the end of the worker. The broker gives such a message to somebody
    once more, and tasks may run twice.
    """
    channel: Any = getattr(getattr(settle, "__self__", None), "channel", None)
    if channel is None or channel.connection is not None:
        settle(*args, **kwargs)
