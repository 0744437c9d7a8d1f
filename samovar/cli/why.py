"""`samovar why`: why a call was cold, waited or was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from samovar.cli.options import DEFAULT_ENDPOINT, Endpoint, Json

if TYPE_CHECKING:
    from rich.table import Table

    from samovar.explanation import Explanation

_BAR_WIDTH = 30


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("why")(why)


def why(
    request_id: Annotated[
        str, typer.Argument(metavar="REQUEST_ID", help="The invocation; its log and its answer's headers name it.")
    ],
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Say why a call was cold, had to wait or was refused, and what would have avoided it."""
    from samovar.cli.output import print_json, stdout
    from samovar.clients.platform import Client

    with Client(endpoint) as client:
        found = client.why(request_id)
    if as_json:
        print_json(found)
        return
    console = stdout(wraps=True)
    console.print(f"{found.function}:{found.version}  {found.request_id}", style="bold", markup=False)
    console.print(found.summary, markup=False)
    console.print()
    console.print(_phases(found))
    if found.advice:
        console.print()
        console.print("What would have helped:", style="bold")
        for line in found.advice:
            console.print(f"- {line}", markup=False)


def _phases(found: Explanation) -> Table:
    from rich.bar import Bar

    from samovar.cli.output import table

    drawn = table("PHASE", ">MS", "", "", prose=True)
    whole = sum(one.ms for one in found.spent)
    begun = 0.0
    for one in found.spent:
        colour = "green" if one.phase == "run" else "yellow"
        bar = Bar(whole, begun, begun + one.ms, width=_BAR_WIDTH, color=colour)
        drawn.add_row(one.phase, f"{one.ms:,.1f}", bar, one.what)
        begun += one.ms
    return drawn
