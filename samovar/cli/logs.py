"""`samovar logs`: what a function wrote."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from samovar.cli.options import DEFAULT_ENDPOINT, Endpoint, FunctionName, Json, Since, seconds
from samovar.errors import ServiceUnavailable

if TYPE_CHECKING:
    from samovar.answers import LogRecord


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("logs")(logs)


def logs(
    name: FunctionName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines as they come.")] = False,
    since: Since = "1h",
    request_id: Annotated[
        str | None, typer.Option("--request-id", metavar="ID", help="Only the lines of this invocation.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most the last so many lines.")
    ] = 1000,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Show a function's log, oldest line first. With --json, one document a line."""
    import msgspec

    from samovar.clients.platform import Client

    query: dict[str, str | int] = {"since": round((time.time() - seconds(since)) * 1000), "limit": limit}
    if request_id:
        query["request_id"] = request_id
    with Client(endpoint) as client:
        for record in client.logs(name, follow=follow, **query):
            sys.stdout.write(msgspec.json.encode(record).decode() if as_json else line(record))
            sys.stdout.write("\n")
            if follow:
                sys.stdout.flush()
    if follow:
        raise ServiceUnavailable("the platform ended the log, because it stops or is started again")


def line(record: LogRecord) -> str:
    """A line with its time (UTC). Lines of one record, which carriage returns separate, are shown as lines."""
    moment = datetime.fromtimestamp(record.epoch_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{record.epoch_ms % 1000:03d}Z {record.text}".replace("\r", "\n")
