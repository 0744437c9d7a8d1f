"""Reads the fenced `console` blocks of a page: commands behind `$ `, and below each what it prints.

In the output an ellipsis (…) stands for what differs from run to run: within a line for any text, alone on a line for
any number of lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PROMPT = "$ "
_MORE = ">"
"""A command goes on; only before its output."""
_SOMETHING = "…"


@dataclass
class Step:
    """One command of a page."""

    command: str
    output: list[str] = field(default_factory=list)

    def fits(self, said: str) -> bool:
        """Whether what the command said is what the page shows. Blanks at the end of lines do not count."""
        lines = [line.rstrip() for line in said.strip("\n").splitlines()]
        return re.fullmatch(_pattern(self.output), "".join(f"{line}\n" for line in lines)) is not None


def steps(page: str) -> list[Step]:
    """The commands of a page, in order."""
    found: list[Step] = []
    for block in _BLOCK.findall(page):
        for line in block.splitlines():
            if line.startswith(_PROMPT):
                found.append(Step(line.removeprefix(_PROMPT)))
            elif line.startswith(_MORE) and found and not found[-1].output:
                found[-1].command += "\n" + line.removeprefix(_MORE).removeprefix(" ")
            else:
                assert found, f"output before the first command: {line}"
                found[-1].output.append(line.rstrip())
    return found


def _pattern(output: list[str]) -> str:
    parts = []
    for line in output:
        if line == _SOMETHING:
            parts.append(r"(?:[^\n]*\n)*")
        else:
            parts.append("[^\n]*".join(re.escape(text) for text in line.split(_SOMETHING)) + r"\n")
    return "".join(parts)
