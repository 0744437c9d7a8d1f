"""What a plain Celery application does with events: one task for each, which does nothing. Prints tasks per second.

`BROKER` and `COUNT` in the environment. It publishes first, then works in a thread pool, as many threads as Samovar's
worker has; its database is another than the platform's.
"""

from __future__ import annotations

import os
import threading
import time

from celery import Celery

from gateway.tasks.celery_app import THREADS

_DATABASE = "9"
app = Celery("one-task-an-event", broker=os.environ["BROKER"].replace("virtual_host=0", f"virtual_host={_DATABASE}"))
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    worker_pool="threads",
    worker_concurrency=THREADS,
    worker_redirect_stdouts=False,
)
_done = threading.Semaphore(0)


@app.task(name="event")
def event(payload: str) -> None:
    """One event."""
    _done.release()


def main() -> None:
    """Publish, work, print."""
    count = int(os.environ["COUNT"])
    for _ in range(count):
        event.delay('{"name": "Ada"}')
    worker = app.Worker(loglevel="ERROR", quiet=True, without_gossip=True, without_mingle=True, without_heartbeat=True)

    def watch() -> None:
        _done.acquire()
        began = time.monotonic()
        for _ in range(count - 1):
            _done.acquire()
        print((count - 1) / (time.monotonic() - began), flush=True)
        os._exit(0)  # the worker would wait for its broker's connections

    threading.Thread(target=watch, daemon=True).start()
    worker.start()


if __name__ == "__main__":
    main()
