"""Cross-origin rules: what browsers are told about who else may call."""

from __future__ import annotations

import msgspec


class Cors(msgspec.Struct, frozen=True, kw_only=True):
    """Cross-origin rules of a function URL or of an HTTP API, as AWS has them."""

    allow_credentials: bool = False
    allow_headers: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: int = 0
