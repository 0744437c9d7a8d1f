"""Log events: GetLogEvents reads one stream in either direction, FilterLogEvents searches a group."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any, Final

import msgspec

from gateway.logs_api import reading, tokens
from gateway.logs_api.folders import NO_STREAM, Place
from gateway.logs_api.patterns import Pattern, compile_pattern
from gateway.logs_api.reading import FOR_EVER, LAST, Event, Page, Wanted
from gateway.logs_api.stream_index import StreamIndex
from samovar.errors import InvalidParameter, ResourceNotFound
from samovar.logs.lines import LogLine, Position, end_of

_FORWARDS: Final = "f"
_BACKWARDS: Final = "b"


class GetLogEvents(msgspec.Struct, kw_only=True, rename="camel"):
    """Which events of one stream."""

    log_group_name: str | None = None
    log_group_identifier: str | None = None
    log_stream_name: str
    start_time: int | None = None
    end_time: int | None = None
    next_token: str | None = None
    limit: int = reading.MOST_EVENTS
    start_from_head: bool = False


class FilterLogEvents(msgspec.Struct, kw_only=True, rename="camel"):
    """Which events of a group."""

    log_group_name: str | None = None
    log_group_identifier: str | None = None
    log_stream_names: list[str] | None = None
    log_stream_name_prefix: str | None = None
    start_time: int | None = None
    end_time: int | None = None
    filter_pattern: str = ""
    next_token: str | None = None
    limit: int = reading.MOST_EVENTS
    start_from_head: bool = True


async def get(place: Place, index: StreamIndex, request: GetLogEvents) -> dict[str, Any]:
    """GetLogEvents: oldest first whichever way it reads. The same token comes back when there is nothing more."""
    name, group = await place.find(request.log_group_name, request.log_group_identifier)
    folder = place.folder(name)
    streams = await asyncio.to_thread(index.streams, folder, group, place.now_ms())
    if request.log_stream_name not in streams:
        raise ResourceNotFound(NO_STREAM)
    wanted = Wanted(
        max(request.start_time or 0, group.oldest_ms(place.now_ms())),
        FOR_EVER if request.end_time is None else request.end_time,
        lambda line: line.stream == request.log_stream_name,
        request.limit,
    )
    direction, begin = _place_of(request)
    if direction == _FORWARDS:
        page = await asyncio.to_thread(reading.forwards, folder, begin, wanted)
        events = page.events
    else:
        before = begin
        if begin == LAST:
            begin = await asyncio.to_thread(end_of, folder)
        page = await asyncio.to_thread(reading.backwards, folder, before, wanted)
        events = page.events[::-1]
    forward, backward = _tokens(request, direction, begin, page, events)
    return {
        "events": [_output(event) for event in events],
        "nextForwardToken": forward,
        "nextBackwardToken": backward,
    }


def _place_of(request: GetLogEvents) -> tuple[str, Position]:
    if request.next_token is None:
        return (_FORWARDS, Position()) if request.start_from_head else (_BACKWARDS, LAST)
    direction, _, rest = request.next_token.partition("/")
    try:
        if direction not in (_FORWARDS, _BACKWARDS) or not rest.endswith("/s"):
            raise tokens.invalid()
        return direction, reading.place_of(rest.removesuffix("/s"))
    except ValueError as error:
        raise tokens.invalid() from error


def _tokens(request: GetLogEvents, direction: str, begin: Position, page: Page, events: list[Event]) -> tuple[str, str]:
    """Where to read on, in either direction."""
    if events:
        return _token(_FORWARDS, events[-1].id), _token(_BACKWARDS, events[0].id)
    here = reading.event_id(0, begin)
    ahead = reading.event_id(0, begin if page.is_last else page.position)
    forward, backward = (ahead, here) if direction == _FORWARDS else (here, ahead)
    if request.next_token is not None and page.is_last:
        same = request.next_token
        return (same, _token(_BACKWARDS, backward)) if direction == _FORWARDS else (_token(_FORWARDS, forward), same)
    return _token(_FORWARDS, forward), _token(_BACKWARDS, backward)


def _token(direction: str, event: str) -> str:
    return f"{direction}/{event}/s"


def _output(event: Event) -> dict[str, Any]:
    line = event.line
    return {"timestamp": line.epoch_ms, "message": event.message, "ingestionTime": line.epoch_ms}


async def search(place: Place, index: StreamIndex, request: FilterLogEvents) -> dict[str, Any]:
    """FilterLogEvents: all streams interleaved, in the order the lines were written."""
    if request.log_stream_names is not None and request.log_stream_name_prefix is not None:
        raise InvalidParameter(
            "logStreamNamePrefix and logStreamNames are mutually exclusive; only one of them may be specified."
        )
    matches = compile_pattern(request.filter_pattern)
    name, group = await place.find(request.log_group_name, request.log_group_identifier)
    folder = place.folder(name)
    if request.log_stream_names is not None:
        streams = await asyncio.to_thread(index.streams, folder, group, place.now_ms())
        if not streams.keys() >= set(request.log_stream_names):
            raise ResourceNotFound(NO_STREAM)
    wanted = Wanted(
        max(request.start_time or 0, group.oldest_ms(place.now_ms())),
        FOR_EVER if request.end_time is None else request.end_time + 1,
        taking(request.log_stream_names, [request.log_stream_name_prefix or ""], matches),
        request.limit,
    )
    begin = Position() if request.start_from_head else LAST
    if request.next_token:
        begin = Position(*tokens.redeem(request.next_token, request, tuple[int, int]))
    read = reading.forwards if request.start_from_head else reading.backwards
    page = await asyncio.to_thread(read, folder, begin, wanted)
    answer: dict[str, Any] = {"events": [_filtered(event) for event in page.events], "searchedLogStreams": []}
    if not page.is_last:
        answer["nextToken"] = tokens.issue(request, page.position)
    return answer


def taking(names: Collection[str] | None, prefixes: Collection[str], matches: Pattern) -> Callable[[LogLine], bool]:
    """Whether a line is of one of these streams, and its message as the pattern has it."""
    beginnings = tuple(prefixes)

    def takes(line: LogLine) -> bool:
        is_of_them = line.stream.startswith(beginnings) if names is None else line.stream in names
        return is_of_them and matches(line.text)

    return takes


def _filtered(event: Event) -> dict[str, Any]:
    return {"logStreamName": event.line.stream, **_output(event), "eventId": event.id}
