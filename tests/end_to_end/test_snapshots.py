"""Environments that are forked from an initialised one, on real platforms: as separate as any others."""

from __future__ import annotations

import itertools
import os
import signal
from collections import defaultdict
from typing import Any

import psutil
import pytest

from invoker.isolation.mounts import unavailable
from samovar.invocation import ColdReason
from samovar.link.operations import EnvironmentView
from tests.end_to_end.lab import Function, Lab
from tests.end_to_end.load import Answer, at_once, load
from tests.end_to_end.platform_box import until

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=f"no forks on this host: {unavailable()}")

TELLS = """
    import os, random, secrets, time, uuid

    random.seed(7)
    served = []
    where = open(__file__)

    def handler(event, context):
        found = {
            "id": context.aws_request_id,
            "stream": context.log_stream_name,
            "variable": os.environ["AWS_LAMBDA_LOG_STREAM_NAME"],
            "kind": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"],
            "secret": os.environ["SECRET"],
            "served": list(served),
            "files": sorted(os.listdir("/tmp")),
            "drawn": [random.random(), str(uuid.uuid4()), secrets.token_hex(), os.urandom(8).hex()],
            "line": (where.seek(0), where.readline())[1],
        }
        served.append(context.aws_request_id)
        open(f"/tmp/{context.aws_request_id}", "w").close()
        print(context.aws_request_id, context.log_stream_name)
        time.sleep(0.05)
        return found
"""
KIND = """
import os, time
{init}
def handler(event, context):
    time.sleep(event or 0)
    return os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]
"""
"""Holds its environment for so many seconds, and tells how that came to be."""


def by_stream(answers: list[Answer]) -> dict[str, list[dict[str, Any]]]:
    """What the calls found, environment by environment, in the order in which these served them."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for answer in answers:
        assert answer.ok, answer
        found[answer.value["stream"]].append(answer.value)
    for values in found.values():
        values.sort(key=lambda value: len(value["served"]))
    return found


def test_environments_under_load_find_nothing_of_one_another(lab: Lab) -> None:
    functions = [lab.deploy(TELLS, Environment={"Variables": {"SECRET": name}}) for name in ("one", "two")]
    for function in functions:
        function.value()
    for function in functions:
        until_forked(function)
    with load(functions[0], callers=6) as first, load(functions[1], callers=6) as second:
        first.goes_on(40)
        second.goes_on(40)
    for function, seen, secret in zip(functions, (first, second), ("one", "two"), strict=True):
        assert seen.bad == []
        environments = by_stream(seen.answers)
        kinds = {values[0]["kind"] for values in environments.values()}
        assert "snap-start" in kinds, "some have been forked"
        for stream, values in environments.items():
            assert_served_alone(values, secret)
            assert {value["variable"] for value in values} == {stream}
        drawn = [number for values in environments.values() for value in values for number in value["drawn"]]
        assert len(set(drawn)) == len(drawn)
        assert_logged_apart(lab, function, environments)


def until_forked(function: Function) -> None:
    """Wait until further environments of a function can be forked from its first one."""

    until(lambda: snapshots_of(function), "it has a snapshot process")


def snapshots_of(function: Function) -> list[int]:
    """The processes that its further environments are forked from."""
    own = function.environments()
    views = [view for view in function.lab.client.environments() if view.id in own and view.id == view.box]
    return [pid for pid in map(snapshot_process, views) if pid is not None]


def snapshot_process(view: EnvironmentView) -> int | None:
    """The second child of its keeper: the first is the worker, and prints to a socket."""
    assert view.pid is not None
    first = psutil.Process(view.pid)
    for process in (first, *first.children(recursive=True)):
        children = process.children()
        if len(children) == 2:
            return next((one.pid for one in children if os.readlink(f"/proc/{one.pid}/fd/1") == os.devnull), None)
    return None


def assert_served_alone(values: list[dict[str, Any]], secret: str) -> None:
    """One environment's calls found what its own earlier calls had left, and nothing else."""
    for earlier, value in itertools.pairwise(values):
        assert value["served"] == [*earlier["served"], earlier["id"]]
    for value in values:
        assert value["files"] == sorted(value["served"])
        assert value["secret"] == secret
        assert value["line"] == "\n"


def assert_logged_apart(lab: Lab, function: Function, environments: dict[str, list[dict[str, Any]]]) -> None:
    """What a call has printed is in its environment's log stream, under its own request id."""
    ids = {value["id"]: stream for stream, values in environments.items() for value in values}
    printed = {}
    for record in lab.client.logs(function.name, limit=10_000):
        words = record.text.split()
        if words and words[0] in ids:
            assert (words[0], words[1]) == (record.request_id, record.stream)
            printed[words[0]] = record.stream
    assert printed == ids


def test_killing_the_snapshot_process_under_load_costs_no_call(lab: Lab) -> None:
    function = lab.deploy(KIND.format(init=""))
    function.value()
    until_forked(function)
    with load(function, callers=4, event=0.03) as seen:
        seen.goes_on()
        (snapshot,) = snapshots_of(function)
        os.kill(snapshot, signal.SIGKILL)
        seen.goes_on(20)
    assert seen.bad == []
    assert {answer.value for answer in seen.good} == {"on-demand", "snap-start"}
    assert [answer.status for answer in at_once(function, 8)] == [200] * 8


@pytest.mark.parametrize(
    "left",
    [
        "import threading; threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()",
        "import socket; held = socket.socket()",
        "open('/tmp/model', 'w').write('weights')",
        "import subprocess; held = subprocess.Popen(['sleep', '3600'])",
    ],
    ids=["thread", "socket", "file", "process"],
)
def test_what_cannot_be_forked_is_started_whole(lab: Lab, left: str) -> None:
    function = lab.deploy(KIND.format(init=left))
    assert function.value() == "on-demand"
    for seconds in (0.5, 2, 8):  # a busy machine may start another one too late to be of use
        answers = at_once(function, 3, seconds)
        assert [answer.status for answer in answers] == [200] * 3
        assert {answer.value for answer in answers} == {"on-demand"}
        if len(function.environments()) >= 2:
            break
    assert len(function.environments()) >= 2


def test_one_that_does_not_want_to_be_forked_is_started_whole(lab: Lab) -> None:
    function = lab.deploy(KIND.format(init=""), Environment={"Variables": {"SAMOVAR_SNAPSHOT": "off"}})
    function.value()
    answers = at_once(function, 3, 0.5)
    assert {answer.value for answer in answers} == {"on-demand"}


def test_a_forked_environment_is_metered_as_any_other(lab: Lab) -> None:
    function = lab.deploy(KIND.format(init="time.sleep(0.3)"))
    assert function.value() == "on-demand"
    until_forked(function)
    answers = at_once(function, 4, 0.4)
    forked = {answer.request_id for answer in answers if answer.value == "snap-start"}
    assert len(forked) >= 2
    readings = {reading.request_id: reading for reading in function.readings()}
    for answer in answers:
        reading = readings[answer.request_id]
        assert reading.duration_ms >= 400
        assert reading.peak_mb > 0
    cold = [readings[one] for one in forked if readings[one].cold is not None]
    assert {reading.cold for reading in cold} == {ColdReason.SCALE_OUT}
    assert all(0 < reading.init_ms < 300 for reading in cold), "nothing is loaded anew"


def test_a_forked_environment_that_is_killed_fails_its_own_call_only(lab: Lab) -> None:
    function = lab.deploy("""
        import os, time

        def handler(event, context):
            time.sleep(0.4)
            if event == "exit" and os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"] == "snap-start":
                os._exit(7)
    """)
    function.value()
    until_forked(function)
    with load(function, callers=2) as seen:
        seen.goes_on(2)
        ended = at_once(function, 3, "exit")
        seen.goes_on(4)
    assert seen.bad == []
    failed = [answer for answer in ended if answer.error]
    assert failed, "one of them was in a forked environment"
    assert all(b"exit status 7" in answer.body for answer in failed)
