"""`samovar init`: a new function from a template."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from samovar.cli.options import Json

_PLACEHOLDER = "@NAME@"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init")(init)


def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The function, and its new folder.", show_default=False)],
    template: Annotated[str, typer.Option("--template", "-t", metavar="NAME", help="What to start from.")] = "python",
    as_json: Json = False,
) -> None:
    """Make a folder with a function that can be deployed as it is."""
    from samovar.names import FUNCTION_NAME

    if FUNCTION_NAME.fullmatch(name) is None:
        raise typer.BadParameter(f"{name!r} is no function name: 1 to 64 letters, digits, - and _")
    templates = Path(__file__).parents[1] / "templates"
    known = sorted(path.name for path in templates.iterdir() if path.is_dir())
    if template not in known:
        raise typer.BadParameter(f"there is no template {template!r}; there are: {', '.join(known)}")
    folder = Path(name)
    files = _copy(templates / template, folder, name)
    if as_json:
        from samovar.cli.output import print_json

        print_json({"folder": str(folder), "files": files})
        return
    commands = (f"cd {folder}", "samovar deploy", f"samovar invoke {name} --event event.json")
    typer.echo(f"{folder}/ holds {', '.join(files)}\n\n" + "\n".join(f"  {command}" for command in commands))


def _copy(template: Path, folder: Path, name: str) -> list[str]:
    """Write the template's files with the function's name in them. Raises a usage error rather than overwrite."""
    try:
        folder.mkdir(exist_ok=True)
        if any(folder.iterdir()):
            raise typer.BadParameter(f"the folder {folder} exists and is not empty; choose another name")
        written = []
        for source in sorted(path for path in template.iterdir() if path.is_file()):
            (folder / source.name).write_text(source.read_text().replace(_PLACEHOLDER, name))
            written.append(source.name)
    except OSError as error:
        raise typer.BadParameter(f"{folder} cannot be written: {error.strerror}") from error
    return written
