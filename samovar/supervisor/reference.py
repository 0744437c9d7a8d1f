"""The page `docs/settings.md`, from the settings themselves.

python -m samovar.supervisor.reference > docs/settings.md
"""

from __future__ import annotations

import sys

from samovar.settings import Settings, allowed_values, describe

HEAD = """\
# Settings

Every setting can be given in four ways; the later one wins: its default, a line of the settings file, an
environment variable, a flag of `samovar up`. The port, for instance, is `port = 9000` in the file,
`SAMOVAR_PORT=9000` in the environment and `--port 9000` on the command line.

The settings file is TOML. It is the one named by `--config` or `SAMOVAR_CONFIG`, else `samovar.toml` in the data
directory if there is one. A value that is not allowed stops the start with the setting's name, the value and
what is allowed.

*This page is written by `python -m samovar.supervisor.reference`; a test fails when it is out of date.*

| setting | default | allowed | what it does |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(map(_row, Settings.__struct_fields__))


def _row(name: str) -> str:
    default = str(getattr(Settings(), name))
    cells = (f"`{name}`", f"`{default}`" if default else "", _escaped(allowed_values(name)), _escaped(describe(name)))
    return f"| {' | '.join(cells)} |\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
