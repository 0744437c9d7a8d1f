"""`samovar schedule`: functions that run by the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from samovar.cli.options import DEFAULT_ENDPOINT, Endpoint, Json

if TYPE_CHECKING:
    from samovar.schedules import CatchUp, ScheduleView

Name = Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(no_args_is_help=True, help="Schedules: ls, add, run, pause, resume, rm.")
    for command in (ls, add, run, pause, resume, rm):
        group.command(command.__name__)(command)
    app.add_typer(group, name="schedule")


def ls(as_json: Json = False, endpoint: Endpoint = DEFAULT_ENDPOINT) -> None:
    """List the schedules, and when each is due next."""
    from samovar.cli.output import print_json, stdout, table
    from samovar.clients import schedules as scheduling
    from samovar.clients.platform import Client

    with Client(endpoint) as client:
        found = scheduling.every(client)
    if as_json:
        print_json(found)
        return
    listed = table("NAME", "EXPRESSION", "ZONE", "STARTS", "NEXT (UTC)")
    for one in found:
        name = one.name if one.group == "default" else f"{one.group}/{one.name}"
        listed.add_row(name, one.expression, one.timezone, _short(one.target), _next(one))
    stdout().print(listed)


def add(
    name: Name,
    expression: Annotated[
        str,
        typer.Argument(
            metavar="EXPRESSION",
            help="'rate(5 minutes)', 'cron(0 6 ? * MON-FRI *)' or 'at(2027-01-01T00:00:00)'.",
            show_default=False,
        ),
    ],
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="A function, or the ARN of a queue.", show_default=False)
    ],
    event: Annotated[str | None, typer.Option("--input", metavar="JSON", help="The event it sends.")] = None,
    timezone: Annotated[str, typer.Option("--timezone", metavar="ZONE", help="Such as Europe/Berlin.")] = "UTC",
    window: Annotated[
        int, typer.Option("--window", min=0, max=1440, metavar="MINUTES", help="It may be so late on purpose.")
    ] = 0,
    catch_up: Annotated[
        str, typer.Option("--catch-up", metavar="POLICY", help="Moments missed while down: skip, last or all.")
    ] = "last",
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Make a schedule, or change the one of this name."""
    from samovar.cli.output import print_json
    from samovar.clients import schedules as scheduling
    from samovar.clients.platform import Client
    from samovar.schedules import PutSchedule

    wish = PutSchedule(
        expression=expression,
        target=target,
        input=_event(event),
        timezone=timezone,
        window=window,
        catch_up=_policy(catch_up),
    )
    with Client(endpoint) as client:
        made = scheduling.put(client, name, wish)
    if as_json:
        print_json(made)
    else:
        typer.echo(f"{made.name} starts {_short(made.target)}, next {_next(made)} UTC")


def run(name: Name, as_json: Json = False, endpoint: Endpoint = DEFAULT_ENDPOINT) -> None:
    """Start now what a schedule starts, besides what is due."""
    from samovar.cli.output import print_json
    from samovar.clients import schedules as scheduling
    from samovar.clients.platform import Client

    with Client(endpoint) as client:
        done = scheduling.run(client, name)
    if as_json:
        print_json(done)
    else:
        typer.echo(f"{name} was started as event {done.request_id}")


def pause(name: Name, endpoint: Endpoint = DEFAULT_ENDPOINT) -> None:
    """Switch a schedule off. What passes meanwhile is not caught up."""
    from samovar.clients import schedules as scheduling
    from samovar.clients.platform import Client

    with Client(endpoint) as client:
        scheduling.switch(client, name, enabled=False)
    typer.echo(f"{name} is off")


def resume(name: Name, endpoint: Endpoint = DEFAULT_ENDPOINT) -> None:
    """Switch a schedule on again."""
    from samovar.clients import schedules as scheduling
    from samovar.clients.platform import Client

    with Client(endpoint) as client:
        found = scheduling.switch(client, name, enabled=True)
    typer.echo(f"{name} is on, next {_next(found)} UTC")


def rm(name: Name, endpoint: Endpoint = DEFAULT_ENDPOINT) -> None:
    """Remove a schedule."""
    from samovar.clients import schedules as scheduling
    from samovar.clients.platform import Client

    with Client(endpoint) as client:
        scheduling.delete(client, name)
    typer.echo(f"{name} is removed")


def _policy(text: str) -> CatchUp:
    from typing import get_args

    from samovar.schedules import CatchUp

    for policy in get_args(CatchUp):
        if policy == text:
            found: CatchUp = policy
            return found
    raise typer.BadParameter(f"--catch-up {text!r} is none; there are {', '.join(get_args(CatchUp))}")


def _event(text: str | None) -> Any:
    import msgspec

    if text is None:
        return None
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise typer.BadParameter(f"--input is no JSON: {error}") from error


def _short(arn: str) -> str:
    parts = arn.split(":", 5)
    return parts[5].removeprefix("function:") if len(parts) == 6 else arn


def _next(one: ScheduleView) -> str:
    if not one.enabled:
        return "off"
    return one.next[0].removesuffix("Z").replace("T", " ")[:19] if one.next else "never"
