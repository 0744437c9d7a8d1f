"""`samovar buckets` and `samovar upload`: where uploads go."""

from __future__ import annotations

import mimetypes
import sys
from pathlib import Path
from typing import Annotated

import typer

from samovar.cli.options import DEFAULT_ENDPOINT, Endpoint, Json

BucketName = Annotated[str, typer.Argument(metavar="NAME", help="The bucket.", show_default=False)]
_SCHEME = "s3://"


def register(app: typer.Typer) -> None:
    """Add the command and the group of commands."""
    group = typer.Typer(no_args_is_help=True, help="Buckets, where uploads go: ls, create, delete.")
    group.command("ls")(ls)
    group.command("create")(create)
    group.command("delete")(delete)
    app.add_typer(group, name="buckets")
    app.command("upload")(upload)


def ls(as_json: Json = False, endpoint: Endpoint = DEFAULT_ENDPOINT) -> None:
    """List the buckets."""
    from samovar.buckets import Buckets
    from samovar.cli.output import print_json, stdout, table

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
    from samovar.buckets import Buckets

    with Buckets(endpoint) as buckets:
        buckets.create(name)
    typer.echo(f"s3://{name} is there")


def delete(name: BucketName, endpoint: Endpoint = DEFAULT_ENDPOINT) -> None:
    """Delete an empty bucket."""
    from samovar.buckets import Buckets

    with Buckets(endpoint) as buckets:
        buckets.delete(name)
    typer.echo(f"s3://{name} is deleted")


def upload(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to upload.", show_default=False)],
    to: Annotated[
        str,
        typer.Argument(
            metavar="TO", help="s3://BUCKET/KEY; a key that ends in / gets the file's name.", show_default=False
        ),
    ],
    content_type: Annotated[
        str | None, typer.Option("--content-type", metavar="TYPE", help="Guessed from the file's name without.")
    ] = None,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Upload a file; functions that the bucket notifies are started."""
    from samovar.buckets import Buckets
    from samovar.cli.output import megabytes, print_json
    from samovar.cli.steps import Steps

    bucket, key = _place(to, file)
    if not file.is_file():
        raise typer.BadParameter(f"{file} is no file")
    kind = content_type or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    with Buckets(endpoint) as buckets, Steps(shown=sys.stderr.isatty()) as steps:
        uploaded = buckets.upload(file, bucket, key, kind, steps.count("uploading"))
    if as_json:
        print_json(uploaded)
    else:
        typer.echo(f"s3://{uploaded.bucket}/{uploaded.key}  {megabytes(uploaded.size)}")


def _place(to: str, file: Path) -> tuple[str, str]:
    bucket, _, key = to.removeprefix(_SCHEME).partition("/")
    if not to.startswith(_SCHEME) or not bucket:
        raise typer.BadParameter(f"{to!r} is no place for an upload; write s3://BUCKET/KEY")
    return bucket, key + file.name if not key or key.endswith("/") else key
