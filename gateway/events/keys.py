"""The keys of events in the store, spelled in one place.

A *line* is where events wait: that of a function is named by its unqualified ARN, that of messages to destinations is
`DELIVERIES`.

| key                              | type   | holds                                                              |
|----------------------------------|--------|--------------------------------------------------------------------|
| `samovar:events:line:<line>`     | stream | events that wait or are being run; fields `h` (head), `p` (payload)|
| `samovar:events:delayed:<line>`  | zset   | ids of events that wait for a time, by that time (epoch ms)        |
| `samovar:events:held:<line>`     | hash   | the heads of those                                                 |
| `samovar:events:heldp:<line>`    | hash   | their payloads                                                     |
| `samovar:events:past:<line>`     | hash   | heads of events that have ended                                    |
| `samovar:events:pastp:<line>`    | hash   | their payloads                                                     |
| `samovar:events:ok:<line>`       | zset   | ids of those that succeeded, by when they ended (epoch ms)         |
| `samovar:events:failed:<line>`   | zset   | ids of those that failed for good                                  |
| `samovar:events:bytes:<line>`    | hash   | what the last two keep, in bytes: `ok`, `failed`                   |
| `samovar:events:drain:<line>`    | string | who drains the line, or that somebody has been asked to; expires   |
| `samovar:events:worker:<id>`     | string | a worker process that drains something is alive; expires           |
| `samovar:events:lines`           | set    | lines that have events which have not ended                        |
| `samovar:events:kept`            | set    | lines that keep events which have ended                            |
| `samovar:events:due`             | zset   | lines with delayed events, by when the first is due (epoch ms)     |
| `samovar:events:once:<name>`     | string | an event of that name has been taken; expires                      |
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = "samovar:events:"
GROUP: Final = "drain"
"""The streams' consumer group; its consumers are worker processes."""
LINES: Final = f"{PREFIX}lines"
KEPT: Final = f"{PREFIX}kept"
DUE: Final = f"{PREFIX}due"
DELIVERIES: Final = "deliveries"
"""The line of messages to destinations."""


def line(name: str) -> str:
    """Key of the stream in which events wait."""
    return f"{PREFIX}line:{name}"


def delayed(name: str) -> str:
    """Key of the sorted set of events that wait for a time."""
    return f"{PREFIX}delayed:{name}"


def held(name: str) -> str:
    """Key of the heads of delayed events."""
    return f"{PREFIX}held:{name}"


def held_payloads(name: str) -> str:
    """Key of the payloads of delayed events."""
    return f"{PREFIX}heldp:{name}"


def past(name: str) -> str:
    """Key of the heads of events that have ended."""
    return f"{PREFIX}past:{name}"


def past_payloads(name: str) -> str:
    """Key of the payloads of events that have ended."""
    return f"{PREFIX}pastp:{name}"


def ended(kind: str, name: str) -> str:
    """Key of the sorted set of events that ended as `ok` or `failed`."""
    return f"{PREFIX}{kind}:{name}"


def sizes(name: str) -> str:
    """Key of the bytes that events which have ended take."""
    return f"{PREFIX}bytes:{name}"


def drain(name: str) -> str:
    """Key of who drains a line."""
    return f"{PREFIX}drain:{name}"


def worker(worker_id: str) -> str:
    """Key that is there while a worker process lives."""
    return f"{PREFIX}worker:{worker_id}"


def once(name: str) -> str:
    """Key that is there after an event of that name has been taken."""
    return f"{PREFIX}once:{name}"
