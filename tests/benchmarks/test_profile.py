"""What is read out of py-spy's samples."""

from __future__ import annotations

from benchmarks.profile import shares

SAMPLES = """\
<module> (gateway/__main__.py:9);run (gateway/hot.py:10);encode (gateway/http_event.py:20) 3
<module> (gateway/__main__.py:9);run (gateway/hot.py:12) 1
Thread._bootstrap (threading.py:1002);wait (threading.py:320) 96
"""


def test_only_the_event_loops_thread_counts() -> None:
    assert shares(SAMPLES.splitlines()).total == 4


def test_a_function_is_counted_with_what_it_calls_and_alone() -> None:
    found = shares(SAMPLES.splitlines())
    assert found.inclusive["run (gateway/hot.py)"] == 4
    assert found.own["run (gateway/hot.py)"] == 1
    assert found.own["encode (gateway/http_event.py)"] == 3
