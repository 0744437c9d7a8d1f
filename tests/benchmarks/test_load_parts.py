"""What is asked of wrk and what it says; requests as they go out; how busy a machine may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import wrk
from benchmarks.calls import Call, Crowd, Reply
from benchmarks.machine import Quiet
from benchmarks.wrk import CannotMeasure, Job

OUTPUT = """Running 1s test @ http://127.0.0.1:9000/fn/echo-1/
  1 threads and 32 connections
Requests/sec:   4000.00
RESULT {"requests":4000,"duration_us":1000000,"p50_us":7500,"p99_us":12000,"bad_status":0,"broken":0}
"""


def test_what_wrk_says_becomes_a_record() -> None:
    load = wrk.parse(OUTPUT)
    assert load is not None
    assert (load.rate, load.p50_ms, load.p99_ms) == (4000, 7.5, 12)


def test_output_without_a_result_has_none() -> None:
    assert wrk.parse("unable to connect to 127.0.0.1:1") is None


def test_a_host_and_a_body_are_passed_on() -> None:
    command = Job(url="http://a/", connections=1, seconds=2, host="b.example", body=Path("event.json")).command()
    assert command[command.index("-H") + 1] == "Host: b.example"
    assert command[-3:] == ["http://a/", "--", "event.json"]


def test_a_request_goes_out_as_http() -> None:
    assert Call("http://127.0.0.1:9000/fn/a/?ms=5").encode() == (
        b"GET /fn/a/?ms=5 HTTP/1.1\r\nHost: 127.0.0.1:9000\r\n\r\n"
    )
    posted = Call("http://127.0.0.1:9000/", b"{}").encode()
    assert posted.startswith(b"POST / HTTP/1.1\r\n")
    assert posted.endswith(b"Content-Length: 2\r\n\r\n{}")
    assert Call("http://127.0.0.1:9000/").address == ("127.0.0.1", 9000)


def test_a_crowd_with_an_answer_nobody_expected_is_no_measurement() -> None:
    crowd = Crowd([Reply(200, 0.1, 0.1, "a", 2), Reply(429, 0.1, 0.1, "b", 2)], 0.1)
    assert crowd.expect(200, 429) is crowd
    with pytest.raises(CannotMeasure, match="1 of 2 calls were answered with status 429"):
        crowd.expect(200)


@pytest.mark.parametrize(
    ("foreign", "steal", "reasons"), [([0.01, 0.9, 0.02], 0.01, 0), ([0.3, 0.4, 0.01], 0.0, 1), ([0.5], 0.2, 2)]
)
def test_a_machine_is_busy_when_others_use_it(foreign: list[float], steal: float, reasons: int) -> None:
    quiet = Quiet(load_before=0, load_after=0, foreign_cpu=foreign, steal=steal)
    assert len(quiet.reasons) == reasons
