"""Log groups: what is kept of a function's log beside its lines, and what gateways ask the invoker to do with it.

A group is the folder of a log, as a rule of one function's, with a record in it. The invoker alone writes both;
gateways read.

| operation           | body           | what it does                                                        |
|---------------------|----------------|---------------------------------------------------------------------|
| `create_log_group`  | `GroupChange`  | an empty group; `ResourceAlreadyExists`                             |
| `change_log_group`  | `GroupChange`  | retention, tags                                                     |
| `delete_log_group`  | `GroupSubject` | lines and record are gone; what is written later makes a new group  |
| `delete_log_stream` | `GroupSubject` | the lines of `stream` are gone                                      |

All but the first raise `ResourceNotFound` where there is no such group or stream.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from samovar.logs import lines as logs
from samovar.names import FUNCTION_NAME

PREFIX: Final = "/aws/lambda/"
"""The log group of a function is called this and its name."""
MAX_GROUP_LENGTH: Final = 512
"""Of a group's name (CloudWatch Logs API reference, CreateLogGroup)."""
_PIECE: Final = 251
"""Characters of a name that one folder's name holds, of which file systems take 255."""
_GROUP: Final = re.compile(r"[.\-_/#A-Za-z0-9]+")
"""CloudWatch Logs API reference, CreateLogGroup."""
_OTHER: Final = "@"
"""Begins the names of folders of groups that are not called after a function; no function's name has it."""
_RECORD: Final = "group.json"
DAY_MS: Final = 86_400_000


def folder_name(group: str) -> str:
    """What the folder of a group is called, in the folder of its region: as its function, or by its whole name.

    A name that is too long for one folder's is that of a folder in a folder. Raises `ValueError` for what is no name
    of a group.
    """
    name = group.removeprefix(PREFIX)
    if group.startswith(PREFIX) and FUNCTION_NAME.fullmatch(name):
        return name
    if not _GROUP.fullmatch(group) or len(group) > MAX_GROUP_LENGTH:
        raise ValueError(f"{group!r} is not the name of a log group")
    flat = group.replace("/", ",")
    return "/".join(_OTHER + flat[begin : begin + _PIECE] for begin in range(0, len(flat), _PIECE))


def group_name(folder: str) -> str:
    """The group whose folder is called that."""
    if not folder.startswith(_OTHER):
        return PREFIX + folder
    return "".join(piece.removeprefix(_OTHER) for piece in folder.split("/")).replace(",", "/")


class LogGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The record of one group."""

    created_ms: int
    retention_days: int | None = None
    """Lines older than this are gone; `None` keeps them until the files are rotated."""
    tags: dict[str, str] = {}
    erasures: int = 0
    """How often streams were deleted: who remembers what the files hold looks again when it changes."""
    is_explicit: bool = False
    """Somebody made it or gave it a retention: it stays when its function is gone and its lines are old."""

    def oldest_ms(self, now_ms: int) -> int:
        """Lines stamped before this are not shown any more."""
        return 0 if self.retention_days is None else now_ms - self.retention_days * DAY_MS


class GroupSubject(msgspec.Struct, frozen=True, kw_only=True):
    """A group, or one stream of it."""

    region: str
    name: str
    """Of its folder; see `folder_name`."""
    stream: str = ""


class GroupChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a group is to have. Members that are not given stay as they are."""

    region: str
    name: str
    retention_days: int | msgspec.UnsetType | None = msgspec.UNSET
    add_tags: dict[str, str] = {}
    remove_tags: list[str] = []


def read(folder: Path) -> LogGroup | None:
    """The record of the group whose lines are in `folder`; `None` where there is none.

    Logs that are older than this record have one made up from their first line.
    """
    with contextlib.suppress(FileNotFoundError):
        return msgspec.json.decode((folder / _RECORD).read_bytes(), type=LogGroup)
    first = next(logs.read_from(folder, logs.Position()), None)
    return None if first is None else LogGroup(created_ms=first[1].epoch_ms)


def write(folder: Path, group: LogGroup) -> None:
    """Replace the record, or make it, whole or not at all."""
    new = folder / f"{_RECORD}.new"
    new.write_bytes(msgspec.json.encode(group))
    os.replace(new, folder / _RECORD)


def remove(folder: Path) -> None:
    """Take the record away: what is left of the folder is no group."""
    (folder / _RECORD).unlink(missing_ok=True)


def names(logs_dir: Path, region: str) -> list[str]:
    """The folders of all groups, in the order of the groups' names."""
    return sorted(_below(logs_dir / region, ""), key=group_name)


def _below(folder: Path, before: str) -> Iterator[str]:
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir():
            if read(path) is not None:
                yield before + path.name
            if path.name.startswith(_OTHER) and len(path.name) > _PIECE:  # the rest of the name is in it
                yield from _below(path, f"{before}{path.name}/")


def folders(logs_dir: Path, region: str, name: str) -> list[Path]:
    """The folders that are there for a group alone, or for others with as long a name too: the innermost first."""
    within = logs_dir / region
    pieces = name.split("/")
    return [within.joinpath(*pieces[:count]) for count in range(len(pieces), 0, -1)]
