"""`samovar functions`: what is deployed."""

from __future__ import annotations

import typer

from samovar.cli.options import DEFAULT_ENDPOINT, Endpoint, Json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("functions")(functions)


def functions(as_json: Json = False, endpoint: Endpoint = DEFAULT_ENDPOINT) -> None:
    """List the functions."""
    from samovar.cli.output import megabytes, print_json, stdout, table
    from samovar.clients.platform import Client

    with Client(endpoint) as client:
        found = sorted(client.list_functions(), key=lambda function: function.function_name)
    if as_json:
        print_json(found)
        return
    if not found:
        typer.echo("nothing is deployed yet; `samovar init NAME` makes a function", err=True)
        return
    listed = table("FUNCTION", "VERSION", "RUNTIME", ">MEMORY", ">TIMEOUT", ">CODE", "MODIFIED (UTC)")
    for function in found:
        listed.add_row(
            function.function_name,
            function.code_hash[:12],
            function.runtime,
            f"{function.memory_size} MB",
            f"{function.timeout} s",
            megabytes(function.code_size),
            function.last_modified[:16].replace("T", " "),
        )
    stdout().print(listed)
