"""Ending tasks that talk to Redis.

`asyncio.wait_for` of Python 3.11, which redis-py sends commands with, forgets a cancellation that comes in the moment
in which a command has been sent. A task that is cancelled once may so go on for as long as it likes.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

_AGAIN_S: Final = 0.2


async def end(task: asyncio.Future[Any]) -> None:
    """Cancel a task, again and again, until it has ended."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_AGAIN_S)
