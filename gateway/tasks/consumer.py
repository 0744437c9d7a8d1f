"""Celery's consumer, as far as it is ours: a worker outlives its broker."""

from __future__ import annotations

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
