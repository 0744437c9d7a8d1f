"""Work nobody waits for: the Celery app, its tasks, and the worker process that runs them."""
