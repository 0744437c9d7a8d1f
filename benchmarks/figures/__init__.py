"""One file a figure, or a few that share a platform. Each has `measure(plan)`, which yields what it measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.figures import (
    burst,
    cold,
    deploy,
    events,
    idle,
    mappings,
    memory,
    peers,
    queues,
    scale,
    stream,
    uploads,
    waiting,
    warm,
)
from benchmarks.lab import Plan
from benchmarks.results import Measured

Measure = Callable[[Plan], Iterator[Measured]]

MODULES: dict[str, Measure] = {
    "warm": warm.measure,
    "cold": cold.measure,
    "burst": burst.measure,
    "memory": memory.measure,
    "idle": idle.measure,
    "deploy": deploy.measure,
    "stream": stream.measure,
    "events": events.measure,
    "waiting": waiting.measure,
    "queues": queues.measure,
    "mappings": mappings.measure,
    "uploads": uploads.measure,
    "scale": scale.measure,
}
"""What is measured, in this order."""

ONCE = ("scale", "waiting", "queues")
"""What has nothing to do with walls and takes long: measured under the first isolation only."""

QUICK = ("warm", "cold", "burst", "deploy", "stream")
"""What `--quick` measures unless told: the rest fills a platform, waits until it is idle, or needs more than a look."""

PEERS: Measure = peers.measure
"""Has no isolation of ours, so it is measured once."""
