"""The file with the root access key, in AWS's format, and how a client finds the key to sign with.

AWS SDKs and Tools reference, "Shared config and credentials files".
"""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigError
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from samovar.access.roles import KEY_ID, SECRET, new_key_id, new_secret
from samovar.access.sigv4 import Credentials
from samovar.errors import StartRefused
from samovar.settings import PREFIX, Settings, is_loopback

PROFILE: Final = "samovar"
KEY_ID_VARIABLE: Final = "SAMOVAR_ACCESS_KEY_ID"
SECRET_VARIABLE: Final = "SAMOVAR_SECRET_ACCESS_KEY"  # noqa: S105 - a name
_log = logging.getLogger("samovar.up")
_HEAD: Final = "# The root access key of this Samovar. To replace it, delete this file and restart.\n"


def path_of(settings: Settings) -> Path:
    """Where a platform keeps its root key."""
    return settings.data / "credentials"


def ensure(settings: Settings) -> Credentials:
    """The root key, made on the first start.

    Raises `StartRefused` when the file cannot be written or read, others may read it, or there is no key in it.
    """
    path = path_of(settings)
    try:
        if not path.exists():
            create_private(path, _written(Credentials(new_key_id(), new_secret(), settings.region)))
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise StartRefused(f"others may read the root access key in {path}; `chmod 600 {path}`")
        found = read(path)
    except OSError as error:
        raise StartRefused(f"the root access key in {path} cannot be used: {error.strerror}") from error
    if found is None or not KEY_ID.fullmatch(found.key_id) or not SECRET.fullmatch(found.secret):
        raise StartRefused(f"{path} has no usable access key in profile [{PROFILE}]; delete it to have a new one made")
    return found


def read(path: Path, profile: str = PROFILE) -> Credentials | None:
    """The key of a profile; `None` without the file, or without a whole key in it. Raises `OSError`."""
    parser = ConfigParser(interpolation=None)
    try:
        with path.open() as file:
            parser.read_file(file)
    except (FileNotFoundError, NotADirectoryError, ConfigError, UnicodeDecodeError):
        return None
    if not parser.has_section(profile):
        return None
    section = parser[profile]
    key_id, secret = section.get("aws_access_key_id", ""), section.get("aws_secret_access_key", "")
    return Credentials(key_id, secret, section.get("region", "us-east-1")) if key_id and secret else None


def find(endpoint: str, environ: Mapping[str, str]) -> Credentials | None:
    """The key to sign requests to an endpoint with, or `None` where there is none to be found.

    The first of these that there is: the variables `SAMOVAR_ACCESS_KEY_ID` and `SAMOVAR_SECRET_ACCESS_KEY`; for a
    platform of this machine, its own root key; the profile `samovar` of AWS's credentials file; the variables
    `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
    """
    given = _of_variables(environ, KEY_ID_VARIABLE, SECRET_VARIABLE)
    if given is not None:
        return given
    for path in _files(endpoint, environ):
        try:
            found = read(path)
        except OSError:
            continue  # somebody else's
        if found is not None:
            return found
    return _of_variables(environ, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@contextlib.contextmanager
def noted(settings: Settings) -> Iterator[None]:
    """Note, for the length of a block, where the platform on this port keeps its key: the command line finds it so."""
    place, said = _note(settings.port, os.environ), str(path_of(settings))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(said)
    except OSError as error:  # then it is told by SAMOVAR_DATA_DIR
        _log.warning("the command line will not find the key by itself: %s", error)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # it may be another platform's by now
            if place.read_text() == said:
                place.unlink()


def _files(endpoint: str, environ: Mapping[str, str]) -> Iterator[Path]:
    parts = urlsplit(endpoint)
    if is_loopback(parts.hostname or ""):
        said_which = environ.get(f"{PREFIX}DATA_DIR")
        if said_which:
            yield path_of(Settings(data_dir=said_which))
        note = _note(parts.port or 80, environ)
        if note.is_file():
            yield Path(note.read_text())
        yield path_of(Settings())
    yield Path(environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser()


def _note(port: int, environ: Mapping[str, str]) -> Path:
    """XDG Base Directory specification: what should outlive a restart, but is of no use elsewhere."""
    return Path(environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "samovar" / "endpoints" / str(port)


def _of_variables(environ: Mapping[str, str], key_id: str, secret: str) -> Credentials | None:
    if not environ.get(key_id) or not environ.get(secret):
        return None
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or Settings().region
    return Credentials(environ[key_id], environ[secret], region)


def _written(key: Credentials) -> bytes:
    lines = {"aws_access_key_id": key.key_id, "aws_secret_access_key": key.secret, "region": key.region}
    return (_HEAD + f"[{PROFILE}]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items())).encode()


def create_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole. Of several processes that try at once, the first one wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # of mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        os.unlink(name)
