"""`samovar delete`: take a function away."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from samovar.cli.failures import CALLER_ERROR
from samovar.cli.options import DEFAULT_ENDPOINT, Endpoint, FunctionName, Json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("delete")(delete)


def delete(
    name: FunctionName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Delete a function, its URL, its environments and the schedules of its folder. Asks first, if anybody is there."""
    from samovar.clients import schedules as scheduling
    from samovar.clients.platform import Client

    with Client(endpoint) as client:
        arn = client.get_configuration(name).function_arn
        if not yes:
            if not sys.stdin.isatty():
                raise typer.BadParameter(f"nobody can be asked here; `samovar delete {name} --yes` deletes it")
            if not typer.confirm(f"Delete {name}?", err=True):
                typer.echo(f"{name} is kept", err=True)
                raise typer.Exit(CALLER_ERROR)
        client.delete_function(name)
        left = []
        for schedule in scheduling.every(client):
            if schedule.of_function == name:
                scheduling.delete(client, schedule.name)
            elif schedule.target == arn:
                left.append(schedule.name)
    if as_json:
        from samovar.cli.output import print_json

        print_json({"name": name, "deleted": True, "schedulesLeft": left})
    else:
        typer.echo(f"{name} is deleted")
        for other in left:
            typer.echo(f"  schedule {other} still starts it: `samovar schedule rm {other}` removes it")
