"""Signed calls: their headers are made once and sent with every request, as one signature holds for five minutes."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from samovar.sigv4 import Credentials, Signed, sign


def signature(url: str, body: bytes, key: Credentials) -> dict[str, str]:
    """The headers that sign a POST."""
    parts = urlsplit(url)
    signed = Signed("POST", parts.path.encode() or b"/", parts.query.encode(), {b"host": parts.netloc.encode()})
    return sign(signed, body, key, time.time())
