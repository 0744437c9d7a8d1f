"""`samovar buckets`: where uploads go."""

from __future__ import annotations

from typing import Annotated

import typer

from samovar.cli.options import DEFAULT_ENDPOINT, Endpoint, Json

BucketName = Annotated[str, typer.Argument(metavar="NAME", help="The bucket.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(no_args_is_help=True, help="Buckets, where uploads go: ls, create, delete.")
    group.command("ls")(ls)
    group.command("create")(create)
    group.command("delete")(delete)
    app.add_typer(group, name="buckets")


def ls(as_json: Json = False, endpoint: Endpoint = DEFAULT_ENDPOINT) -> None:
    """List the buckets."""
    from samovar.cli.output import print_json, stdout, table
    from samovar.clients.buckets import Buckets

    with Buckets(endpoint) as buckets:
        found = buckets.all()
    if as_json:
        print_json(found)
        return
    listed = table("NAME", "CREATED (UTC)")
    for bucket in found:
        listed.add_row(bucket.name, bucket.created[:16].replace("T", " "))
    stdout().print(listed)


def create(name: BucketName, endpoint: Endpoint = DEFAULT_ENDPOINT) -> None:
    """Make a bucket. The first one starts the S3 server, which takes some seconds."""
    from samovar.clients.buckets import Buckets

    with Buckets(endpoint) as buckets:
        buckets.create(name)
    typer.echo(f"s3://{name} is there")


def delete(name: BucketName, endpoint: Endpoint = DEFAULT_ENDPOINT) -> None:
    """Delete an empty bucket."""
    from samovar.clients.buckets import Buckets

    with Buckets(endpoint) as buckets:
        buckets.delete(name)
    typer.echo(f"s3://{name} is deleted")
