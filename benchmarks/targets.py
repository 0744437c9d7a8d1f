"""What Samovar promises of its speed: each figure once, with its bound. The order is the table's."""

from __future__ import annotations

from typing import Literal

import msgspec

from benchmarks.results import Measured

Sense = Literal["at least", "at most", "reported"]
Verdict = Literal["pass", "missed", "failed", "reported"]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A figure and what it has to be."""

    figure: str
    """`<module in benchmarks/figures>.<name>`."""
    label: str
    unit: str
    sense: Sense = "reported"
    of: Literal["value", "ratio"] = "value"
    limits: dict[str, float] = {}
    """By isolation; `any` holds for those not named."""
    reference: str = ""
    """What the value is compared with."""
    only: str = ""
    """The isolation it exists for; empty for all of them."""

    @property
    def module(self) -> str:
        """The file that measures it, as `--only` names it."""
        return self.figure.partition(".")[0]

    def limit(self, isolation: str) -> float | None:
        """The bound under an isolation; `None` when there is none."""
        return self.limits.get(isolation, self.limits.get("any"))

    def verdict(self, measured: Measured) -> Verdict:
        """Whether the figure is what it has to be."""
        if measured.failure or measured.value is None:
            return "reported" if self.only == "peer" else "failed"  # what cannot be installed here breaks no promise
        limit = self.limit(measured.isolation)
        if self.sense == "reported" or limit is None:
            return "reported"
        got = measured.value if self.of == "value" else measured.ratio
        if got is None:
            return "failed"
        return "pass" if (got >= limit if self.sense == "at least" else got <= limit) else "missed"


def _least(figure: str, label: str, unit: str, reference: str, ratio: float) -> Target:
    limits = {"any": ratio}
    return Target(
        figure=figure, label=label, unit=unit, sense="at least", of="ratio", limits=limits, reference=reference
    )


def _most(figure: str, label: str, unit: str, **limits: float) -> Target:
    return Target(figure=figure, label=label, unit=unit, sense="at most", limits=limits)


def _ratio_at_most(figure: str, label: str, unit: str, reference: str, ratio: float) -> Target:
    limits = {"any": ratio}
    return Target(
        figure=figure, label=label, unit=unit, sense="at most", of="ratio", limits=limits, reference=reference
    )


def _reported(figure: str, label: str, unit: str, reference: str = "", only: str = "") -> Target:
    return Target(figure=figure, label=label, unit=unit, reference=reference, only=only)


_BARE = "bare uvicorn"

TARGETS: tuple[Target, ...] = (
    _least("warm.c32", "warm, 32 connections, /fn/NAME", "requests/s", _BARE, 0.45),
    _least("warm.c32-url", "warm, 32 connections, function URL", "requests/s", _BARE, 0.45),
    _least("warm.c32-invoke", "warm, 32 connections, signed Lambda Invoke", "requests/s", _BARE, 0.30),
    _least("warm.c1", "warm, 1 connection, /fn/NAME", "requests/s", _BARE, 0.45),
    _reported("warm.bare", "the same hops with nothing on them, 32 connections", "requests/s", _BARE),
    _reported("warm.bare-c1", "the same hops with nothing on them, 1 connection", "requests/s", _BARE),
    _reported("warm.c1-p50", "warm, 1 connection, p50", "ms", _BARE),
    _reported("warm.c1-p99", "warm, 1 connection, p99", "ms", _BARE),
    _reported("warm.c32-p99", "warm, 32 connections, p99", "ms", _BARE),
    _ratio_at_most("warm.half-p99", "p99 at half load", "ms", "4 p50 + 3 ms", 1.0),
    _least("scale.functions", "warm c32 with 1,000 functions, 100 warm", "requests/s", "1 function", 0.95),
    _least("scale.versions", "warm c32 of one of 100 versions, 10 warm", "requests/s", "1 function", 0.95),
    _least("scale.readings", "warm c32 with 10⁶ meter readings stored", "requests/s", "no readings", 0.95),
    _least("scale.workers", "warm c64 with 2 gateway workers", "requests/s", "1 worker", 1.0),
    _least("scale.payload", "echo of 6 MB through Invoke", "requests/s", "bare uvicorn's echo of 6 MB", 0.3),
    _most("scale.payload-memory", "gateway and invoker with 32 of them at once", "MiB PSS", any=400),
    _most("cold.first", "cold start, first byte", "ms", sandbox=40, docker=60),
    Target(
        figure="cold.crowd",
        label="cold start, one after the other without a pause",
        unit="ms",
        sense="at most",
        of="ratio",
        limits={"docker": 1.15},
        reference="bare `docker run`",
        only="docker",
    ),
    _reported("cold.runsc", "cold start, docker with runsc", "ms", "bare `docker run --runtime runsc`", "docker"),
    _most("cold.scale-out", "scale-out of a running version", "ms", any=10),
    _most("cold.table-scale-out", "scale-out with numpy and pandas imported", "ms", any=25),
    _reported("cold.table", "cold start with numpy and pandas imported", "ms"),
    _most("burst.warm", "50 calls of 100 ms at once, one warm environment", "s", sandbox=0.25, docker=0.4),
    _most("burst.cold", "50 calls of 100 ms at once, from nothing", "s", sandbox=0.5, docker=1.0),
    _most("burst.storm", "500 calls on 8 environments: answers neither 200 nor 429", "calls", any=0),
    _ratio_at_most("burst.storm-neighbour", "another function's p99 during that storm", "ms", "its quiet p99", 5.0),
    _ratio_at_most("burst.starts", "most starts in flight during bursts", "starts", "cores", 1.0),
    _ratio_at_most("burst.overlap", "8 functions cold at once", "s", "8 cold one by one", 0.9),
    _most("memory.same", "a further idle environment of the same version", "MiB PSS", any=6),
    _most("memory.other", "an idle environment of another function", "MiB PSS", any=10),
    _most("memory.platform", "the whole platform, idle with one function", "MiB PSS", any=150),
    _most("idle.cpu", "CPU when idle with 100 warm environments", "% of a core", any=1.0),
    _most("deploy.first-answer", "`samovar deploy` of a changed function → first answer", "s", any=0.5),
    _reported("deploy.api", "the same through the API, without starting the CLI", "s"),
    _most("deploy.up", "`samovar up` → ready", "s", any=2.5),
    _most("stream.first-byte", "first byte of a streamed answer, after it was yielded", "ms", any=5),
    _reported("stream.p99", "any part of it, p99", "ms"),
    _least("events.accept", "asynchronous calls accepted, 32 connections", "events/s", _BARE, 0.35),
    _least("events.drain", "events drained, no-op handler", "events/s", "Celery, one task an event", 10.0),
    _most("events.start-p50", "event → start of its handler, idle, p50", "ms", any=15),
    _least("waiting.accept", "asynchronous calls accepted while 10⁶ events wait", "events/s", "none wait", 0.95),
    _most("waiting.memory", "what gateway, invoker and worker grow by while 10⁶ wait and are run", "MiB PSS", any=10),
    _ratio_at_most("events.sync-p99", "p99 of synchronous calls beside a drain", "ms", "quiet", 3.0),
    _reported("queues.send", "SendMessage, 32 connections", "messages/s", _BARE),
    _reported("queues.send-batch", "SendMessageBatch of ten, 32 connections", "messages/s", _BARE),
    _reported("queues.through", "messages sent, received and deleted in tens by one process", "messages/s"),
    Target(
        figure="mappings.drain",
        label="messages of a queue worked off in batches of 10, no-op handler",
        unit="messages/s",
        sense="at least",
        limits={"any": 8000},
    ),
    _reported("mappings.start-p50", "message → start of its handler, quiet queue, p50", "ms"),
    _most("uploads.start-p50", "upload → start of its handler, p50", "ms", any=50),
    _reported("uploads.through", "one upload of 64 MB through the gateway", "MB/s", "straight to the S3 server"),
)

PEERS = ("functions-framework", "awslambdaric", "serverless-offline", "workerd")
PEER_TARGETS: tuple[Target, ...] = tuple(
    Target(figure=f"peers.{peer}-{name}", label=f"{peer}: {label}", unit=unit, reference=reference, only="peer")
    for peer in PEERS
    for name, label, unit, reference in (
        ("c32", "warm, 32 connections", "requests/s", _BARE),
        ("c1", "warm, 1 connection", "requests/s", _BARE),
        ("cold", "start → first answer", "ms", ""),
    )
)

BY_FIGURE = {target.figure: target for target in (*TARGETS, *PEER_TARGETS)}


def figures_of(module: str, isolation: str) -> list[str]:
    """Every figure that a module measures under an isolation."""
    return [one.figure for one in BY_FIGURE.values() if one.module == module and one.only in ("", isolation)]
