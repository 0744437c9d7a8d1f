"""The credentials inside environments: an access key, its secret and a session token that tells whose they are.

An invoker makes them, one set for each environment; a gateway verifies them without looking anything up: the token is
what it says, with an HMAC over it, and the secret is derived from the token. Both know the key for that, which is
derived from the one that lies in the data directory (`DATA/secrets.key`). A token says which function it is for;
whether that is still there, and what its role may do, is the gateway's to know.
"""

from __future__ import annotations

import binascii
import hmac
import os
import secrets
import string
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from samovar.access.credentials import create_private
from samovar.function import FunctionVersion

MASTER_BYTES: Final = 32
MAX_TOKEN: Final = 2048
"""Characters; ours have about 250."""
_HMAC_BYTES: Final = 32
_ID_ALPHABET: Final = string.ascii_uppercase + "234567"
_PURPOSE: Final = b"samovar: sessions of functions, 1"


class Session(msgspec.Struct, frozen=True, array_like=True):
    """Whom credentials are for."""

    key_id: str
    region: str
    function: str
    version: str
    born: int
    """See `FunctionVersion.born`."""


class Credentials(NamedTuple):
    """What a worker finds in its variables."""

    key_id: str
    secret: str
    token: str

    def variables(self) -> dict[str, str]:
        """As AWS SDKs look for them."""
        return {
            "AWS_ACCESS_KEY_ID": self.key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_SESSION_TOKEN": self.token,
        }


def key_of(path: Path) -> bytes:
    """The key for tokens, derived from the one in a file, which is made where there is none. Raises `OSError`."""
    if not path.exists():
        create_private(path, os.urandom(MASTER_BYTES))
    return hmac.digest(path.read_bytes(), _PURPOSE, "sha256")


def issue(key: bytes, version: FunctionVersion) -> Credentials:
    """New credentials for a worker of a version."""
    key_id = "ASIA" + "".join(secrets.choice(_ID_ALPHABET) for _ in range(16))
    said = msgspec.json.encode(Session(key_id, version.region, version.name, version.version, version.born))
    token = urlsafe_b64encode(_seal(key, said) + said).decode()
    return Credentials(key_id, _secret(key, said), token)


def verified(key: bytes, token: str) -> tuple[Session, str] | None:
    """What a token says, and the secret that belongs to it; `None` when it is none of ours."""
    if len(token) > MAX_TOKEN:
        return None
    try:
        raw = urlsafe_b64decode(token)
        seal, said = raw[:_HMAC_BYTES], raw[_HMAC_BYTES:]
        if not hmac.compare_digest(seal, _seal(key, said)):
            return None
        return msgspec.json.decode(said, type=Session), _secret(key, said)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return None


def _seal(key: bytes, said: bytes) -> bytes:
    return hmac.digest(key, b"token:" + said, "sha256")


def _secret(key: bytes, said: bytes) -> str:
    """40 characters, as AWS's."""
    return b64encode(hmac.digest(key, b"secret:" + said, "sha256")[:30]).decode()
