"""`samovar delete`: take a function away."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

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
    """Delete a function, its URL and its environments. Asks first, when there is somebody to ask."""
    from samovar.client import Client

    with Client(endpoint) as client:
        client.get_configuration(name)
        if not yes:
            if not sys.stdin.isatty():
                raise typer.BadParameter(f"nobody can be asked here; `samovar delete {name} --yes` deletes it")
            typer.confirm(f"Delete {name}?", abort=True, err=True)
        client.delete_function(name)
    if as_json:
        from samovar.cli.output import print_json

        print_json({"name": name, "deleted": True})
    else:
        typer.echo(f"{name} is deleted")
