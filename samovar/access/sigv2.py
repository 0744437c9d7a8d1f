"""AWS Signature Version 2 as S3 still takes it in queries and forms: what boto3 presigns with unless it is told not to.

Amazon S3 user guide, "Signing and authenticating REST requests (AWS signature version 2)". No I/O.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from samovar.access.sigv4 import MISMATCH, NotValidNow, Signed
from samovar.errors import IncompleteSignature, InvalidSignature

_SUBRESOURCES: Final = frozenset(
    {"acl", "cors", "delete", "lifecycle", "location", "logging", "notification", "partNumber", "policy"}
    | {"requestPayment", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website"}
    | {f"response-{name}" for name in ("content-type", "content-language", "expires", "cache-control")}
    | {f"response-{name}" for name in ("content-disposition", "content-encoding")}
)
"""The parameters that are part of what is signed."""


class QueryClaim(NamedTuple):
    """What a query says of its signature. Nothing of it is verified."""

    key_id: str
    signature: str
    expires: int
    """Epoch seconds."""


def claim_of(query: bytes) -> QueryClaim | None:
    """The signature in a query; `None` when there is none of this version. Raises `IncompleteSignature`."""
    if b"AWSAccessKeyId=" not in query:
        return None
    given = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    if not given.get("Signature") or not given.get("Expires", "").isdecimal():
        raise IncompleteSignature(
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
        )
    return QueryClaim(given["AWSAccessKeyId"], given["Signature"], int(given["Expires"][:12]))


def check(claim: QueryClaim, request: Signed, secret_signs: bytes, now: float) -> None:
    """Raises `InvalidSignature` when the query came too late, or was signed otherwise.

    `secret_signs` is what the key makes of `text_of(claim, request)`, see `signature`.
    """
    if claim.expires < now:
        raise NotValidNow("Request has expired", is_link=True)
    if not hmac.compare_digest(secret_signs, claim.signature.encode("latin-1")):
        raise InvalidSignature(MISMATCH)


def text_of(claim: QueryClaim, request: Signed) -> bytes:
    """What is signed."""
    header = request.headers.get
    amz = sorted(name for name in request.headers if name.startswith(b"x-amz-") and name != b"x-amz-date")
    lines = [request.method.encode(), header(b"content-md5", b""), header(b"content-type", b"")]
    lines += [str(claim.expires).encode(), *(name + b":" + header(name, b"").strip() for name in amz)]
    # What names a whole bucket is signed with a slash at its end, whether the request has one or not.
    path = request.path + b"/" if request.path.rfind(b"/") == 0 and len(request.path) > 1 else request.path
    return b"\n".join([*lines, path + _subresources(request.query)])


def signature(secret: str, text: bytes) -> bytes:
    """What a key makes of a text."""
    return base64.b64encode(hmac.digest(secret.encode(), text, "sha1"))


def _subresources(query: bytes) -> bytes:
    given: Mapping[str, str] = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    kept = [f"{name}={value}" if value else name for name, value in sorted(given.items()) if name in _SUBRESOURCES]
    return f"?{'&'.join(kept)}".encode() if kept else b""
