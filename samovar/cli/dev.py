"""`samovar dev`: a folder that is deployed with each save, and its functions' logs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from samovar.cli.deploy import Overrides, Packer, StackName, deploy_folder, template_at
from samovar.cli.options import DEFAULT_ENDPOINT, Endpoint

if TYPE_CHECKING:
    from samovar.clients.platform import Client

_SETTLES_MS = 40
"""What editors do when they save (write beside, rename) is over by then."""
_BEGINS_MS = 250
"""After so long without a save it is sure that saves are heard of."""
_GATHERS_MS = 200
"""Longer than this a save is not waited for, even while more is being written."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("dev")(dev)


def dev(
    folder: Annotated[
        Path, typer.Argument(metavar="PATH", help="The function's folder, with its function.toml; or a SAM template.")
    ] = Path(),
    stack_name: StackName = None,
    parameter_overrides: Overrides = None,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Deploy a folder or a template, then again whenever a file in it is saved; show logs as they come. Ctrl-C ends."""
    from samovar.cli.tails import Tails
    from samovar.clients.platform import Client

    template = template_at(folder)
    watched = folder if template is None else template.parent
    with (
        Client(endpoint) as client,
        _deployer(client, folder, template, stack_name, parameter_overrides) as again,
        Tails(endpoint, sys.stdout) as tails,
    ):
        try:
            for number, _ in enumerate(_saves(watched)):
                tails.follow(_attempt(again) or [])
                if not number:
                    _say(f"watching {watched.resolve()}; Ctrl-C ends")
        except KeyboardInterrupt:
            _say("no longer watching; what is deployed stays")


Again = Callable[[], tuple[list[str], str]]
"""Deploys what there is now: the functions' names, and what has changed (nothing: empty)."""


@contextmanager
def _deployer(
    client: Client, folder: Path, template: Path | None, name: str | None, overrides: list[str] | None
) -> Iterator[Again]:
    """The way `samovar deploy` goes, again and again over the same connections."""
    from samovar.cli.steps import Steps

    packer = Packer(client, Steps(shown=False))
    if template is None:
        yield lambda: _folder_again(packer, folder)
        return
    from samovar.sam.deploy import Wanted, deploy
    from samovar.sam.target import Target

    wanted = Wanted(template=template, name=name, overrides=overrides or (), prune=False)

    def again() -> tuple[list[str], str]:
        deployed = deploy(target, wanted)
        changed = ", ".join(f"{name} ({', '.join(what)})" for name, what in deployed.changed.items())
        return list(deployed.functions.values()), f"{deployed.stack}: {changed}" if changed else ""

    with Target.of(client, packer.package, lambda _: None) as target:
        yield again


def _folder_again(packer: Packer, folder: Path) -> tuple[list[str], str]:
    from samovar.deploy.manifest import load

    deployed = deploy_folder(packer, folder, load(folder))
    where = f" at {deployed.url}" if deployed.url else ""
    changed = f"{deployed.name}{where}: {', '.join(deployed.changed)}" if deployed.changed else ""
    if deployed.changed:
        for note in deployed.notes:
            _say(f"note: {note}")
    return [deployed.name], changed


def _attempt(again: Again) -> list[str] | None:
    """Deploy; a mistake is told and waits for the next save. The functions' names, or `None`."""
    from samovar.cli.failures import describe
    from samovar.errors import SamovarError

    begun = time.monotonic()
    try:
        names, changed = again()
    except SamovarError as error:
        sys.stderr.write(describe(error))
        return None
    if changed:
        _say(f"{changed} in force after {time.monotonic() - begun:.2f} s")
    return names


def _saves(watched: Path) -> Iterator[object]:
    """One item once it is watched, so that no save is missed after that, and one a save.

    What Python and editors write beside the sources is no save.
    """
    from watchfiles import watch

    seen = watch(
        watched, debounce=_GATHERS_MS, step=_SETTLES_MS, rust_timeout=_BEGINS_MS, yield_on_timeout=True,
        raise_interrupt=True,
    )  # fmt: skip
    yield next(seen)
    for changes in seen:
        if changes:
            yield changes


def _say(text: str) -> None:
    sys.stderr.write(f"[{time.strftime('%H:%M:%S')}] {text}\n")
    sys.stderr.flush()
