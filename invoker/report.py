"""The lines the platform writes around an invocation's own: START, END, REPORT (AWS Lambda developer guide,
"Working with Lambda function logs"). Their numbers are the meter reading's.
"""

from __future__ import annotations

from samovar.invocation import Outcome, Reading


def start_line(request_id: str, version: str) -> bytes:
    """The first line of an invocation."""
    return f"START RequestId: {request_id} Version: {version}".encode()


def end_lines(reading: Reading) -> list[bytes]:
    """The last lines: END, REPORT, and one more that names a timeout or an out-of-memory kill."""
    lines = [f"END RequestId: {reading.request_id}", _report(reading)]
    if reading.outcome is Outcome.TIMEOUT:
        lines.append(f"{reading.request_id} Task timed out after {reading.duration_ms / 1000:.2f} seconds")
    elif reading.outcome is Outcome.OUT_OF_MEMORY:
        lines.append(
            f"RequestId: {reading.request_id} Error: Runtime.OutOfMemory: the {reading.memory_mb} MB are used up"
        )
    return [line.encode() for line in lines]


def _report(reading: Reading) -> str:
    parts = [
        f"REPORT RequestId: {reading.request_id}",
        f"Duration: {reading.duration_ms:.2f} ms",
        f"Billed Duration: {reading.billed_ms} ms",
        f"Memory Size: {reading.memory_mb} MB",
        f"Max Memory Used: {reading.peak_mb} MB",
    ]
    if reading.init_ms:
        parts.append(f"Init Duration: {reading.init_ms:.2f} ms")
    return "\t".join(parts) + "\t"
