"""How often the periodic tasks run, and where tasks wait, for those who need to know it without Celery."""

from __future__ import annotations

from typing import Final

ANYWHERE: Final = "samovar"
"""The queue of tasks that need the store alone."""
AT_HOME: Final = "samovar.home"
"""The queue of tasks that need the platform's data directory, which workers of other hosts do not have."""
EVERY_S: Final = {
    "trim_readings": 600.0,
    "sweep_code": 900.0,
    "sweep_logs": 3600.0,
    "sweep_events": 5.0,
    "trim_events": 3600.0,
    "sweep_mappings": 6.0,
    "sweep_queues": 900.0,
}
"""How often each periodic task runs while a worker does; `OVERDUE_S` is for when none does."""
LAST_RUNS: Final = "samovar:beat:last"
"""Hash: name of a sweep → when it last ran (epoch s)."""
REMEMBERED: Final = frozenset(name for name, every in EVERY_S.items() if every >= 300.0)
"""What runs more often need not be remembered over a restart."""
OVERDUE_S: Final = 3600.0
"""A sweep that has not run for so long, and for its own period, is worth a worker."""
