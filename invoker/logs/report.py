"""The lines the platform writes around an invocation's own: START, END, REPORT (AWS Lambda developer guide,
"Working with Lambda function logs"). Their numbers are the meter reading's. In a log whose format is JSON they are the
events `platform.start`, `platform.runtimeDone` and `platform.report` of the Telemetry API's schema, each with the level
that "System log level event mapping" there gives it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from samovar.function import FunctionVersion
from samovar.invocation import Outcome, Reading
from samovar.names import runtime_version_arn

_RUNTIME = re.compile(r"(provided|[a-z]+)\.?(.+?)(?:\.x)?")
_STATUS = {
    Outcome.OK: "success",
    Outcome.TIMEOUT: "timeout",
    Outcome.EXIT: "failure",
    Outcome.OUT_OF_MEMORY: "failure",
}
"""Of an event of the platform; what ended otherwise was an error."""
_ERROR_TYPES = {
    Outcome.EXIT: "Runtime.ExitError",
    Outcome.OUT_OF_MEMORY: "Runtime.OutOfMemory",
    Outcome.TOO_LARGE: "Function.ResponseSizeTooLarge",
}
"""Of what the platform itself has seen; a function's own are in its records."""


def init_lines(version: FunctionVersion, initialization_type: str, epoch: float) -> list[bytes]:
    """The first line of an environment: what it runs on. Images bring that themselves. `epoch` is now."""
    if version.image is not None:
        return []
    name, arn = _runtime_version(version.runtime), runtime_version_arn(version.region, version.runtime)
    if not version.logging.is_json:
        return [f"INIT_START Runtime Version: {name}\tRuntime Version ARN: {arn}".encode()]
    if not version.logging.keeps("DEBUG"):
        return []
    told = {"initializationType": initialization_type, "phase": "init", "runtimeVersion": name}
    function = {"runtimeVersionArn": arn, "functionName": version.name, "functionVersion": version.version}
    return [_event("platform.initStart", epoch, {**told, **function})]


def _runtime_version(runtime: str) -> str:
    """As AWS writes it, without the number AWS gives to a patch: `python:3.11`, `nodejs:22`, `provided:al2023`."""
    match = _RUNTIME.fullmatch(runtime)
    return f"{match[1]}:{match[2]}" if match is not None else runtime


def start_lines(request_id: str, version: FunctionVersion, epoch: float) -> list[bytes]:
    """The first line of an invocation, if it is wanted. `epoch` is now."""
    if not version.logging.is_json:
        return [f"START RequestId: {request_id} Version: {version.version}".encode()]
    if not version.logging.keeps("INFO"):
        return []
    return [_event("platform.start", epoch, {"requestId": request_id, "version": version.version})]


def end_lines(reading: Reading, version: FunctionVersion, epoch: float) -> list[bytes]:
    """The last lines: END, REPORT, and one more that names a timeout or an out-of-memory kill. `epoch` is now."""
    return _events(reading, version, epoch) if version.logging.is_json else _texts(reading)


def _events(reading: Reading, version: FunctionVersion, epoch: float) -> list[bytes]:
    status = _STATUS.get(reading.outcome, "error")
    told = {"requestId": reading.request_id, "status": status}
    if reading.outcome in _ERROR_TYPES:
        told["errorType"] = _ERROR_TYPES[reading.outcome]
    metrics: dict[str, Any] = {
        "durationMs": round(reading.duration_ms, 3),
        "billedDurationMs": reading.billed_ms,
        "memorySizeMB": reading.memory_mb,
        "maxMemoryUsedMB": reading.peak_mb,
    }
    if reading.init_ms:
        metrics["initDurationMs"] = round(reading.init_ms, 3)
    is_well = reading.outcome is Outcome.OK
    done = {**told, "metrics": {"durationMs": metrics["durationMs"]}}
    events = [
        ("DEBUG" if is_well else "WARN", "platform.runtimeDone", done),
        ("INFO" if is_well else "WARN", "platform.report", {**told, "metrics": metrics}),
    ]
    return [_event(kind, epoch, record) for level, kind, record in events if version.logging.keeps(level)]


def _event(kind: str, epoch: float, record: dict[str, Any]) -> bytes:
    time = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    return msgspec.json.encode({"time": time, "type": kind, "record": record})


def _texts(reading: Reading) -> list[bytes]:
    lines = [f"END RequestId: {reading.request_id}", _report(reading)]
    if reading.outcome is Outcome.TIMEOUT:
        lines.append(f"{reading.request_id} Task timed out after {reading.duration_ms / 1000:.2f} seconds")
    elif reading.outcome is Outcome.OUT_OF_MEMORY:
        lines.append(
            f"RequestId: {reading.request_id} Error: Runtime.OutOfMemory: the {reading.memory_mb} MB are used up"
        )
    return [line.encode() for line in lines]


def _report(reading: Reading) -> str:
    usual = (
        f"REPORT RequestId: {reading.request_id}\tDuration: {reading.duration_ms:.2f} ms\t"
        f"Billed Duration: {reading.billed_ms} ms\tMemory Size: {reading.memory_mb} MB\t"
        f"Max Memory Used: {reading.peak_mb} MB\t"
    )
    return f"{usual}Init Duration: {reading.init_ms:.2f} ms\t" if reading.init_ms else usual
