"""Headers on their way through the gateway: which the S3 server is to see, and which its client."""

from __future__ import annotations

from typing import Final

import httpcore

from gateway.http.asgi import Request

Headers = list[tuple[bytes, bytes]]

_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect"}
)
_OURS: Final = _HOP | {b"host", b"authorization", b"date", b"x-amz-date", b"x-amz-security-token", b"content-length"}
_SET_ANEW: Final = frozenset({b"x-amz-content-sha256"})
_NOT_SENT_BACK: Final = _HOP | {b"date", b"server"}


def passed_on(request: Request) -> Headers:
    """What the server is to see of a request's headers, less those that say how long its body is."""
    return [(name, value) for name, value in request.scope["headers"] if name not in _OURS and name not in _SET_ANEW]


def sent_back(answer: httpcore.Response) -> Headers:
    """What a client is to see of the server's headers, the length of the body among them."""
    return [(name.lower(), value) for name, value in answer.headers if name.lower() not in _NOT_SENT_BACK]
