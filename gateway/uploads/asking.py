"""What a request to S3 asks for: the bucket, the key and the operation, and what a key needs for it. Pure.

Amazon S3 API reference, "Actions" (methods and subresources) and "Virtual hosting of buckets".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import parse_qs, unquote

from gateway.access.operations import Operation
from samovar.access.roles import Permission

PREFIX: Final = b"/uploads"
"""Where Samovar's own interface has buckets. S3's clients have them at the root."""
BUCKET: Final = re.compile(r"(?!xn--|.*-s3alias$|.*\.\.)(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
"""Amazon S3 user guide, "Bucket naming rules"."""
_SCOPES: Final = (b"/s3/aws4_request", b"%2Fs3%2Faws4_request")
_VIRTUAL_HOST: Final = re.compile(r"(?P<bucket>.+?)(\.s3)?(\.[a-z]{2}(-[a-z]+)+-\d)?\.localhost(:\d+)?")
_SIGNING: Final = re.compile(
    rb"X-Amz-(Algorithm|Credential|Date|Expires|SignedHeaders|Signature|Security-Token)|AWSAccessKeyId|Signature|Expires"
)

READS: Final = Operation("s3", "GetObject", "read")
"""What copying an object needs for the one that is copied."""
_OBJECT: Final[dict[str, tuple[str, Permission]]] = {
    "GET": ("GetObject", "read"),
    "HEAD": ("GetObject", "read"),
    "PUT": ("PutObject", "invoke"),
    "POST": ("PutObject", "invoke"),
    "DELETE": ("DeleteObject", "invoke"),
}
_OF_BUCKET: Final[dict[str, tuple[str, Permission]]] = {
    "GET": ("ListBucket", "read"),
    "HEAD": ("ListBucket", "read"),
    "PUT": ("CreateBucket", "deploy"),
    "DELETE": ("DeleteBucket", "deploy"),
}

_PARTS: Final = frozenset({"tagging", "acl", "retention", "legal-hold", "torrent", "attributes"})
"""What of an object can be asked for by itself."""
_CONFIGURATIONS: Final = frozenset(
    {"accelerate", "acl", "analytics", "cors", "encryption", "intelligent-tiering", "inventory", "lifecycle", "logging"}
    | {"metrics", "object-lock", "ownershipControls", "policy", "policyStatus", "publicAccessBlock", "replication"}
    | {"requestPayment", "tagging", "versioning", "website"}
)
"""What of a bucket is set by itself."""


class Asked(NamedTuple):
    """What a request asks of which bucket and object."""

    operation: Operation
    bucket: str
    """Empty for what concerns all of them."""
    key: str
    """Decoded; empty for what concerns a bucket."""
    target: bytes
    """Path and query as an S3 server at the root of its host takes them, without a signature."""
    event: str = ""
    """What the operation makes of the object, in the words of notices; empty for what changes none."""

    @property
    def resource(self) -> str:
        """As S3's errors name it."""
        return f"/{self.bucket}/{self.key}".rstrip("/") or "/"


def is_signed_for_s3(headers: Mapping[bytes, bytes], query: bytes) -> bool:
    """Whether a request bears a signature that was made for S3, of either version."""
    given = headers.get(b"authorization", b"")
    return (
        _SCOPES[0] in given
        or given.startswith(b"AWS ")
        or any(scope in query for scope in _SCOPES)
        or (b"AWSAccessKeyId=" in query and b"Signature=" in query)
    )


def is_below_prefix(path: bytes) -> bool:
    """Whether a path is that of Samovar's own interface for uploads."""
    return path == PREFIX or path.startswith(PREFIX + b"/")


def of(method: str, path: bytes, query: bytes, headers: Mapping[bytes, bytes]) -> Asked:
    """What is asked for. `path` is as it was sent, less `PREFIX` where it had that."""
    virtual = _VIRTUAL_HOST.fullmatch(headers.get(b"host", b"").decode("latin-1").lower())
    if virtual is not None:
        path = b"/" + virtual["bucket"].encode() + path
    raw_bucket, _, raw_key = path.lstrip(b"/").partition(b"/")
    bucket, key = _decoded(raw_bucket), _decoded(raw_key)
    target = b"/" + path.lstrip(b"/")
    kept = b"&".join(part for part in query.split(b"&") if not _SIGNING.fullmatch(part.partition(b"=")[0]))
    operation, event = _operation(method, bucket, key, query, headers)
    return Asked(operation, bucket, key, target + (b"?" + kept if kept else b""), event)


def _operation(
    method: str, bucket: str, key: str, query: bytes, headers: Mapping[bytes, bytes]
) -> tuple[Operation, str]:
    given = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    if not bucket:
        return _named("ListAllMyBuckets", "read"), ""
    if not key:
        return _on_bucket(method, given, headers), ""
    name, needs = _OBJECT.get(method, (method, "deploy"))
    part = next(iter(given.keys() & _PARTS), None)
    if part is not None:
        return _named(f"{name}{part.title().replace('-', '')}", needs), ""
    if method == "POST" and "uploadId" in given:
        return _named(name, needs), "ObjectCreated:CompleteMultipartUpload"
    if method == "POST" or "uploadId" in given or "partNumber" in given:
        return _named(name, needs), ""
    if method == "PUT":
        return _named(name, needs), f"ObjectCreated:{'Copy' if b'x-amz-copy-source' in headers else 'Put'}"
    return _named(name, needs), "ObjectRemoved:Delete" if method == "DELETE" else ""


def _on_bucket(method: str, given: Mapping[str, list[str]], headers: Mapping[bytes, bytes]) -> Operation:
    if "notification" in given:
        return _named(
            f"{'Put' if method == 'PUT' else 'Get'}BucketNotification", "deploy" if method == "PUT" else "read"
        )
    if method == "POST" and "delete" in given:
        return _named("DeleteObjects", "invoke")
    if method == "POST" and headers.get(b"content-type", b"").startswith(b"multipart/form-data"):
        return _named("PostObject", "invoke")
    if given.keys() & _CONFIGURATIONS and method in ("GET", "PUT", "DELETE"):
        return _named(f"{method.title()}BucketConfiguration", "read" if method == "GET" else "deploy")
    name, needs = _OF_BUCKET.get(method, (method, "deploy"))
    return _named(name, needs)


def _named(name: str, needs: Permission) -> Operation:
    return Operation("s3", name, needs)


def _decoded(raw: bytes) -> str:
    return unquote(raw.decode("latin-1"), errors="replace")
