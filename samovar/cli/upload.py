"""`samovar upload`: a file, or all files of a folder, into a bucket."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from samovar.cli.options import DEFAULT_ENDPOINT, Endpoint, Json

if TYPE_CHECKING:
    from samovar.clients.uploading import Order

_SCHEME = "s3://"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("upload")(upload)


def upload(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="A file, or a folder with all that is below it.", show_default=False),
    ],
    to: Annotated[
        str,
        typer.Argument(
            metavar="TO",
            help="s3://BUCKET/KEY. A key that ends in / gets the file's name; a folder's files get their paths in it.",
            show_default=False,
        ),
    ],
    content_type: Annotated[
        str | None, typer.Option("--content-type", metavar="TYPE", help="Guessed from each file's name without.")
    ] = None,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Upload a file or a folder; functions that the bucket notifies are started."""
    from samovar.cli.output import megabytes, print_json
    from samovar.cli.steps import Steps
    from samovar.clients.buckets import Buckets
    from samovar.clients.uploading import upload_all

    bucket, orders = _ordered(path, to, content_type)
    with Buckets(endpoint) as buckets, Steps(shown=sys.stderr.isatty()) as steps:
        uploaded = upload_all(buckets, bucket, orders, steps.count("uploading"))
    if as_json:
        print_json(uploaded if path.is_dir() else uploaded[0])
        return
    for each in uploaded:
        typer.echo(f"s3://{each.bucket}/{each.key}  {megabytes(each.size)}")
    if path.is_dir():
        typer.echo(f"{len(uploaded)} files, {megabytes(sum(each.size for each in uploaded))}", err=True)


def _ordered(path: Path, to: str, content_type: str | None) -> tuple[str, list[Order]]:
    """The bucket, and which file is to have which key in it."""
    from samovar.clients.uploading import Order, UploadError, files_below

    bucket, _, key = to.removeprefix(_SCHEME).partition("/")
    if not to.startswith(_SCHEME) or not bucket:
        raise typer.BadParameter(f"{to!r} is no place for an upload; write s3://BUCKET/KEY")
    if path.is_dir():
        prefix = key if not key or key.endswith("/") else key + "/"
        orders = [Order.of(file, prefix + name, content_type) for name, file in files_below(path)]
        if not orders:
            raise UploadError(f"the folder {path} holds no file")
        return bucket, orders
    if not path.is_file():
        raise UploadError(f"{path} is {'neither a file nor a folder' if path.exists() else 'not there'}")
    return bucket, [Order.of(path, key + path.name if not key or key.endswith("/") else key, content_type)]
