"""`samovar keys`: who may do what."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from samovar.cli.options import DEFAULT_ENDPOINT, Endpoint, Json

if TYPE_CHECKING:
    from samovar.access.roles import NewKey, Role

RoleOption = Annotated[
    str,
    typer.Option(
        "--role", metavar="ROLE", help="admin (all), deploy (functions), invoke (calls), read.", show_default=False
    ),
]
NameOption = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="Whose key it is; the key's id without.")
]
FunctionOption = Annotated[
    list[str] | None,
    typer.Option("--function", metavar="NAME", help="With role invoke: call this function only. May be repeated."),
]
KeyId = Annotated[str, typer.Argument(metavar="KEY_ID", help="The access key's id.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(no_args_is_help=True, help="Access keys: create, ls, import, revoke.")
    group.command("create")(create)
    group.command("import")(import_)
    group.command("ls")(ls)
    group.command("revoke")(revoke)
    app.add_typer(group, name="keys")


def create(
    role: RoleOption,
    name: NameOption = None,
    functions: FunctionOption = None,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Make an access key. Its secret is shown now and never again."""
    from samovar.clients.platform import Client

    with Client(endpoint) as client:
        made = client.create_key(_role(role), name, functions or ())
    _show(made, as_json=as_json)


def import_(
    key_id: KeyId,
    role: RoleOption,
    name: NameOption = None,
    functions: FunctionOption = None,
    secret: Annotated[
        str | None,
        typer.Option("--secret-access-key", metavar="TEXT", help="Asked for, or read from stdin, without."),
    ] = None,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Let in a key that exists elsewhere, with its id and secret."""
    from samovar.access.sigv4 import Credentials
    from samovar.clients.platform import Client

    if secret is None:
        asks = sys.stdin.isatty()
        secret = typer.prompt("Secret access key", hide_input=True, err=True) if asks else sys.stdin.readline().strip()
    with Client(endpoint) as client:
        made = client.import_key(Credentials(key_id, str(secret)), _role(role), name, functions or ())
    if as_json:
        _show(made, as_json=True)
    else:
        typer.echo(f"{made.key.key_id} may {made.key.role} now")


def ls(as_json: Json = False, endpoint: Endpoint = DEFAULT_ENDPOINT) -> None:
    """List the access keys, without their secrets."""
    from samovar.cli.output import print_json, stdout, table
    from samovar.clients.platform import Client

    with Client(endpoint) as client:
        found = client.keys()
    if as_json:
        print_json(found)
        return
    listed = table("KEY ID", "NAME", "ROLE", "FUNCTIONS", "CREATED (UTC)")
    for key in found:
        functions = ", ".join(key.functions) or ("all" if key.role != "read" else "-")
        listed.add_row(key.key_id, key.name, key.role, functions, key.created[:16].replace("T", " ") or "-")
    stdout().print(listed)


def revoke(key_id: KeyId, endpoint: Endpoint = DEFAULT_ENDPOINT) -> None:
    """Let a key in no more."""
    from samovar.clients.platform import Client

    with Client(endpoint) as client:
        client.revoke_key(key_id)
    typer.echo(f"{key_id} is revoked")


def _role(text: str) -> Role:
    from samovar.access.roles import ROLES

    for role in ROLES:
        if role == text:
            return role
    raise typer.BadParameter(f"{text!r} is no role; there are {', '.join(ROLES)}")


def _show(made: NewKey, *, as_json: bool) -> None:
    """A new key as lines that fit into AWS's credentials file."""
    from samovar.cli.output import print_json

    if as_json:
        print_json(made)
        return
    typer.echo(f"aws_access_key_id = {made.key.key_id}\naws_secret_access_key = {made.secret}")
    typer.echo("the secret is not shown again", err=True)
