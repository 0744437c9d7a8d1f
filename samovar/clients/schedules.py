"""What a client does with schedules, by Samovar's own API."""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from samovar.clients.platform import Client
from samovar.schedules import PutSchedule, ScheduleRun, ScheduleView


def every(client: Client) -> list[ScheduleView]:
    """Every schedule, and when it is due."""
    return client.call(list[ScheduleView], "GET", "schedules")


def put(client: Client, name: str, wish: PutSchedule) -> ScheduleView:
    """Make a schedule, or put it in the place of the one of its name."""
    return client.call(ScheduleView, "PUT", _path(name), msgspec.to_builtins(wish))


def switch(client: Client, name: str, *, enabled: bool) -> ScheduleView:
    """Switch a schedule on or off. Raises `ResourceNotFound`."""
    return client.call(ScheduleView, "PUT", f"{_path(name)}/state", {"enabled": enabled})


def delete(client: Client, name: str) -> None:
    """Remove a schedule. Raises `ResourceNotFound`."""
    client.order("DELETE", _path(name))


def run(client: Client, name: str) -> ScheduleRun:
    """Start what a schedule starts. Raises `ResourceNotFound`."""
    return client.call(ScheduleRun, "POST", f"{_path(name)}/run")


def bring_about(client: Client, function: str, wanted: dict[str, PutSchedule]) -> bool:
    """Have the schedules that a function's folder wants, and none that it wanted before; whether that was a change."""
    present = {one.name: one for one in every(client) if one.of_function == function}
    obsolete = present.keys() - wanted.keys()
    for name in obsolete:
        delete(client, name)
    different = [name for name, wish in wanted.items() if name not in present or _is_other(wish, present[name])]
    for name in different:
        put(client, name, wanted[name])
    return bool(obsolete or different)


def _is_other(wish: PutSchedule, present: ScheduleView) -> bool:
    """Whether a schedule is not what is wanted; its target is the function it belongs to."""
    given = msgspec.structs.asdict(wish)
    return any(getattr(present, name) != value for name, value in given.items() if name != "target")


def _path(name: str) -> str:
    return f"schedules/{quote(name, safe='')}"
