"""`samovar events`: asynchronous events, where they are, and another try for those that failed."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from samovar.cli.options import DEFAULT_ENDPOINT, Endpoint, FunctionName, Json, seconds

if TYPE_CHECKING:
    from samovar.events import EventsDone, EventSelection, EventView

SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="DURATION", help="Only what ended so long ago at most: 90s, 10m, 7d.")
]
IdOption = Annotated[
    list[str] | None, typer.Option("--id", metavar="ID", help="This event, by its request id. May be repeated.")
]
Failed = Annotated[bool, typer.Option("--failed", help="Only those that failed for good.")]
EventId = Annotated[str, typer.Argument(metavar="ID", help="The event's request id.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(no_args_is_help=True, help="Asynchronous events: ls, show, replay, redrive, purge.")
    for command in (ls, show, replay, redrive, purge):
        group.command(command.__name__)(command)
    app.add_typer(group, name="events")


def ls(
    name: FunctionName,
    failed: Failed = False,
    state: Annotated[
        str | None,
        typer.Option("--state", metavar="STATE", help="waiting, running, delayed, succeeded or failed."),
    ] = None,
    since: SinceOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 50,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """List a function's events: those that wait or run, then those that ended, newest first."""
    from samovar.cli.output import print_json, stdout, table
    from samovar.clients import events as event_client
    from samovar.clients.platform import Client
    from samovar.events import EventState

    wanted = "failed" if failed else state
    if wanted is not None and wanted not in get_args(EventState):
        raise typer.BadParameter(f"--state {wanted!r} is none; there are {', '.join(get_args(EventState))}")
    with Client(endpoint) as client:
        page = event_client.events(client, name, state=wanted, since=_moment(since), limit=limit)
    if as_json:
        print_json(page)
        return
    drawn = table("ID", "STATE", ">ATTEMPTS", "SOURCE", "ACCEPTED", "WHY")
    for one in page.events:
        drawn.add_row(one.id, one.state, str(one.attempts), one.source or "-", _clock(one.accepted_ms), _why(one))
    console = stdout()
    if page.events:
        console.print(drawn)
    counts = page.counts
    sys.stderr.write(
        f"{counts.waiting} waiting, {counts.running} running, {counts.delayed} delayed, "
        f"{counts.succeeded} succeeded, {counts.failed} failed\n"
    )


def show(name: FunctionName, event_id: EventId, as_json: Json = False, endpoint: Endpoint = DEFAULT_ENDPOINT) -> None:
    """Show one event with its payload."""
    import msgspec

    from samovar.cli.output import print_json
    from samovar.clients import events as event_client
    from samovar.clients.platform import Client

    with Client(endpoint) as client:
        found = event_client.event(client, name, event_id)
    if as_json:
        print_json(found)
        return
    one = found.event
    told = {
        "state": one.state,
        "why": _why(one),
        "source": one.source or "a caller of the API",
        "qualifier": one.qualifier or "-",
        "accepted": _clock(one.accepted_ms),
        "ended": _clock(one.ended_ms) if one.ended_ms else "-",
        "attempts": f"{one.attempts} ended in the function, {one.runs} begun",
        "version": one.version or "-",
    }
    for label, value in told.items():
        typer.echo(f"{label:<10} {value}")
    typer.echo(msgspec.json.format(bytes(found.payload), indent=2).decode())


def replay(
    name: FunctionName,
    ids: IdOption = None,
    failed: Failed = False,
    since: SinceOption = None,
    qualifier: Annotated[
        str | None, typer.Option("--qualifier", metavar="NAME", help="Run them against this version or alias.")
    ] = None,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Run past events once more, as new events with ids of their own. Say which: --id, --failed or --since."""
    from samovar.clients import events as event_client
    from samovar.clients.platform import Client

    if not (ids or failed or since):
        raise typer.BadParameter("say which events: --id ID, --failed or --since DURATION")
    with Client(endpoint) as client:
        done = event_client.replay(client, name, _selection(ids, since, failed=failed, qualifier=qualifier))
    _tell(done, "replayed", as_json=as_json)


def redrive(
    name: FunctionName,
    ids: IdOption = None,
    since: SinceOption = None,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Have failed events run again under their own ids: all of them, or those of --id or --since."""
    from samovar.clients import events as event_client
    from samovar.clients.platform import Client

    with Client(endpoint) as client:
        done = event_client.redrive(client, name, _selection(ids, since, failed=True))
    _tell(done, "redriven", as_json=as_json)


def purge(
    name: FunctionName,
    ids: IdOption = None,
    failed: Failed = False,
    everything: Annotated[bool, typer.Option("--all", help="Every event that is not running.")] = False,
    since: SinceOption = None,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Forget events for good. Say which: --id, --failed or --all."""
    from samovar.clients import events as event_client
    from samovar.clients.platform import Client

    if not (ids or failed or everything):
        raise typer.BadParameter("say which events: --id ID, --failed or --all")
    with Client(endpoint) as client:
        done = event_client.purge(client, name, _selection(ids, since, failed=failed, all=everything))
    _tell(done, "purged", as_json=as_json)


def _tell(done: EventsDone, what: str, *, as_json: bool) -> None:
    from samovar.cli.output import print_json

    if as_json:
        print_json(done)
        return
    for old, new in done.ids.items():
        if new and new != old:
            typer.echo(f"{old} -> {new}")
    rest = "; there are more, run it again" if done.more else ""
    typer.echo(f"{len(done.ids)} {'event' if len(done.ids) == 1 else 'events'} {what}{rest}", err=True)


def _moment(since: str | None) -> float | None:
    return None if since is None else time.time() - seconds(since)


def _selection(ids: list[str] | None, since: str | None, **more: Any) -> EventSelection:
    from samovar.events import EventSelection

    return EventSelection(ids=tuple(ids or ()), since_ms=int((_moment(since) or 0.0) * 1000), **more)


def _clock(epoch_ms: int) -> str:
    from datetime import datetime

    return f"{datetime.fromtimestamp(epoch_ms / 1000).astimezone():%Y-%m-%d %H:%M:%S}"


def _why(one: EventView) -> str:
    if one.state == "delayed":
        return f"again at {_clock(one.due_ms)}: {one.error}"
    where = f" to {one.target}" if one.target else ""
    return f"{one.condition}{where}{f': {one.error}' if one.error else ''}" or "-"
