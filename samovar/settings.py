"""Every setting, declared once: name, type, default, one sentence.

The environment (`SAMOVAR_PORT`), the TOML file (`port = …`), the flags of `samovar up`, the table in
`docs/settings.md` and the error for a bad value all come from the fields below. Nothing else in Samovar
reads `os.environ` for a setting.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from samovar.errors import SettingError, StartRefused
from samovar.invocation import MAX_PAYLOAD_BYTES, MAX_RESPONSE_BYTES, MAX_STREAM_BYTES

PREFIX = "SAMOVAR_"
_MAX_SOCKET_PATH = 107
"""Bytes in `sockaddr_un.sun_path`, less the closing NUL (unix(7))."""
_LONGEST_SOCKET_NAME = "/environments/0123456789abcdef/seats/999999/invoker.sock"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The platform's settings. Each field's description is what the reference and the CLI's help print."""

    host: Annotated[str, Meta(min_length=1, description="Address the gateway listens on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port the gateway listens on; 0 picks a free one.")] = 9000
    public_url: Annotated[
        str,
        Meta(
            pattern=r"^$|^https?://\S+$",
            description="URL by which workers on other hosts reach the gateway; empty takes host and port.",
        ),
    ] = ""
    data_dir: Annotated[
        str,
        Meta(min_length=1, description="Folder for everything Samovar keeps: code, logs, the store, sockets."),
    ] = "~/.samovar"
    redis_url: Annotated[
        str,
        Meta(
            pattern=r"^$|^(rediss?|valkeys?|unix)://",
            description="An external Redis or Valkey (redis://, rediss://, unix://); empty starts the embedded one.",
        ),
    ] = ""
    store_fsync: Annotated[
        Literal["everysec", "always"],
        Meta(description="When the embedded store writes to the disk: every second, or before it acknowledges."),
    ] = "everysec"
    broker_url: Annotated[
        str,
        Meta(
            pattern=r"^$|^(rediss?|amqps?)://",
            description="Broker of Celery's tasks, such as RabbitMQ (amqp://); empty takes the store.",
        ),
    ] = ""
    isolation: Annotated[
        Literal["auto", "docker", "sandbox", "none"],
        Meta(description="How environments are isolated; auto takes docker if an engine answers, else sandbox."),
    ] = "auto"
    oci_runtime: Annotated[
        Literal["runc", "runsc", "kata"],
        Meta(description="OCI runtime of docker environments that name none."),
    ] = "runc"
    network: Annotated[
        Literal["none", "bridge", "host"], Meta(description="Network of environments that name none.")
    ] = "none"
    gateway_workers: Annotated[int, Meta(ge=1, le=64, description="Gateway processes that share the port.")] = 1
    endpoint_url: Annotated[
        str,
        Meta(
            pattern=r"^$|^http://[^/:]+(:\d+)?$",
            description="Where functions and workers reach the gateway (http://HOST:PORT); empty: at host and port.",
        ),
    ] = ""
    workers: Annotated[
        int, Meta(ge=0, le=16, description="Worker processes for events and sweeps; 0 leaves them to `samovar worker`.")
    ] = 1
    worker_rest_s: Annotated[
        float,
        Meta(
            ge=0,
            description="After so long without an event, a mapping or a schedule, workers end until there is one; "
            "0 has them run always.",
        ),
    ] = 300.0
    account: Annotated[str, Meta(pattern=r"^\d{12}$", description="Account id in ARNs.")] = "123456789012"
    region: Annotated[str, Meta(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="Region in ARNs.")] = "us-east-1"
    auth: Annotated[
        Literal["sigv4", "none"],
        Meta(
            description="Whether calls of the API are signed with an access key; none lets everybody in, on loopback."
        ),
    ] = "sigv4"
    memory_budget_mb: Annotated[
        int,
        Meta(ge=0, description="Sum of the memory limits of all environments; 0 takes the host's whole memory."),
    ] = 0
    max_environments: Annotated[int, Meta(ge=1, le=10_000, description="Environments at once, over all functions.")] = (
        500
    )
    max_environments_per_function: Annotated[
        int,
        Meta(ge=1, le=10_000, description="Environments at once of one function that reserves no number."),
    ] = 100
    max_starts: Annotated[
        int,
        Meta(ge=0, le=256, description="Environments being started at once; 0 takes the number of cores."),
    ] = 0
    keep_alive: Annotated[
        Literal["adaptive", "ttl"],
        Meta(description="Whether idle environments are kept as their function's pauses suggest, or for idle_ttl_s."),
    ] = "adaptive"
    stem_cells: Annotated[
        int,
        Meta(
            ge=0,
            le=64,
            description="Empty environments kept started for a runtime while its functions start cold; at rest one.",
        ),
    ] = 2
    idle_ttl_s: Annotated[
        float,
        Meta(gt=0, description="Seconds an idle environment is kept of which keep_alive knows nothing better."),
    ] = 600.0
    keep_alive_min_s: Annotated[
        float, Meta(ge=1, le=86_400, description="The shortest an adaptive keep-alive becomes.")
    ] = 60.0
    keep_alive_max_s: Annotated[
        float, Meta(ge=1, le=86_400, description="The longest an adaptive keep-alive becomes.")
    ] = 4 * 3600.0
    queue_timeout_s: Annotated[
        float,
        Meta(gt=0, le=900, description="Seconds a call may wait for an environment before it is throttled."),
    ] = 10.0
    queue_limit: Annotated[
        int, Meta(ge=1, description="Calls of one function that may wait; one more is throttled at once.")
    ] = 1000
    init_timeout_s: Annotated[
        float,
        Meta(gt=0, le=900, description="Seconds a function's initialisation may take, or its timeout where longer."),
    ] = 10.0
    start_timeout_s: Annotated[
        float, Meta(gt=0, le=300, description="Seconds an environment's process may take to say hello.")
    ] = 20.0
    drain_timeout_s: Annotated[
        float, Meta(ge=0, le=900, description="Seconds running calls are given to finish at shutdown.")
    ] = 30.0
    max_payload_bytes: Annotated[
        int, Meta(ge=1024, le=256 * 1024 * 1024, description="Largest event of a synchronous call.")
    ] = MAX_PAYLOAD_BYTES
    max_event_bytes: Annotated[
        int, Meta(ge=1024, le=6 * 1024 * 1024, description="Largest event of an asynchronous call (Lambda: 1 MB).")
    ] = 1024 * 1024
    max_response_bytes: Annotated[
        int,
        Meta(ge=1024, le=256 * 1024 * 1024, description="Largest answer that is given whole (Lambda: 6 MB + 100)."),
    ] = MAX_RESPONSE_BYTES
    max_stream_bytes: Annotated[
        int, Meta(ge=1024, le=2**40, description="Largest answer that is streamed, in all (Lambda: 200 MB).")
    ] = MAX_STREAM_BYTES
    event_concurrency: Annotated[
        int, Meta(ge=1, le=1000, description="Asynchronous events of one function that a worker runs at once.")
    ] = 16
    kept_events: Annotated[
        int, Meta(ge=0, le=10_000_000, description="Events that succeeded, kept for each function.")
    ] = 1000
    kept_failed_events: Annotated[
        int, Meta(ge=1, le=10_000_000, description="Events that failed for good, kept for each function.")
    ] = 10_000
    kept_event_mb: Annotated[
        int, Meta(ge=1, le=1_000_000, description="MB that either may take for each function; the oldest go first.")
    ] = 64
    event_retention_h: Annotated[int, Meta(ge=1, description="Hours an event that has ended is kept at most.")] = 336
    max_code_bytes: Annotated[int, Meta(ge=1024, description="Largest code package, unpacked (Lambda: 250 MB).")] = (
        250 * 1024 * 1024
    )
    max_upload_bytes: Annotated[int, Meta(ge=1024, description="Largest code package, packed (Lambda: 50 MB).")] = (
        50 * 1024 * 1024
    )
    reading_retention_h: Annotated[
        int,
        Meta(
            ge=1,
            description="Hours single meter readings are kept; the roll-ups by hour and day stay longer.",
        ),
    ] = 168
    log_file_bytes: Annotated[int, Meta(ge=65536, description="Size at which a function's log file is rotated.")] = (
        16 * 1024 * 1024
    )
    log_files: Annotated[int, Meta(ge=2, le=1000, description="Log files kept per function.")] = 8
    base_image: Annotated[
        str,
        Meta(description="Image the runtime images are built from; empty takes the public slim image of each runtime."),
    ] = ""
    s3_url: Annotated[
        str,
        Meta(
            pattern=r"^$|^https?://[^:@/]+:[^:@/]+@[^@/]+/?$",
            description="An external S3 (http://KEY:SECRET@HOST:PORT); empty runs one, when it is first needed.",
        ),
    ] = ""
    s3_start: Annotated[
        Literal["on_demand", "always"],
        Meta(description="Whether the S3 server is started with the first bucket or upload trigger, or at once."),
    ] = "on_demand"
    s3_port: Annotated[
        int, Meta(ge=0, le=65535, description="Port of the S3 server on loopback; 0 picks a free one and keeps it.")
    ] = 0
    upload_folders: Annotated[
        str,
        Meta(
            pattern=r"^$|^[a-z0-9.-]{3,63}=[^,=]+(,[a-z0-9.-]{3,63}=[^,=]+)*$",
            description="Folders watched as buckets: BUCKET=FOLDER, and more of them after commas.",
        ),
    ] = ""
    s3_memory_mb: Annotated[
        int, Meta(ge=64, description="Memory above which the S3 server collects garbage rather than grow.")
    ] = 384
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="What Samovar's own processes say.")
    ] = "info"

    @property
    def data(self) -> Path:
        """The data directory as an absolute path."""
        return Path(self.data_dir).expanduser().absolute()

    @property
    def code_dir(self) -> Path:
        """Unpacked code, one read-only folder a package, named by its SHA-256."""
        return self.data / "code"

    @property
    def logs_dir(self) -> Path:
        """Log files, one folder a function."""
        return self.data / "logs"

    @property
    def secrets_key(self) -> Path:
        """The key that encrypts secrets in the store; the one for functions' sessions is derived from it."""
        return self.data / "secrets.key"

    @property
    def journal_dir(self) -> Path:
        """Meter readings on their way to Redis."""
        return self.data / "journal"

    @property
    def s3_dir(self) -> Path:
        """What the S3 server keeps: objects, their metadata, its ports."""
        return self.data / "s3"

    @property
    def run_dir(self) -> Path:
        """Sockets and pid files. Outside the data directory when that path is too long for a unix socket."""
        inside = self.data / "run"
        if len(os.fsencode(inside)) + len(_LONGEST_SOCKET_NAME) <= _MAX_SOCKET_PATH:
            return inside
        digest = format(abs(hash_path(self.data)), "x")
        return Path("/tmp") / f"samovar-{digest}"  # noqa: S108 - the supervisor creates it with mode 0711

    @property
    def invoker_socket(self) -> Path:
        """Where the invoker listens for gateways."""
        return self.run_dir / "invoker.sock"

    @property
    def store_url(self) -> str:
        """The Redis every process uses: the external one, or the embedded one's unix socket."""
        return self.redis_url or f"unix://{self.run_dir / 'store.sock'}"

    def environment(self) -> dict[str, str]:
        """These settings as environment variables, for the processes the supervisor starts."""
        return {f"{PREFIX}{name.upper()}": str(getattr(self, name)) for name in self.__struct_fields__}


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own, which no other machine reaches."""
    return host in ("::1", "localhost") or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


def hash_path(path: Path) -> int:
    """A number that is the same in every process for the same path (`hash()` is not)."""
    import zlib

    return zlib.crc32(os.fsencode(path))


def load(
    environ: Mapping[str, str],
    flags: Mapping[str, Any] | None = None,
    config_file: Path | None = None,
) -> Settings:
    """Settings from defaults < TOML file < environment < flags; flags that are `None` were not given.

    The file is `config_file`, else `SAMOVAR_CONFIG`, else `<data_dir>/samovar.toml` if it exists.
    Raises `SettingError` naming the setting, its value and what is allowed.
    """
    known = Settings.__struct_fields__
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    variables: dict[str, Any] = {}
    for name, text in environ.items():
        if name.startswith(PREFIX):
            field = name.removeprefix(PREFIX).lower()
            if field in known:
                variables[field] = text
    data_dir = given.get("data_dir") or variables.get("data_dir") or Settings().data_dir
    values: dict[str, Any] = {
        **_read_file(environ, config_file, Path(data_dir).expanduser()),
        **variables,
        **given,
    }
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise SettingError(unknown[0], values[unknown[0]], f"no such setting; there are {', '.join(known)}")
    for name, value in values.items():
        _check(name, value)
    settings = msgspec.convert(values, Settings, strict=False)
    if settings.keep_alive_min_s > settings.keep_alive_max_s:
        allowed = f"at most keep_alive_max_s, which is {settings.keep_alive_max_s:g}"
        raise SettingError("keep_alive_min_s", settings.keep_alive_min_s, allowed)
    if settings.auth == "none" and not is_loopback(settings.host):
        raise SettingError(
            "auth", "none", f"only where nobody else can call; host is {settings.host}, no loopback address"
        )
    return settings


def _read_file(environ: Mapping[str, str], given: Path | None, data_dir: Path) -> dict[str, Any]:
    named = given or (Path(environ[f"{PREFIX}CONFIG"]) if environ.get(f"{PREFIX}CONFIG") else None)
    path = named or data_dir / "samovar.toml"
    if named is None and not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise StartRefused(f"settings file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StartRefused(f"settings file {path} is not valid TOML: {error}") from error


def _check(name: str, value: object) -> None:
    """Convert one value alone, so that the error can name the setting and what it takes."""
    try:
        msgspec.convert(value, _types()[name], strict=False)
    except msgspec.ValidationError as error:
        raise SettingError(name, value, allowed_values(name)) from error


@cache
def _types() -> dict[str, Any]:
    return get_type_hints(Settings, include_extras=True)


def describe(name: str) -> str:
    """The one sentence that says what a setting does."""
    return _meta(name).description or ""


def _meta(name: str) -> Meta:
    return next((item for item in get_args(_types()[name])[1:] if isinstance(item, Meta)), Meta())


def allowed_values(name: str) -> str:
    """What a setting takes, in words: for errors and for the reference."""
    base = get_args(_types()[name])[0]
    meta = _meta(name)
    if get_origin(base) is Literal:
        return "one of " + ", ".join(map(str, get_args(base)))
    parts = [{int: "a whole number", float: "a number", str: "text"}[base]]
    if meta.gt is not None:
        parts.append(f"above {meta.gt}")
    if meta.ge is not None:
        parts.append(f"from {meta.ge}")
    if meta.le is not None:
        parts.append(f"to {meta.le}")
    if meta.pattern is not None:
        parts.append(f"matching {meta.pattern}")
    return " ".join(parts)
