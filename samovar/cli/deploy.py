"""`samovar deploy`: from a folder to a function that answers."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from samovar.cli.options import DEFAULT_ENDPOINT, Endpoint, Json

if TYPE_CHECKING:
    from samovar.client import Client
    from samovar.deployment import Deployed
    from samovar.manifest import Manifest


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("deploy")(deploy)


def deploy(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The function's folder, with its function.toml.")
    ] = Path(),
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Install the requirements anew, even if they are cached.")
    ] = False,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Deploy a folder: install its requirements, pack it, upload it, wait until it serves."""
    from samovar.cli.output import print_json
    from samovar.client import Client
    from samovar.manifest import load

    manifest = load(folder)
    with Client(endpoint) as client:
        deployed = _deploy(client, folder, manifest, fresh=fresh)
    if as_json:
        print_json(deployed)
    else:
        typer.echo(_told(deployed))


def _deploy(client: Client, folder: Path, manifest: Manifest, *, fresh: bool) -> Deployed:
    from samovar.build import cache_folder, install
    from samovar.cli.steps import Steps
    from samovar.deployment import choose_runtime, deploy
    from samovar.package import collect, pack

    status = client.status()
    runtime = choose_runtime(manifest.runtime, status.running_invoker())
    with Steps(shown=sys.stderr.isatty()) as steps:
        site = install(folder, runtime, cache=cache_folder(os.environ), report=steps.talk("requirements"), fresh=fresh)
        sources = collect(site, ignoring=False) if site else {}
        code = pack(sources | collect(folder), status.package_limits, progress=steps.count("packing"))
        return deploy(client, manifest, runtime, code, progress=steps.count("uploading"))


def _told(deployed: Deployed) -> str:
    if not deployed.changed:
        what = "is unchanged"
    elif "function" in deployed.changed:
        what = "is deployed"
    else:
        what = f"is updated: {', '.join(deployed.changed)}"
    lines = [f"{deployed.name} {what}", f"  version  {deployed.code_sha256[:12]} ({deployed.runtime})"]
    lines.append(f"  url      {deployed.url or 'none (url = false)'}")
    if deployed.provisioned is not None:
        lines += [f"  ready    {deployed.provisioned.ready} of {deployed.provisioned.wanted} provisioned now"]
        lines += [f"           {provision}" for provision in deployed.provisioned.provisions]
    return "\n".join(lines)
