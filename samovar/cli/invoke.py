"""`samovar invoke`: one event in, one result out."""

from __future__ import annotations

import codecs
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from samovar.cli.failures import FUNCTION_ERROR
from samovar.cli.options import DEFAULT_ENDPOINT, Endpoint, FunctionName, Json
from samovar.errors import InvalidRequestContent

if TYPE_CHECKING:
    from samovar.answers import Answered

EMPTY_EVENT = b"{}"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("invoke")(invoke)


def invoke(
    name: FunctionName,
    event: Annotated[
        str | None, typer.Option("--event", "-e", metavar="FILE", help="File with the event as JSON; - reads stdin.")
    ] = None,
    data: Annotated[str | None, typer.Option("--data", "-d", metavar="JSON", help="The event itself.")] = None,
    later: Annotated[
        bool, typer.Option("--async", help="Hand the event in and leave; `samovar events` shows what becomes of it.")
    ] = False,
    tail: Annotated[bool, typer.Option("--tail/--no-tail", help="Show the end of the log on stderr.")] = True,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Call a function and wait for its result, or hand in an event (--async). Without one, it gets {}."""
    from samovar.clients.platform import Client

    payload = _event(event, data)
    if later:
        with Client(endpoint) as client:
            _print_accepted(client.invoke_later(name, payload), as_json=as_json)
        return
    with Client(endpoint) as client:
        timeout_s = client.get_configuration(name).timeout
        answered = client.invoke(name, payload, tail=tail, timeout_s=timeout_s)
    if as_json:
        _print_document(answered)
    else:
        sys.stderr.write(answered.log.replace("\r", "\n"))
        sys.stderr.flush()
        _print_result(answered)
    if answered.function_error:
        raise typer.Exit(FUNCTION_ERROR)


def _print_accepted(request_id: str, *, as_json: bool) -> None:
    from samovar.cli.output import print_json

    if as_json:
        print_json({"requestId": request_id})
    else:
        typer.echo(request_id)


def _event(file: str | None, data: str | None) -> bytes:
    """The event's bytes, checked to be JSON."""
    if file is not None and data is not None:
        raise typer.BadParameter("give --event or --data, not both")
    if data is not None:
        return _checked(data.encode(), "--data")
    if file is None:
        return EMPTY_EVENT
    if file == "-":
        return _checked(sys.stdin.buffer.read(), "stdin")
    try:
        return _checked(Path(file).read_bytes().removeprefix(codecs.BOM_UTF8), file)
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}") from error


def _checked(content: bytes, source: str) -> bytes:
    """The content, if it is JSON. Raises `InvalidRequestContent` naming line and column."""
    import json  # its errors have line and column

    def refuse(constant: str) -> None:
        raise InvalidRequestContent(f"{source} holds {constant}, which is not JSON")

    try:
        json.loads(content, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise InvalidRequestContent(
            f"{source} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidRequestContent(f"{source} is not UTF-8 text: byte {error.start}, {error.reason}") from error
    return content


def _print_result(answered: Answered) -> None:
    if answered.function_error:
        sys.stderr.write(_failure(answered.payload))
        return
    payload = answered.payload
    if sys.stdout.isatty():
        import msgspec

        payload = msgspec.json.format(payload, indent=2)
    sys.stdout.write(payload.decode(errors="replace") + "\n")


def _failure(payload: bytes) -> str:
    """What the function said when it failed, as Python prints it, and what would help."""
    import msgspec

    from samovar.answers import FunctionFailure
    from samovar.cli.advice import on_failure

    try:
        failure = msgspec.json.decode(payload, type=FunctionFailure)
    except msgspec.DecodeError:
        return f"the function failed: {payload.decode(errors='replace')}\n"
    stack = "".join(line if line.endswith("\n") else f"{line}\n" for line in failure.stack_trace)
    if stack:
        stack = f"Traceback (most recent call last):\n{stack}"
    told = f"{stack}{failure.error_type or 'error'}: {failure.error_message}\n"
    advice = on_failure(failure)
    return f"{told}next:  {advice}\n" if advice else told


def _print_document(answered: Answered) -> None:
    import msgspec

    from samovar.cli.output import print_json

    print_json(
        {
            "requestId": answered.request_id,
            "executedVersion": answered.version,
            "functionError": answered.function_error,
            "payload": msgspec.Raw(answered.payload or b"null"),
            "log": answered.log,
        }
    )
