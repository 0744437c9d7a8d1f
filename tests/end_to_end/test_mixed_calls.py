"""Thousands of calls of every kind, and workers killed among them: each has its own answer and its own lines."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import threading
from collections import defaultdict
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple

from samovar.logs import lines as logs
from tests.end_to_end.lab import Function, Lab

SOURCE = """
    import json, os, sys, time

    owners = set()

    def handler(event, context):
        asked = json.loads(event["body"])
        me = f"{os.environ['OWNER']}-{asked['number']}"
        owners.add(me.split("-")[0])
        print("first", me)
        if asked["kind"] == "slow":
            time.sleep(0.02)
        if asked["kind"] == "many":
            for number in range(20):
                print("line", number, me)
        print("last", me, end="", file=sys.stderr)  # no end of line: it must not join another call's
        if asked["kind"] == "fails":
            raise ValueError(me)
        return {"me": me, "id": context.aws_request_id, "owners": sorted(owners)}
"""
KINDS = ("quick", "quick", "slow", "quick", "many", "quick", "fails", "quick")
CALLERS, CALLS_EACH, KILLS = 8, 100, 3
"""Of each of the two functions: more callers than cores, so that quick calls lie ready behind each other."""
NAMED = re.compile(r"\b(?:one|other)-\d+\b")


class Call(NamedTuple):
    """What came of one call."""

    me: str
    kind: str
    status: int
    request_id: str
    body: bytes


def calls_of(function: Function, owner: str, first: int) -> Iterator[Call]:
    """One caller's calls, one after the other, over one connection."""
    host = function.lab.endpoint.removeprefix("http://")
    with contextlib.closing(HTTPConnection(host, timeout=60)) as connection:
        for number in range(first, first + CALLS_EACH):
            kind = KINDS[number % len(KINDS)]
            asked = json.dumps({"number": number, "kind": kind})
            connection.request("POST", f"/fn/{function.name}/", asked, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            identity = answer.getheader("x-amzn-requestid", "")
            yield Call(f"{owner}-{number}", kind, answer.status, identity, answer.read())


def all_at_once(functions: dict[str, Function]) -> tuple[list[Call], list[Exception]]:
    """Every caller's calls, and meanwhile a few SIGKILLs to workers of the first function."""
    made: list[Call] = []
    broken: list[Exception] = []

    def caller(owner: str, number: int) -> None:
        try:
            made.extend(calls_of(functions[owner], owner, number * CALLS_EACH))
        except (OSError, HTTPException) as error:  # told below: a thread's own exception is nobody's
            broken.append(error)

    threads = [threading.Thread(target=caller, args=(owner, n)) for owner in functions for n in range(CALLERS)]
    for thread in threads:
        thread.start()
    kills = 0
    while kills < KILLS and any(thread.is_alive() for thread in threads):
        kills += kill_a_worker(functions["one"])
    for thread in threads:
        thread.join(120)
    assert kills > 0
    return made, broken


def kill_a_worker(function: Function) -> bool:
    """SIGKILL to the process of an environment of the function that is at work; whether there was one."""
    for pid in workers(function):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def workers(function: Function) -> list[int]:
    """The processes that are running its handler."""
    found = function.lab.client.environments()
    return [one.pid for one in found if one.pid and one.arn.endswith(f":{function.name}") and one.state == "busy"]


def lines_of(function: Function) -> dict[str, list[str]]:
    """What handlers printed, by request id, read where it is written."""
    folder = logs.folder_of(function.lab.platform.data_dir / "logs", "us-east-1", function.name)
    found: dict[str, list[str]] = defaultdict(list)
    for number in logs.segments(folder):
        for line in logs.segment_path(folder, number).read_bytes().decode().split("\n")[:-1]:
            _, request_id, _, text = line.split("\t", 3)
            if not text.startswith(("START ", "END ", "REPORT ")):
                found[request_id].append(text)
    return found


def printed(call: Call) -> list[str]:
    """What its handler printed before it answered."""
    many = [f"line {number} {call.me}" for number in range(20)] if call.kind == "many" else []
    return [f"first {call.me}", *many, f"last {call.me}"]


def test_each_of_thousands_of_calls_has_its_own_answer_and_its_own_lines(lab: Lab) -> None:
    functions: dict[str, Any] = {
        owner: lab.deploy(SOURCE, Environment={"Variables": {"OWNER": owner}}) for owner in ("one", "other")
    }
    made, broken = all_at_once(functions)
    assert broken == []
    assert len(made) == len(functions) * CALLERS * CALLS_EACH
    assert len({call.request_id for call in made}) == len(made)
    lines = {owner: lines_of(function) for owner, function in functions.items()}
    for call in made:
        owner = call.me.split("-")[0]
        own = lines[owner][call.request_id]
        assert {name for line in own for name in NAMED.findall(line)} <= {call.me}
        assert own.count(f"first {call.me}") <= 1, "it was run once"
        if call.status == 200:
            assert json.loads(call.body) == {"me": call.me, "id": call.request_id, "owners": [owner]}
            assert own == printed(call)
        elif call.kind == "fails" and f"last {call.me}" in "".join(own):
            assert own[:2] == [f"first {call.me}", own[1]]
            assert call.me in own[1]
    killed = [call for call in made if call.status != 200 and call.kind != "fails"]
    assert len(killed) <= KILLS, "who lay ready behind a killed call was run all the same"
    assert all(call.me.startswith("one-") for call in killed)
    for owner in functions:
        assert sum(call.status != 200 for call in made if call.me.startswith(f"{owner}-")) >= CALLERS * CALLS_EACH // 8
