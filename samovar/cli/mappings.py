"""`samovar mappings`: which functions work on which queues, streams and lists."""

from __future__ import annotations

from typing import Annotated

import typer

from samovar.cli.options import DEFAULT_ENDPOINT, Endpoint, Json


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(no_args_is_help=True, help="Event source mappings: ls.")
    group.command("ls")(ls)
    app.add_typer(group, name="mappings")


def ls(
    function: Annotated[str | None, typer.Argument(metavar="[FUNCTION]", help="Only those of one function.")] = None,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """List event source mappings: their source, state, and what came of the last batch."""
    from samovar.cli.output import print_json, stdout, table
    from samovar.clients.platform import Client

    with Client(endpoint) as client:
        found = sorted(client.list_mappings(function), key=lambda one: (one.function_arn, one.event_source_arn))
    if as_json:
        print_json(found)
        return
    if not found:
        typer.echo("no function works on a queue; [[triggers.queue]] in its function.toml makes one", err=True)
        return
    listed = table("FUNCTION", "SOURCE", "STATE", ">BATCH", "LAST RESULT", "UUID")
    for one in found:
        listed.add_row(
            one.function_arn.split(":function:")[-1],
            _short(one.event_source_arn),
            one.state,
            str(one.batch_size),
            one.last_processing_result or "-",
            one.uuid,
        )
    stdout().print(listed)


def _short(arn: str) -> str:
    """A source without its region and account: `sqs:orders`, `redis:stream/clicks`."""
    parts = arn.split(":", 5)
    return f"{parts[2]}:{parts[5]}" if len(parts) == 6 else arn
