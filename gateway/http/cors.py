"""Cross-origin rules of a function URL. No I/O happens here.

AWS Lambda API reference, "Cors", and developer guide, "Cross-origin resource sharing (CORS)": with rules in place
preflight requests are answered for the function, and the rules win over headers the function sets itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from gateway.http.rendering import Headers, Response
from samovar.cors import Cors


def is_preflight(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a browser asks for permission first (Fetch standard, "CORS-preflight request")."""
    return method == "OPTIONS" and b"origin" in headers and b"access-control-request-method" in headers


def preflight(cors: Cors, origin: bytes, request_id: str) -> Response:
    """The answer to a preflight request. An origin that is not allowed gets no permission, which is the refusal."""
    headers = [(b"x-amzn-requestid", request_id.encode()), *_origin_headers(cors, origin)]
    if _allowed(cors, origin):
        if cors.allow_methods:
            headers.append((b"access-control-allow-methods", ",".join(cors.allow_methods).encode()))
        if cors.allow_headers:
            headers.append((b"access-control-allow-headers", ",".join(cors.allow_headers).encode()))
        if cors.max_age:
            headers.append((b"access-control-max-age", b"%d" % cors.max_age))
    return Response(200, headers)


def apply(cors: Cors, origin: bytes | None, response: Response) -> Response:
    """A function's answer with the URL's rules in place of its own cross-origin headers."""
    headers = [header for header in response.headers if not header[0].startswith(b"access-control-")]
    if origin is not None:
        headers += _origin_headers(cors, origin)
        if cors.expose_headers and _allowed(cors, origin):
            headers.append((b"access-control-expose-headers", ",".join(cors.expose_headers).encode()))
    return replace(response, headers=headers)


def _allowed(cors: Cors, origin: bytes) -> bool:
    return "*" in cors.allow_origins or origin.decode("latin-1") in cors.allow_origins


def _origin_headers(cors: Cors, origin: bytes) -> Headers:
    vary = (b"vary", b"Origin")
    if not _allowed(cors, origin):
        return [vary]
    if cors.allow_credentials:  # a browser takes no wildcard together with credentials
        return [(b"access-control-allow-origin", origin), (b"access-control-allow-credentials", b"true"), vary]
    if "*" in cors.allow_origins:
        return [(b"access-control-allow-origin", b"*")]
    return [(b"access-control-allow-origin", origin), vary]
