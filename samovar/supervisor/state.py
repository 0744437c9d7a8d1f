"""What the supervisor tells `samovar status` and `samovar down`, and its own successor: a file, written whole."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from samovar.settings import Settings

Phase = Literal["waiting", "starting", "running", "restarting", "resting", "stopped"]


class ProcessState(msgspec.Struct, frozen=True, kw_only=True):
    """One child as it was when the file was written."""

    name: str
    phase: Phase
    pid: int | None = None
    birth: int | None = None
    """Start time in clock ticks since boot, so that a later process with the same pid is not mistaken for it."""
    started: float = 0.0
    """Epoch seconds."""
    restarts: int = 0


class PlatformState(msgspec.Struct, frozen=True, kw_only=True):
    """The whole platform of one data directory."""

    pid: int
    birth: int | None
    started: float
    version: str
    url: str
    data_dir: str
    store: str
    """Where the store is; a password in it is hidden."""
    isolation: str
    """The isolation the invoker chose; empty until it has answered."""
    ready: bool
    processes: list[ProcessState]
    credentials: str = ""
    """The file with the root access key; empty where nobody needs one."""
    demand: str = ""
    """Where the supervisor can be asked to start what is needed; see `samovar/process/demand.py`."""
    open_to: str = ""
    """From where else than this machine the port is reached; empty: from nowhere."""


def path_of(settings: Settings) -> Path:
    """Where the state file is."""
    return settings.run_dir / "platform.json"


def write(path: Path, state: PlatformState) -> None:
    """Replace the file at once: a reader sees the old state or the new one."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(state)))
    partial.chmod(0o600)
    partial.replace(path)


def read(path: Path) -> PlatformState | None:
    """The state last written; `None` without a file, or with one this version cannot read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=PlatformState)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def birth_of(pid: int) -> int | None:
    """When a process was started, in clock ticks since boot (field 22 of proc(5)'s `stat`); `None` when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(b") ")[2].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def still_runs(process: ProcessState) -> bool:
    """Whether the very process that was recorded is alive."""
    return process.pid is not None and process.birth is not None and birth_of(process.pid) == process.birth
