"""The Celery app as such: its broker and its habits. Who publishes a task needs no more; tasks are in `background.py`.

The pool is `threads`: tasks wait for Redis, disks and the invoker rather than compute, and a second Python process
would double the worker's memory. Threads cannot be interrupted, so Celery's own time limits do not hold in them;
every task has a deadline of its own, and leaves the rest to its next turn.

A task may be cut off and run again (`acks_late`), or run twice, with the same result.
"""

from __future__ import annotations

import ssl
import warnings
from typing import Final
from urllib.parse import parse_qs, urlsplit

from celery import Celery
from celery.exceptions import SecurityWarning

from gateway.tasks.periods import ANYWHERE, AT_HOME, EVERY_S
from samovar.settings import Settings

_AT_HOME: Final = ("sweep_code", "sweep_logs")
THREADS: Final = 24
"""Tasks at once. A thread is started when it is first needed; a line of events takes one while it is drained."""

# As root, Celery warns of pickled messages that anybody may send. We neither take nor send pickle (`accept_content`).
warnings.filterwarnings("ignore", category=SecurityWarning)


def broker_url(store_url: str) -> str:
    """The store's URL as Celery's messaging library (kombu) spells it."""
    if store_url.startswith("unix:"):
        parts = urlsplit(store_url)
        database = parse_qs(parts.query).get("db", ["0"])[0]
        return f"redis+socket://{parts.netloc}{parts.path}?virtual_host={database}"
    return store_url.replace("valkey", "redis", 1) if store_url.startswith("valkey") else store_url


def create_app(settings: Settings) -> Celery:
    """The app for these settings: JSON messages, no results, every task acknowledged when it is done."""
    created = Celery("samovar", broker=settings.broker_url or broker_url(settings.store_url), set_as_current=True)
    created.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_default_queue=ANYWHERE,
        task_routes={f"samovar.{name}": {"queue": AT_HOME} for name in _AT_HOME},
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,  # threads cannot be cancelled
        worker_pool="threads",
        worker_consumer="gateway.tasks.consumer:PatientConsumer",
        worker_concurrency=THREADS,
        worker_redirect_stdouts=False,
        worker_log_format="%(levelname)s %(message)s",
        worker_task_log_format="%(levelname)s %(task_name)s: %(message)s",
        broker_connection_retry_on_startup=True,
        broker_transport_options=(
            {} if settings.broker_url.startswith("amqp") else {"visibility_timeout": 3600, "socket_connect_timeout": 5}
        ),
        beat_schedule={
            name: {"task": f"samovar.{name}", "schedule": every, "options": {"expires": every}}
            for name, every in EVERY_S.items()
        },
    )
    if created.conf.broker_url.startswith("rediss:"):
        created.conf.broker_use_ssl = {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    return created
