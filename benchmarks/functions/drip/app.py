"""Streams a few parts, each of them the moment at which it was yielded."""

import time

PARTS = 3
PAUSE_S = 0.02


def handler(event, context):
    """Each part is one line: seconds since the epoch, by the clock that whoever reads it has, too."""
    for _ in range(PARTS):
        time.sleep(PAUSE_S)
        yield f"{time.time():.6f}\n"
