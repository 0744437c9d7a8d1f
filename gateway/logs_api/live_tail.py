"""StartLiveTail: the events of some groups as they are written, once a second, as a stream of frames."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.logs_api import reading
from gateway.logs_api.events import taking
from gateway.logs_api.folders import Place
from gateway.logs_api.patterns import compile_pattern
from gateway.logs_api.reading import FOR_EVER, Event, Wanted
from samovar.errors import InvalidParameter
from samovar.link import event_stream
from samovar.logs.lines import LogLine, end_of
from samovar.names import new_request_id

_EVERY_S: Final = 1.0
_MOST_EVENTS: Final = 500
"""In one update; where there are more, the newest are left out and `sampled` says so (StartLiveTail)."""
_SESSION_S: Final = 3 * 3600.0
_JSON: Final = "application/json"


class StartLiveTail(msgspec.Struct, kw_only=True, rename="camel"):
    """Which groups, streams and messages."""

    log_group_identifiers: list[str]
    log_stream_names: list[str] | None = None
    log_stream_name_prefixes: list[str] | None = None
    log_event_filter_pattern: str = ""


class _Tail:
    """One group being followed."""

    def __init__(self, name: str, folder: Path, arn: str) -> None:
        self.name = name
        self.arn = arn
        self._folder = folder
        self._position = end_of(folder)

    def read_on(self, takes: Callable[[LogLine], bool], limit: int) -> tuple[list[Event], bool]:
        """New events, and whether some were left out. Blocking."""
        page = reading.forwards(self._folder, self._position, Wanted(0, FOR_EVER, takes, limit))
        self._position = page.position if page.is_last else end_of(self._folder)
        return page.events, not page.is_last


async def open_session(place: Place, request: StartLiveTail, stopping: asyncio.Event) -> AsyncIterator[bytes]:
    """The session's frames, once everything asked for has been found. Raises as the other operations do."""
    if len(request.log_group_identifiers) > 1 and (request.log_stream_names or request.log_stream_name_prefixes):
        raise InvalidParameter("Log streams can be specified only with a single log group.")
    if request.log_stream_names and request.log_stream_name_prefixes:
        raise InvalidParameter("logStreamNames and logStreamNamePrefixes are mutually exclusive.")
    matches = compile_pattern(request.log_event_filter_pattern)
    takes = taking(request.log_stream_names or None, request.log_stream_name_prefixes or [""], matches)
    tails = []
    for identifier in request.log_group_identifiers:
        is_arn = identifier.startswith("arn:")
        name, _ = await place.find(None if is_arn else identifier, identifier if is_arn else None)
        tails.append(await asyncio.to_thread(_Tail, name, place.folder(name), place.arn(name)))
    return _frames(request, tails, takes, stopping)


async def _frames(
    request: StartLiveTail, tails: list[_Tail], takes: Callable[[LogLine], bool], stopping: asyncio.Event
) -> AsyncIterator[bytes]:
    yield event_stream.event("initial-response", b"{}", _JSON)
    session = {"requestId": new_request_id(), "sessionId": new_request_id(), **msgspec.to_builtins(request)}
    yield _event("sessionStart", {name: value for name, value in session.items() if value})
    for _ in range(int(_SESSION_S / _EVERY_S)):
        results: list[dict[str, Any]] = []
        sampled = False
        for tail in tails:
            events, some_left_out = await asyncio.to_thread(tail.read_on, takes, max(1, _MOST_EVENTS - len(results)))
            results += [_shown(tail, event) for event in events]
            sampled = sampled or some_left_out
        yield _event("sessionUpdate", {"sessionMetadata": {"sampled": sampled}, "sessionResults": results})
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), _EVERY_S)
            return
    timed_out = {"message": "Live Tail sessions end after three hours; start another one."}
    yield event_stream.exception("SessionTimeoutException", msgspec.json.encode(timed_out), _JSON)


def _event(kind: str, content: dict[str, Any]) -> bytes:
    return event_stream.event(kind, msgspec.json.encode(content), _JSON)


def _shown(tail: _Tail, event: Event) -> dict[str, Any]:
    line = event.line
    return {
        "logStreamName": line.stream,
        "logGroupIdentifier": tail.arn,
        "message": event.message,
        "timestamp": line.epoch_ms,
        "ingestionTime": line.epoch_ms,
    }
