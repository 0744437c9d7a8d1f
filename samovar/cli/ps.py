"""`samovar ps`: the execution environments there are now."""

from __future__ import annotations

import typer

from samovar.cli.options import DEFAULT_ENDPOINT, Endpoint, Json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ps")(ps)


def ps(as_json: Json = False, endpoint: Endpoint = DEFAULT_ENDPOINT) -> None:
    """Show the execution environments: state, age, invocations served, memory."""
    from samovar.cli.output import print_json, short_time, stdout, table
    from samovar.clients.platform import Client

    with Client(endpoint) as client:
        found = client.environments()
    if as_json:
        print_json(found)
        return
    if not found:
        typer.echo("no environment is running; the next invocation starts one", err=True)
        return
    listed = table("FUNCTION", "VERSION", "STATE", "ISOLATION", ">AGE", ">IDLE", ">CALLS", ">PEAK/LIMIT MB")
    for view in sorted(found, key=lambda view: (view.arn, view.age_s)):
        listed.add_row(
            view.arn.rsplit(":", 1)[-1],
            view.version,
            view.state.lower(),
            view.isolation,
            short_time(view.age_s),
            short_time(view.idle_s) if view.idle_s else "-",
            str(view.invocations),
            f"{view.peak_mb}/{view.memory_mb}",
        )
    stdout().print(listed)
