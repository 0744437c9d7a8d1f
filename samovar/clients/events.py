"""Asynchronous events, as a client of the platform's own API sees them."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import msgspec

from samovar.clients.platform import Client
from samovar.events import EventDetail, EventPage, EventsDone, EventSelection


def events(client: Client, function: str, **query: str | float | None) -> EventPage:
    """Events of a function. `query`: `state`, `since` (epoch seconds), `limit`."""
    given = urlencode({key: value for key, value in query.items() if value is not None})
    return client.call(EventPage, "GET", f"{_path(function)}?{given}" if given else _path(function))


def event(client: Client, function: str, event_id: str) -> EventDetail:
    """One event with its payload. Raises `ResourceNotFound`."""
    return client.call(EventDetail, "GET", f"{_path(function)}/{quote(event_id, safe='')}")


def replay(client: Client, function: str, selection: EventSelection) -> EventsDone:
    """Run past events once more as new ones."""
    return client.call(EventsDone, "POST", f"{_path(function)}/replay", msgspec.to_builtins(selection))


def redrive(client: Client, function: str, selection: EventSelection) -> EventsDone:
    """Have failed events run again."""
    return client.call(EventsDone, "POST", f"{_path(function)}/redrive", msgspec.to_builtins(selection))


def purge(client: Client, function: str, selection: EventSelection) -> EventsDone:
    """Forget events."""
    return client.call(EventsDone, "POST", f"{_path(function)}/purge", msgspec.to_builtins(selection))


def _path(function: str) -> str:
    return f"functions/{quote(function, safe='')}/events"
