"""`samovar stacks`: deployed templates."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from samovar.cli.failures import CALLER_ERROR
from samovar.cli.options import DEFAULT_ENDPOINT, Endpoint, Json

Name = Annotated[str, typer.Argument(metavar="NAME", help="The stack.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(no_args_is_help=True, help="Deployed templates: ls, show, delete.")
    group.command("ls")(ls)
    group.command("show")(show)
    group.command("delete")(delete)
    app.add_typer(group, name="stacks")


def ls(as_json: Json = False, endpoint: Endpoint = DEFAULT_ENDPOINT) -> None:
    """List the deployed templates."""
    from samovar.cli.output import print_json, stdout, table
    from samovar.clients import stacks as stack_client
    from samovar.clients.platform import Client

    with Client(endpoint) as client:
        found = stack_client.stacks(client)
    if as_json:
        print_json(found)
        return
    if not found:
        typer.echo("no template is deployed yet; `samovar deploy template.yaml` deploys one", err=True)
        return
    listed = table("STACK", ">RESOURCES", "UPDATED (UTC)")
    for stack in found:
        listed.add_row(stack.name, str(len(stack.resources)), stack.updated[:16].replace("T", " "))
    stdout().print(listed)


def show(name: Name, as_json: Json = False, endpoint: Endpoint = DEFAULT_ENDPOINT) -> None:
    """Show what belongs to a deployed template, and its outputs."""
    from samovar.cli.output import print_json, stdout, table
    from samovar.clients import stacks as stack_client
    from samovar.clients.platform import Client

    with Client(endpoint) as client:
        stack = stack_client.get_stack(client, name)
    if as_json:
        print_json(stack)
        return
    listed = table("RESOURCE", "TYPE", "ID")
    for one in stack.resources:
        listed.add_row(one.logical_id, one.type, one.physical_id)
    stdout().print(listed)
    for output, value in stack.outputs.items():
        typer.echo(f"output {output} = {value}")


def delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Remove everything that belongs to a deployed template. Asks first, when there is somebody to ask."""
    from samovar.cli.output import print_json
    from samovar.clients import stacks as stack_client
    from samovar.clients.platform import Client
    from samovar.sam.deploy import remove
    from samovar.sam.target import Target

    with Client(endpoint) as client:
        there = stack_client.get_stack(client, name)
        if not yes:
            if not sys.stdin.isatty():
                raise typer.BadParameter(f"nobody can be asked here; `samovar stacks delete {name} --yes` removes it")
            if not typer.confirm(f"Remove {name} with {_counted(len(there.resources))}?", err=True):
                typer.echo(f"{name} is kept", err=True)
                raise typer.Exit(CALLER_ERROR)
        with Target.of(client, lambda *_: b"", lambda _: None) as target:
            removed = remove(target, name)
    if as_json:
        print_json(removed)
    else:
        kept = [one for one in removed.resources if one.retain]
        typer.echo(f"{name} is removed, with {_counted(len(removed.resources) - len(kept))}")
        for one in kept:
            typer.echo(f"  kept {one.logical_id} ({one.type} {one.physical_id}): it is to be retained")


def _counted(resources: int) -> str:
    return f"{resources} resource{'' if resources == 1 else 's'}"
