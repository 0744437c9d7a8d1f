"""The stages of a warm call, and which of them a moment of a process belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

OTHERWISE: Final = "event loop"
"""Where no function of a stage is on the stack: reading and writing sockets, waiting, waking up."""

STAGES: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "gateway": {
        "parse": ("gateway/http/protocol.py", "uvicorn/protocols/http/httptools_impl.py"),
        "route": (
            "HotPath.begin (gateway/http/hot.py)",
            "HotPath._trigger_of (gateway/http/hot.py)",
            "gateway/http/trigger.py",
            "gateway/http/event.py",
            "gateway/lambda_api/",
            "gateway/functions/registry.py",
        ),
        "frame": (
            "samovar/link/channel.py",
            "samovar/link/wire.py",
            "gateway/link/invoker_link.py",
            "gateway/link/exchanges.py",
        ),
        "answer": (
            "_settle (gateway/http/hot.py)",
            "_settled (gateway/",
            "gateway/http/answer.py",
            "gateway/http/rendering.py",
            "GatewayProtocol._reply (gateway/http/protocol.py)",
            "framed (gateway/http/asgi.py)",
        ),
    },
    "invoker": {
        "frame": (
            "samovar/link/channel.py",
            "samovar/link/wire.py",
            "invoker/server.py",
            "invoker/environments/runtime_link.py",
        ),
        "queue": (
            "invoker/pool/pool.py",
            "invoker/pool/lease.py",
            "invoker/pool/shelf.py",
            "invoker/pool/shelves.py",
            "invoker/pool/versions.py",
        ),
        "worker": (
            "Invocation._give_event (invoker/invoke.py)",
            "Environment.run (invoker/environments/environment.py)",
            "invoker/environments/worker.py",
        ),
        "account": (
            "Invocation._account (invoker/invoke.py)",
            "Invocation._reading (invoker/invoke.py)",
            "Environment._result (invoker/environments/environment.py)",
            "Environment.use_cpu (invoker/environments/environment.py)",
            "invoker/logs/output.py",
            "invoker/logs/report.py",
            "invoker/isolation/",
        ),
        "meter": ("Meter.record (invoker/metering.py)", "Meter._commit (invoker/metering.py)", "invoker/journal.py"),
        "ship readings": ("Meter._ship", "Meter._write (invoker/metering.py)", "redis/", "samovar/usage.py"),
        "answer": ("Invocation._settle (invoker/invoke.py)", "_Connection._answer (invoker/server.py)"),
    },
}
"""By process: the functions of each stage, as parts of py-spy's `function (file)`. The longest that fits counts."""


def stage_of(part: str, stack: Sequence[str]) -> str:
    """The stage of the innermost function that belongs to one."""
    for frame in reversed(stack):
        fitting = {mark: stage for stage, marks in STAGES[part].items() for mark in marks if mark in frame}
        if fitting:
            return fitting[max(fitting, key=len)]
    return OTHERWISE
