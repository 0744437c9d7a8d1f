"""The options several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Endpoint = Annotated[
    str, typer.Option("--endpoint", envvar="SAMOVAR_ENDPOINT", metavar="URL", help="Where Samovar answers.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else.")]
FunctionName = Annotated[str, typer.Argument(metavar="NAME", help="The function.", show_default=False)]
Since = Annotated[str, typer.Option("--since", metavar="DURATION", help="How far back: 90s, 10m, 1h30m, 7d.")]

DEFAULT_ENDPOINT = "http://127.0.0.1:9000"


def seconds(duration: str) -> float:
    """The length of a duration such as `10m` or `1h30m`. Raises a usage error naming the units."""
    import durationpy  # only the commands with --since pay for it

    try:
        length = durationpy.from_str(duration).total_seconds()
    except durationpy.DurationError as error:
        raise typer.BadParameter(f"{duration!r} is no duration; write 90s, 10m, 1h30m or 7d") from error
    if length <= 0:
        raise typer.BadParameter(f"{duration!r} must be longer than nothing")
    return length
