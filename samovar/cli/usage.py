"""`samovar usage`: what invocations cost, and when they came."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from samovar.cli.options import DEFAULT_ENDPOINT, Endpoint, Json, Since, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from samovar.answers import Span, Usage

_ROWS = 20
"""Rows of the drawing: it fits a terminal of 24 lines together with the table above it."""
_BAR_WIDTH = 40


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("usage")(usage)


def usage(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The function; all of them without.")] = None,
    since: Since = "1h",
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Show invocations, errors, cold starts, durations and GB-seconds, and draw them over time."""
    from samovar.cli.output import print_json, stdout
    from samovar.clients.platform import Client

    now = time.time()
    with Client(endpoint) as client:
        found = client.usage(name, since=int(now - seconds(since)), until=int(now))
    if as_json:
        print_json(found)
        return
    if not found.complete:
        typer.echo("the invoker cannot be reached: its latest invocations are not counted yet", err=True)
    console = stdout()
    console.print(_sums(found, name))
    if found.total.invocations:
        console.print()
        console.print(_over_time(found))
    else:
        typer.echo(f"no invocation in the last {since}", err=True)


def _sums(found: Usage, name: str | None) -> Table:
    from samovar.cli.output import table

    drawn = table("FUNCTION", ">CALLS", ">ERRORS", ">COLD", ">P50 MS", ">P99 MS", ">GB-SECONDS")
    rows = [(name, found.total)] if name else [*sorted(found.functions.items()), ("all", found.total)]
    for label, span in rows:
        drawn.add_row(
            label,
            f"{span.invocations:,}",
            f"{span.errors:,}",
            f"{span.cold / span.invocations:.1%}" if span.invocations else "-",
            f"{span.p50_ms:,.1f}",
            f"{span.p99_ms:,.1f}",
            f"{span.gb_seconds:,.3f}",
        )
    return drawn


def _over_time(found: Usage) -> Table:
    from rich.bar import Bar

    from samovar.cli.output import table

    rows = gathered(found.series, found.since, found.until, _ROWS)
    highest = max(calls for _, calls, _ in rows)
    long = found.until - found.since > 86_400
    drawn = table("FROM", ">CALLS", ">ERRORS", "")
    for start, calls, errors in rows:
        moment = datetime.fromtimestamp(start).astimezone()
        drawn.add_row(
            f"{moment:%m-%d %H:%M}" if long else f"{moment:%H:%M}",
            f"{calls:,}",
            f"{errors:,}" if errors else "-",
            Bar(highest, 0, calls, width=_BAR_WIDTH, color="red" if errors else "cyan"),
        )
    return drawn


def gathered(series: Sequence[Span], since: float, until: float, rows: int) -> list[tuple[float, int, int]]:
    """The series in at most `rows` spans of equal length: (start, invocations, errors), empty ones included."""
    lengths = (60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86_400)
    length = next((length for length in lengths if (until - since) / length < rows), 7 * 86_400)
    first, last = int(since // length), int(until // length)
    sums = {number: [0, 0] for number in range(first, last + 1)}
    for span in series:
        number = min(max(int(span.start // length), first), last)
        sums[number][0] += span.invocations
        sums[number][1] += span.errors
    return [(number * length, calls, errors) for number, (calls, errors) in sums.items()]
