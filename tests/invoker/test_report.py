"""The platform's own lines, as text and as JSON, by level."""

from __future__ import annotations

import json

import msgspec
import pytest

from invoker.logs import report
from samovar.function import FunctionVersion
from samovar.invocation import Outcome, Reading
from samovar.logs.config import LoggingConfig, SystemLogLevel
from samovar.names import runtime_version_arn

EPOCH = 1_700_000_000.25
VERSION = FunctionVersion(
    name="tea",
    account="123456789012",
    region="eu-west-1",
    serial=1,
    revision_id="r",
    runtime="python3.11",
    handler="app.handler",
    code_sha256="0" * 64,
)
READING = Reading(
    request_id="one",
    arn=VERSION.arn,
    version="$LATEST",
    trigger="invoke",
    started_ms=0,
    outcome=Outcome.OK,
    init_ms=80.1234,
    duration_ms=12.3456,
    billed_ms=93,
    memory_mb=128,
    peak_mb=30,
)


def in_json(level: SystemLogLevel | None = None) -> FunctionVersion:
    return msgspec.structs.replace(VERSION, logging=LoggingConfig(log_format="JSON", system_log_level=level))


def ended(outcome: Outcome, level: SystemLogLevel | None = None) -> list[dict[str, object]]:
    reading = msgspec.structs.replace(READING, outcome=outcome)
    return [json.loads(line) for line in report.end_lines(reading, in_json(level), EPOCH)]


@pytest.mark.parametrize(
    ("runtime", "name"),
    [("python3.11", "python:3.11"), ("nodejs22.x", "nodejs:22"), ("provided.al2023", "provided:al2023")],
)
def test_an_environment_begins_with_what_it_runs_on(runtime: str, name: str) -> None:
    version = msgspec.structs.replace(VERSION, runtime=runtime)
    (line,) = report.init_lines(version, "on-demand", EPOCH)
    arn = runtime_version_arn("eu-west-1", runtime)
    assert line.decode() == f"INIT_START Runtime Version: {name}\tRuntime Version ARN: {arn}"


def test_events_have_the_schema_of_telemetry() -> None:
    done, told = ended(Outcome.OK, "DEBUG")
    time = "2023-11-14T22:13:20.250Z"
    assert done == {
        "time": time,
        "type": "platform.runtimeDone",
        "record": {"requestId": "one", "status": "success", "metrics": {"durationMs": 12.346}},
    }
    metrics = {
        "durationMs": 12.346,
        "billedDurationMs": 93,
        "memorySizeMB": 128,
        "maxMemoryUsedMB": 30,
        "initDurationMs": 80.123,
    }
    assert told["record"] == {"requestId": "one", "status": "success", "metrics": metrics}


@pytest.mark.parametrize(
    ("outcome", "level", "kinds"),
    [
        (Outcome.OK, "DEBUG", ["platform.runtimeDone", "platform.report"]),
        (Outcome.OK, "INFO", ["platform.report"]),
        (Outcome.OK, None, ["platform.report"]),
        (Outcome.OK, "WARN", []),
        (Outcome.ERROR, "WARN", ["platform.runtimeDone", "platform.report"]),
        (Outcome.TIMEOUT, "INFO", ["platform.runtimeDone", "platform.report"]),
    ],
)
def test_levels_say_which_events_there_are(outcome: Outcome, level: SystemLogLevel | None, kinds: list[str]) -> None:
    assert [event["type"] for event in ended(outcome, level)] == kinds


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (Outcome.ERROR, {"status": "error"}),
        (Outcome.INIT_ERROR, {"status": "error"}),
        (Outcome.TIMEOUT, {"status": "timeout"}),
        (Outcome.EXIT, {"status": "failure", "errorType": "Runtime.ExitError"}),
        (Outcome.OUT_OF_MEMORY, {"status": "failure", "errorType": "Runtime.OutOfMemory"}),
        (Outcome.TOO_LARGE, {"status": "error", "errorType": "Function.ResponseSizeTooLarge"}),
    ],
)
def test_an_event_says_how_a_call_ended(outcome: Outcome, told: dict[str, str]) -> None:
    record = ended(outcome)[-1]["record"]
    assert isinstance(record, dict)
    assert {name: record[name] for name in ("status", "errorType") if name in record} == told


def test_starts_are_told_unless_only_warnings_are_wanted() -> None:
    assert report.start_lines("one", VERSION, EPOCH) == [b"START RequestId: one Version: $LATEST"]
    (line,) = report.start_lines("one", in_json(), EPOCH)
    assert json.loads(line)["record"] == {"requestId": "one", "version": "$LATEST"}
    assert report.start_lines("one", in_json("WARN"), EPOCH) == []
    assert report.init_lines(in_json(), "on-demand", EPOCH) == []
    assert len(report.init_lines(in_json("DEBUG"), "on-demand", EPOCH)) == 1
