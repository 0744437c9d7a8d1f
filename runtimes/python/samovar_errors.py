"""Errors of a function as Lambda names, answers and traces them. Standard library only, Python 3.9 and later."""

from __future__ import annotations

import linecache  # noqa: F401 - `traceback` would import it when the first error is reported
import os
import traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Any

OWN_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep


class Fault(Exception):
    """A failure that has a name in Lambda's runtime, such as `Runtime.ImportModuleError`."""

    def __init__(self, name: str, message: str, trace: list[str] | None = None) -> None:
        super().__init__(message)
        self.name = name
        self.trace = trace or []


class TooLarge(Fault):
    """An answer over the limit. Lambda's platform reports it, not its runtime, so a caller reads no more than this."""

    def __init__(self, limit: int) -> None:
        message = f"Response payload size exceeded maximum allowed payload size ({limit} bytes)."
        super().__init__("Function.ResponseSizeTooLarge", message)


def describe(error: BaseException) -> str:
    """The text of an exception, also of one whose `__str__` fails."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the function's own code; its failure must not hide the error itself
        return "<exception str() failed>"


def trace_of(error: BaseException) -> list[str]:
    """An exception's stack trace as Lambda lists it, without the frames of the runtime and of `import`."""
    if isinstance(error, Fault):
        return error.trace
    frames: TracebackType | None = error.__traceback__
    while frames and frames.tb_frame.f_code.co_filename.startswith((OWN_FOLDER, "<frozen imp")):
        frames = frames.tb_next
    entries = [(frame.filename, frame.lineno or 0, frame.name, frame.line) for frame in traceback.extract_tb(frames)]
    return traceback.format_list(entries)


def error_fields(error: BaseException, request_id: str, limit: int) -> dict[str, Any]:
    """An exception in the form in which Lambda answers and logs it, its text and its trace cut at `limit` characters.

    Of a long trace the innermost frames are kept.
    """
    trace: list[str] = []
    for entry in reversed(trace_of(error)):
        if len(entry) + sum(map(len, trace)) > limit:
            break
        trace.insert(0, entry)
    return {
        "errorMessage": describe(error)[:limit],
        "errorType": error.name if isinstance(error, Fault) else type(error).__name__,
        "requestId": request_id,
        "stackTrace": trace,
    }


def causes(error: BaseException) -> Iterator[BaseException]:
    """What led to an exception, nearest first, as Python would print it."""
    seen = {id(error)}
    while following := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        if id(following) in seen:
            return
        seen.add(id(following))
        yield following
        error = following
