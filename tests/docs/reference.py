"""Writes the pages that come out of the code. `python -m tests.docs.reference` brings them up to date."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from itertools import takewhile
from typing import Any

from typer.core import TyperArgument, TyperGroup, TyperOption
from typer.main import get_command

from samovar import errors
from samovar.cli import app
from samovar.errors import SamovarError
from samovar.settings import Settings
from tests.docs import compatibility
from tests.platform import ROOT

CLI_PAGE = ROOT / "docs" / "cli.md"
ERRORS_PAGE = ROOT / "docs" / "errors.md"

_MADE = "<!-- Written by `python -m tests.docs.reference`; a test fails when it is not current. -->"
_CLI_INTRODUCTION = """\
`samovar` is a client of the platform's API and of nothing else; `--endpoint` or `SAMOVAR_ENDPOINT` says where that
answers. Every request is signed with an access key: the variables `SAMOVAR_ACCESS_KEY_ID` and
`SAMOVAR_SECRET_ACCESS_KEY`, else the root key of the platform when it runs on this machine (`SAMOVAR_DATA_DIR` says
which), else the profile `samovar` of AWS's credentials file, else `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
Results go to stdout, everything else to stderr. `--json` prints JSON on stdout, and nothing else.

Exit codes: 0 done, 1 the function failed, 2 the command or its input is at fault, 3 the platform or its host is,
130 interrupted."""
_ERRORS_INTRODUCTION = """\
Every error says what happened, whose fault it is and what to do next. In answers of the control API the name stands in
`x-amzn-ErrorType`, the body is `{"Type": …, "Message": …}`, and `Retry-After` is set where waiting helps. The command
line prints three lines: `error`, `fault`, `next`."""
_ERRORS_END = """\
What goes wrong *inside* a function is not on this list: the platform did its job, answers `Invoke` with status 200 and
the header `X-Amz-Function-Error`, an HTTP request with 502, and meters the call like any other."""


def commands() -> dict[str, Any]:
    """The commands of `samovar` by name, in the order of its help; those of a group with the group's name before."""
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            found |= {f"{name} {own}": one for own, one in command.commands.items()}
        else:
            found[name] = command
    return found


def cli_page() -> str:
    """Every command with its arguments and options."""
    parts = ["# Commands", _MADE, _CLI_INTRODUCTION]
    for name, command in commands().items():
        parts += _command(name, command)
    return "\n\n".join(parts) + "\n"


def _command(name: str, command: Any) -> Iterator[str]:
    own = [parameter for parameter in command.params if not is_setting(parameter)]
    arguments = [parameter for parameter in own if isinstance(parameter, TyperArgument)]
    yield f"## samovar {name}"
    yield textwrap.dedent(command.help).strip()
    yield f"```\n{' '.join(['samovar', name, *map(_value, arguments), '[OPTIONS]'])}\n```"
    if own:
        yield "| takes | |\n|---|---|\n" + "\n".join(map(_row, own))
    flags = [f"`{option}`" for parameter in command.params if is_setting(parameter) for option in parameter.opts]
    if flags:
        yield "And one option for every [setting](settings.md):\n" + textwrap.fill(
            ", ".join(flags), 118, break_on_hyphens=False
        )


def is_setting(parameter: Any) -> bool:
    """Whether it is one of the flags of `up` that come from `samovar.settings`; their values are checked there."""
    return parameter.name in Settings.__struct_fields__ and parameter.metavar == "VALUE"


def _value(parameter: Any) -> str:
    """What an argument or an option takes."""
    return str(parameter.metavar or parameter.name.upper())


def _row(parameter: Any) -> str:
    if not isinstance(parameter, TyperOption):
        return f"| `{_value(parameter)}` | {parameter.help} |"
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    taken = "" if parameter.is_flag else f" `{_value(parameter)}`"
    default = parameter.show_default if isinstance(parameter.show_default, str) else parameter.default
    notes = [] if default is None or parameter.is_flag else [f"default `{default}`"]
    notes += [f"or `{parameter.envvar}`"] if parameter.envvar else []
    return f"| {names}{taken} | {parameter.help}{' (' + ', '.join(notes) + ')' if notes else ''} |"


def errors_page() -> str:
    """Every error class with its status and its name on the wire."""
    heading = "| class in `samovar/errors.py` | status | name | fault | meaning |\n|---|---|---|---|---|\n"
    table = heading + "\n".join(map(_error_row, raised_errors()))
    return "\n\n".join(["# Errors", _MADE, _ERRORS_INTRODUCTION, table, _ERRORS_END]) + "\n"


def raised_errors() -> list[type[SamovarError]]:
    """The classes that are raised, in the order of the module; the branches of the tree are left out."""
    found = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SamovarError)]
    branches = {SamovarError, errors.CallerError, errors.PlatformError}
    return [kind for kind in found if kind not in branches]


def _error_row(kind: type[SamovarError]) -> str:
    meaning = " ".join(takewhile(bool, map(str.strip, (kind.__doc__ or "").splitlines())))
    if issubclass(kind, errors.StartRefused):
        return f"| `{kind.__name__}` | | | the operator's | {meaning} |"
    fault = {"User": "the caller's", "Service": "ours"}[kind.fault]
    return f"| `{kind.__name__}` | {kind.status} | `{kind.aws_name}` | {fault} | {meaning} |"


PAGES = {CLI_PAGE: cli_page, ERRORS_PAGE: errors_page}
"""Those that have to be word for word what would be written now."""


def main() -> None:
    """Write all pages."""
    for path, page in (PAGES | {compatibility.PAGE: compatibility.page}).items():
        path.write_text(page())


if __name__ == "__main__":
    main()
