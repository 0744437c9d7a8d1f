"""Function errors that are told from outside, because the process that failed can no longer tell them.

Shapes and messages as AWS Lambda answers them (`Sandbox.Timedout`, `Runtime.ExitError`,
`Function.ResponseSizeTooLarge`); `Runtime.OutOfMemory` is what it logs for a kill by the memory limit.
"""

from __future__ import annotations

import signal

import msgspec


class ProcessEnd(msgspec.Struct, frozen=True):
    """How a worker ended: an exit status, or the signal that killed it."""

    status: int = 0
    signal: int = 0

    def describe(self) -> str:
        """In the words Lambda uses."""
        if self.signal:
            return f"Runtime exited with error: signal: {_signal_words(self.signal)}"
        if self.status:
            return f"Runtime exited with error: exit status {self.status}"
        return "Runtime exited without providing a reason"


def _signal_words(number: int) -> str:
    """`killed`, `segmentation fault`: the words of Go's os package, which Lambda's messages come from."""
    try:
        words = signal.strsignal(number)
    except ValueError:
        words = None
    return (words or f"signal {number}").lower()


def _payload(error_type: str, message: str) -> bytes:
    return msgspec.json.encode({"errorType": error_type, "errorMessage": message})


def with_id(payload: bytes, request_id: str) -> bytes:
    """One of the errors below that was made without a call's id, for one of the calls that waited: as AWS tells it."""
    return payload.replace(b"RequestId:  Error: ", f"RequestId: {request_id} Error: ".encode(), 1)


def timed_out(request_id: str, timeout_s: float) -> bytes:
    """The handler did not answer within the function's timeout."""
    return _payload("Sandbox.Timedout", f"RequestId: {request_id} Error: Task timed out after {timeout_s:.2f} seconds")


def event_lost(request_id: str) -> bytes:
    """The event was never whole, so the handler was not called."""
    return _payload("Sandbox.EventLost", f"RequestId: {request_id} Error: The connection ended within the event")


def exited(request_id: str, end: ProcessEnd) -> bytes:
    """The process ended before it answered."""
    return _payload("Runtime.ExitError", f"RequestId: {request_id} Error: {end.describe()}")


def out_of_memory(request_id: str, memory_mb: int) -> bytes:
    """The memory limit killed the process."""
    return _payload(
        "Runtime.OutOfMemory",
        f"RequestId: {request_id} Error: Runtime exited with error: signal: killed; "
        f"the function used more than its {memory_mb} MB of memory: raise its memory size or use less",
    )


def response_too_large(limit: int) -> bytes:
    """The result is over the limit, in bytes."""
    return _payload(
        "Function.ResponseSizeTooLarge",
        f"Response payload size exceeded maximum allowed payload size ({limit} bytes).",
    )
