"""Signed calls: their headers are made once and sent with every request, as one signature holds for five minutes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from samovar.access.sigv4 import Credentials, Signed, sign


def signature(
    url: str, body: bytes, key: Credentials, headers: Mapping[str, str] | None = None, service: str = "lambda"
) -> dict[str, str]:
    """The headers that sign a POST to a service; `headers` are signed with it."""
    parts = urlsplit(url)
    given = {b"host": parts.netloc.encode()}
    given |= {name.encode(): value.encode() for name, value in (headers or {}).items()}
    signed = Signed("POST", parts.path.encode() or b"/", parts.query.encode(), given)
    return sign(signed, body, key, time.time(), service)
