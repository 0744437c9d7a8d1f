"""Processes killed under load, code replaced under load, bursts: what was acknowledged stands, and is metered once."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from samovar.invocation import ColdReason
from samovar.settings import Settings
from tests.end_to_end.conftest import DOCKER, SANDBOX
from tests.end_to_end.lab import Function, Lab, laboratory
from tests.end_to_end.load import Load, at_once, load
from tests.end_to_end.platform_box import until
from tests.end_to_end.remains import containers, instance_of, remains

SHORT_WORK = "import time\ndef handler(event, context):\n    time.sleep(0.02)\n    return 'done'"
VERSIONED = "import time\ndef handler(event, context):\n    time.sleep(0.02)\n    return {number}"
LOST = {"ServiceException", "ServiceUnavailableException"}
"""What a caller is told whose call was under way when the invoker was killed, or came while it was away too long."""


def kill(lab: Lab, name: str) -> None:
    """SIGKILL to one process of the platform, and wait until another has taken its place."""
    before = lab.pids()[name]
    os.kill(before, signal.SIGKILL)
    until(lambda: lab.pids().get(name, before) != before, f"another {name} is started")


def boxes(lab: Lab) -> set[str]:
    """The boxes of the environments that the invoker has, by the ids of those they were started for."""
    return {view.box for view in lab.client.environments() if view.box is not None}


def folders(data_dir: Path) -> set[str]:
    """The boxes that have a folder."""
    return {path.name for path in (data_dir / "run" / "environments").iterdir()}


def names(lab: Lab) -> set[str]:
    """What the containers of these are called."""
    return {f"samovar-{box}" for box in boxes(lab)}


def assert_metered_once(function: Function, seen: Load) -> None:
    """Every acknowledged call has its reading, and every reading is counted once."""
    until(function.lab.is_healthy, "the platform is whole again")
    function.readings()  # brings what was metered to the store
    metered = function.lab.metered(function)
    acknowledged = {answer.request_id for answer in seen.good}
    assert len(acknowledged) == len(seen.good)
    assert acknowledged - metered.ids == set()
    assert metered.counted == len(metered.ids)


def test_a_killed_invoker(lab: Lab) -> None:
    function = lab.deploy(SHORT_WORK)
    with load(function) as seen:
        seen.goes_on()
        first = [view.pid for view in lab.client.environments() if view.pid is not None]
        for _ in range(2):
            kill(lab, "invoker")
            seen.goes_on()
    assert len(seen.bad) <= 2 * 4 + 4
    assert {answer.error for answer in seen.bad} <= LOST
    assert {answer.status for answer in seen.bad} <= {502, 503}
    assert_metered_once(function, seen)
    assert first
    until(lambda: not any(map(psutil.pid_exists, first)), "the environments of the killed invoker are gone")
    data_dir = lab.platform.data_dir
    until(lambda: folders(data_dir) == boxes(lab), "there is a folder for each box in use, and no other")
    if lab.platform.isolation == "docker":
        most_cells = Settings().stem_cells
        until(lambda: names(lab) <= containers(instance_of(data_dir)), "containers made of stem cells have their names")
        until(lambda: len(containers(instance_of(data_dir)) - names(lab)) <= most_cells, "the others are stem cells")


def test_a_call_that_runs_when_the_invoker_is_killed_is_told_so(lab: Lab) -> None:
    function = lab.deploy("import time\ndef handler(event, context): time.sleep(event)")
    function.value(0)
    with load(function, callers=1, event=30) as seen:
        until(lambda: any(view.state == "busy" for view in lab.client.environments()), "the call runs")
        seen.stop.set()  # no other call after this one
        began = time.monotonic()
        os.kill(lab.pids()["invoker"], signal.SIGKILL)
        until(lambda: seen.answers, "it is answered")
        assert seen.answers[0].ended - began < 9  # it does not wait for the function's own end
    assert (seen.answers[0].status, seen.answers[0].error) == (502, "ServiceException")
    assert b"whether the function ran to its end is not known" in seen.answers[0].body
    assert function.value(0) is None


@pytest.mark.parametrize("lab", [SANDBOX], indirect=True)
def test_a_killed_gateway(lab: Lab) -> None:
    function = lab.deploy(SHORT_WORK)
    with load(function) as seen:
        seen.goes_on()
        kill(lab, "gateway")
        seen.goes_on()
    assert {answer.status for answer in seen.bad} <= {0}
    assert len(seen.bad) <= 8
    assert_metered_once(function, seen)


@pytest.mark.parametrize("lab", [SANDBOX], indirect=True)
def test_a_killed_store(lab: Lab) -> None:
    function = lab.deploy(SHORT_WORK)
    with load(function) as seen:
        seen.goes_on()
        deployed = lab.deploy(SHORT_WORK)
        kill(lab, "store")
        seen.goes_on(50)
        until(lab.is_healthy, "the platform finds the store again")
        assert lab.client.get_configuration(deployed.name).function_name == deployed.name
        assert deployed.value() == "done"
    assert seen.bad == []
    assert_metered_once(function, seen)
    assert lab.deploy(SHORT_WORK).value() == "done"


def test_new_code_under_load(lab: Lab) -> None:
    replace_code_under_load(lab)


@pytest.mark.component("bubblewrap", "valkey")
def test_what_is_changed_at_one_gateway_holds_at_every_other() -> None:
    with laboratory("sandbox", gateway_workers=3) as lab:
        replace_code_under_load(lab)
        delete_and_create_under_load(lab)


def delete_and_create_under_load(lab: Lab) -> None:
    """A call finds the function or does not; none that begins after it was created anew gets the deleted code."""
    function = lab.deploy(VERSIONED.format(number=0), name="again")
    in_force: list[float] = []
    with load(function, callers=6) as seen:
        for number in range(1, 5):
            seen.goes_on(3)
            lab.client.delete_function(function.name)
            lab.deploy(VERSIONED.format(number=number), name=function.name)
            in_force.append(time.monotonic())
        seen.goes_on(3)
    assert {(answer.status, answer.error) for answer in seen.bad} <= {(404, "ResourceNotFoundException")}
    for number, since in enumerate(in_force, 1):
        assert min(answer.value for answer in seen.good if answer.began > since) >= number


def replace_code_under_load(lab: Lab) -> None:
    """No call fails or is cold for it, and none that begins after an update was acknowledged gets older code."""
    function = lab.deploy(VERSIONED.format(number=0))
    in_force: list[float] = []
    with load(function) as seen:
        seen.goes_on()
        for number in (1, 2, 3):
            function.update(VERSIONED.format(number=number))
            in_force.append(time.monotonic())
            seen.goes_on()
    assert seen.bad == []
    for number, since in enumerate(in_force, 1):
        assert min(answer.value for answer in seen.good if answer.began > since) >= number
    assert_metered_once(function, seen)
    assert lab.metered(function).counted == len(seen.answers)
    cold = Counter(reading.cold for reading in function.readings())
    assert cold[ColdReason.FIRST_CALL] == 1
    assert cold[ColdReason.NEW_VERSION] == 0


def test_twenty_calls_at_once_to_a_cold_function(lab: Lab) -> None:
    function = lab.deploy(SHORT_WORK)
    answers = at_once(function, 20)
    assert [answer.status for answer in answers] == [200] * 20, answers
    readings = function.readings()
    assert {reading.request_id for reading in readings} == {answer.request_id for answer in answers}
    cold = Counter(reading.cold for reading in readings)
    assert cold[ColdReason.FIRST_CALL] == 1
    assert set(cold) <= {ColdReason.FIRST_CALL, ColdReason.SCALE_OUT, None}
    usage = lab.client.usage(function.name)
    assert usage.total.invocations == 20


def test_an_environment_that_dies_while_idle(lab: Lab) -> None:
    function = lab.deploy(SHORT_WORK)
    function.value()
    view = next(view for view in lab.client.environments() if view.id in function.environments())
    assert view.pid is not None
    os.kill(view.pid, signal.SIGKILL)
    until(lambda: view.id not in function.environments(), "its end is noticed")
    assert function.value() == "done"
    assert [reading.cold for reading in function.readings()] == [ColdReason.FIRST_CALL, ColdReason.CRASH]


@pytest.mark.parametrize("isolation", [SANDBOX])
def test_a_full_box(isolation: str) -> None:
    with laboratory(isolation, max_environments_per_function=1, queue_timeout_s=2, memory_budget_mb=256) as lab:
        function = lab.deploy("import time\ndef handler(event, context): time.sleep(event or 0)")
        function.value()
        with load(function, callers=1, event=7) as seen, ThreadPoolExecutor() as pool:
            until(lambda: any(view.state == "busy" for view in lab.client.environments()), "it runs")
            seen.stop.set()  # no other call after this one
            invocations = f"{lab.endpoint}/2015-03-31/functions/{function.name}/invocations"
            by_api = pool.submit(httpx.post, invocations, content=b"0", auth=lab.signing, timeout=60)
            by_url = pool.submit(httpx.get, function.url, timeout=60)
        for answer in (by_api.result(), by_url.result()):
            assert answer.status_code == 429
            assert answer.headers["x-amzn-errortype"] == "TooManyRequestsException"
            assert answer.json()["Reason"].endswith("ConcurrentInvocationLimitExceeded")
            assert int(answer.headers["retry-after"]) >= 1
        assert [answer.status for answer in seen.answers] == [200]
        assert function.value() is None
        others = [lab.deploy(SHORT_WORK) for _ in range(2)]
        for other in others:
            assert other.value() == "done"
            assert lab.client.invoker().memory_reserved_mb <= 256
        evicted = next(one for one in (function, *others) if not one.environments())
        evicted.value()
        assert evicted.readings()[-1].cold is ColdReason.EVICTED


@pytest.mark.parametrize("isolation", [SANDBOX, DOCKER])
def test_a_restart_and_a_killed_supervisor(isolation: str) -> None:
    with laboratory(isolation, drain_timeout_s=5) as lab:
        platform = lab.platform
        function = lab.deploy(SHORT_WORK)
        lab.client.create_url(function.name)
        assert function.value() == "done"
        instance = instance_of(platform.data_dir)
        platform.environment["SAMOVAR_PORT"] = platform.endpoint.rpartition(":")[2]

        platform.stop()
        assert remains(platform.data_dir, instance) == []
        platform.start()
        assert function.value() == "done"
        assert lab.client.usage(function.name).total.invocations == 2

        assert platform.process is not None
        os.kill(platform.process.pid, signal.SIGKILL)
        platform.process.wait(10)
        platform.process = None
        until(lambda: remains(platform.data_dir, instance) == [], "everything ends")
        platform.start()
        assert function.value() == "done"
        assert [reading.cold for reading in function.readings()] == [ColdReason.FIRST_CALL] * 3
