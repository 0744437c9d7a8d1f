"""Secrets as they are stored: encrypted with a key that lies in the data directory, not in the store.

AES-256-GCM (NIST SP 800-38D), each secret with a random nonce and bound to the id of its key, so that one secret
cannot be put in another's place.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Final

from samovar.access.credentials import create_private
from samovar.errors import ServiceFailure

_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32


class Vault:
    """Seals and opens secrets. Its key is made when it is first needed, as is the memory the cipher takes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._key = b""

    def seal(self, key_id: str, secret: str) -> str:
        """A secret as it may be stored. Raises `ServiceFailure` when the vault's key cannot be had."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # 7 MiB that most platforms never need

        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(self._own_key(create=True)).encrypt(nonce, secret.encode(), key_id.encode())
        return b64encode(nonce + sealed).decode()

    def open(self, key_id: str, sealed: str) -> str:
        """The secret again. Raises `ServiceFailure` when it was sealed with another key, or changed."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            raw = b64decode(sealed)
            cipher = AESGCM(self._own_key(create=False))
            return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], key_id.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise ServiceFailure(f"the secret of access key {key_id} cannot be read with {self._path}") from error

    def _own_key(self, *, create: bool) -> bytes:
        if not self._key:
            try:
                if create and not self._path.exists():
                    create_private(self._path, os.urandom(_KEY_BYTES))
                self._key = self._path.read_bytes()
            except OSError as error:
                raise ServiceFailure(f"the key of all secrets, {self._path}: {error.strerror}") from error
        return self._key
