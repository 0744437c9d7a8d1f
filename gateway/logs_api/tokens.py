"""The tokens that continue a listing: opaque to callers, and good only for the request they came from."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any, TypeVar

import msgspec

from samovar.errors import InvalidParameter

T = TypeVar("T")


def issue(request: msgspec.Struct, place: Any) -> str:
    """A token for what follows `place` in the answer to this request."""
    return base64.urlsafe_b64encode(msgspec.json.encode([_fingerprint(request), place])).decode()


def redeem(token: str, request: msgspec.Struct, kind: type[T]) -> T:
    """The place a token stands for. Raises `InvalidParameter` for one that was not issued for a request like this."""
    try:
        fingerprint, place = msgspec.json.decode(base64.urlsafe_b64decode(token), type=tuple[str, Any])
        found = msgspec.convert(place, kind)
    except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
        raise invalid() from error
    if fingerprint != _fingerprint(request):
        raise invalid()
    return found


def invalid() -> InvalidParameter:
    """The error for a token nobody issued."""
    return InvalidParameter("The specified nextToken is invalid.")


def _fingerprint(request: msgspec.Struct) -> str:
    """Of everything in the request but its token and the size of a page."""
    members = msgspec.to_builtins(request)
    for name in ("nextToken", "limit"):
        members.pop(name, None)
    return hashlib.sha256(msgspec.json.encode(members, order="sorted")).hexdigest()[:16]
