"""`samovar deploy`: from a folder, or from a SAM template, to functions that answer."""

from __future__ import annotations

import os
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from samovar.cli.options import DEFAULT_ENDPOINT, Endpoint, Json

if TYPE_CHECKING:
    from samovar.answers import Status
    from samovar.cli.steps import Steps
    from samovar.clients.platform import Client
    from samovar.deploy.deployment import Deployed
    from samovar.deploy.manifest import Manifest
    from samovar.deploy.package import Source
    from samovar.sam.deploy import Checked
    from samovar.sam.deploy import Deployed as DeployedStack


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("deploy")(deploy_command)


TEMPLATES: Final = ("template.yaml", "template.yml", "template.json")
"""What a template is called where a folder is given, in this order."""
_TEMPLATE_SUFFIXES: Final = (".yaml", ".yml", ".json", ".template")
StackName = Annotated[
    str | None, typer.Option("--stack-name", metavar="NAME", help="Of a template; else its folder's name.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--parameter-overrides", metavar="NAME=VALUE", help="Parameters of a template; may be repeated."),
]


def deploy_command(
    folder: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="The function's folder, with its function.toml; or a SAM template."),
    ] = Path(),
    stack_name: StackName = None,
    parameter_overrides: Overrides = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove what an earlier template of the stack made and this one has not.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check a template completely, and change nothing.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Install the requirements anew, even if they are cached.")
    ] = False,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Deploy a folder or a template: install requirements, pack, upload, wait until it serves."""
    from samovar.cli.output import print_json
    from samovar.cli.steps import Steps
    from samovar.clients.platform import Client

    template = template_at(folder)
    with Client(endpoint) as client, Steps(shown=sys.stderr.isatty()) as steps:
        packer = Packer(client, steps, fresh=fresh)
        if template is None:
            from samovar.deploy.manifest import load

            if dry_run:
                raise typer.BadParameter("--dry-run is for templates")
            deployed = deploy_folder(packer, folder, load(folder))
            told = _told(deployed)
        else:
            from samovar.sam.deploy import Checked, Wanted, check, deploy
            from samovar.sam.target import Target

            wanted = Wanted(template=template, name=stack_name, overrides=parameter_overrides or (), prune=prune)
            with Target.of(client, packer.package, steps.talk("stack")) as target:
                stack = check(target, wanted) if dry_run else deploy(target, wanted)
            told = _told_check(stack) if isinstance(stack, Checked) else told_stack(stack)
    if as_json:
        print_json(deployed if template is None else stack)
    else:
        typer.echo(told)


def template_at(path: Path) -> Path | None:
    """The template a path means; `None` when it means a function's folder. Refuses a file that can be neither."""
    from samovar.deploy.manifest import FILE_NAME

    if path.is_file():
        if path.suffix not in _TEMPLATE_SUFFIXES:
            raise typer.BadParameter(
                f"{path} is neither a folder nor a template ({', '.join(_TEMPLATE_SUFFIXES)}); "
                f"`samovar deploy {path.parent}` deploys the folder it is in"
            )
        return path
    if (path / FILE_NAME).exists():
        return None
    return next((path / name for name in TEMPLATES if (path / name).is_file()), None)


class Packer:
    """Makes deployment packages for one platform, which is asked once what it takes."""

    def __init__(self, client: Client, steps: Steps, *, fresh: bool = False) -> None:
        self.client = client
        self.steps = steps
        self._fresh = fresh

    @cached_property
    def status(self) -> Status:
        """The platform's, when it was first asked."""
        return self.client.status()

    def package(self, folder: Path, runtime: str) -> bytes:
        """The deployment package of a folder, with its requirements."""
        return self.packed(self.sources(folder, runtime))

    def sources(self, folder: Path, runtime: str) -> dict[str, Source]:
        """What the package of a folder is made of, with its requirements: files by their names in it."""
        from samovar.deploy.build import cache_folder, install
        from samovar.deploy.package import collect

        report = self.steps.talk("requirements")
        site = install(folder, runtime, cache=cache_folder(os.environ), report=report, fresh=self._fresh)
        return (collect(site, ignoring=False) if site else {}) | collect(folder)

    def packed(self, sources: dict[str, Source]) -> bytes:
        """The package of these files."""
        from samovar.deploy.package import pack

        return pack(sources, self.status.package_limits, progress=self.steps.count("packing"))


def deploy_folder(packer: Packer, folder: Path, manifest: Manifest) -> Deployed:
    """Deploy a function's folder."""
    import msgspec

    from samovar.deploy import handlers, remarks
    from samovar.deploy.deployment import choose_runtime, deploy, note_on_runtime

    invoker = packer.status.running_invoker()
    runtime = choose_runtime(manifest.runtime, invoker)
    sources = packer.sources(folder, runtime)
    handlers.check(manifest.handler, runtime, manifest.environment, sources)
    code = packer.packed(sources)
    deployed = deploy(packer.client, manifest, runtime, code, progress=packer.steps.count("uploading"))
    note = note_on_runtime(runtime, manifest.isolation, invoker)
    return msgspec.structs.replace(deployed, notes=[*([note] if note else []), *remarks.on_package(sources, runtime)])


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
    lines += [f"  note     {note}" for note in deployed.notes]
    return "\n".join(lines)


def _told_check(checked: Checked) -> str:
    lines = [f"stack {checked.stack} can be deployed: {', '.join(checked.resources)}"]
    return "\n".join([*lines, *(f"  note {note}" for note in checked.notes)])


def told_stack(stack: DeployedStack) -> str:
    """A deployed template as a person reads it."""
    lines = [f"stack {stack.stack} {'is deployed' if stack.changed else 'is unchanged'}"]
    width = max((len(name) for name in (*stack.changed, *stack.functions)), default=0)
    lines += [f"  {name:<{width}}  {', '.join(what)}" for name, what in stack.changed.items()]
    if stack.api:
        lines.append(f"  routes answer at {stack.api}")
    lines += [f"  note {note}" for note in stack.notes]
    lines += [f"  output {name} = {value}" for name, value in stack.outputs.items()]
    lines += [f"  removed {one.logical_id} ({one.type} {one.physical_id})" for one in stack.removed]
    lines += [f"  kept {one.logical_id} ({one.type} {one.physical_id}): it is to be retained" for one in stack.retained]
    if stack.orphaned:
        lines.append("  no longer in the template, and still there (--prune removes it):")
        lines += [f"    {one.logical_id} ({one.type} {one.physical_id})" for one in stack.orphaned]
    return "\n".join(lines)
