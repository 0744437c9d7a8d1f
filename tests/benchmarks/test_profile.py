"""What is read out of py-spy's samples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.profile import shares
from benchmarks.stages import OTHERWISE, STAGES, stage_of

SAMPLES = """\
<module> (gateway/__main__.py:9);run (gateway/http/hot.py:10);encode (gateway/http/event.py:20) 3
<module> (gateway/__main__.py:9);run (gateway/http/hot.py:12) 1
Thread._bootstrap (threading.py:1002);wait (threading.py:320) 96
"""


def test_only_the_event_loops_thread_counts() -> None:
    assert shares("gateway", SAMPLES.splitlines()).total == 4


def test_a_function_is_counted_with_what_it_calls_and_alone() -> None:
    found = shares("gateway", SAMPLES.splitlines())
    assert found.inclusive["run (gateway/http/hot.py)"] == 4
    assert found.own["run (gateway/http/hot.py)"] == 1
    assert found.own["encode (gateway/http/event.py)"] == 3


@pytest.mark.parametrize(
    ("part", "stack", "stage"),
    [
        ("gateway", ["main (gateway/__main__.py)", "HotPath.begin (gateway/http/hot.py)"], "route"),
        (
            "gateway",
            ["HotPath.begin (gateway/http/hot.py)", "InvokerLink.begin (gateway/link/invoker_link.py)"],
            "frame",
        ),
        (
            "gateway",
            ["FrameChannel.data_received (samovar/link/channel.py)", "_settle (gateway/http/hot.py)"],
            "answer",
        ),
        ("gateway", ["GatewayProtocol._reply (gateway/http/protocol.py)"], "answer"),
        ("gateway", ["GatewayProtocol.data_received (gateway/http/protocol.py)"], "parse"),
        (
            "invoker",
            ["Worker.take (invoker/environments/worker.py)", "Invocation._account (invoker/invoke.py)"],
            "account",
        ),
        ("invoker", ["run (asyncio/runners.py)"], OTHERWISE),
    ],
)
def test_a_moment_belongs_to_the_stage_of_the_innermost_function_that_has_one(
    part: str, stack: list[str], stage: str
) -> None:
    assert stage_of(part, stack) == stage


def test_every_function_of_a_stage_exists() -> None:
    root = Path(__file__).parents[2]
    marks = [mark for stages in STAGES.values() for one in stages.values() for mark in one]
    for mark in marks:
        name, _, path = mark.rpartition("(") if "(" in mark else ("", "", mark)
        file = root / path.rstrip(")")
        if path.startswith(("gateway/", "invoker/", "samovar/")) and path.rstrip(")").endswith(".py"):
            function = name.strip().rpartition(".")[2]
            assert re.search(rf"def {function}", file.read_text()), mark
