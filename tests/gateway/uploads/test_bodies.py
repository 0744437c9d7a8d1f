"""Signed bodies on their way through: chunks that are verified and lose their signatures, forms and their policies."""

from __future__ import annotations

import base64
import hmac
import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.uploads.chunked import MAX_CHUNK_BYTES, Transcoder
from gateway.uploads.form import check_policy
from gateway.uploads.refusals import EntityTooLarge, EntityTooSmall, IncompleteBody, PolicyViolated
from samovar.access.sigv4 import EMPTY_SHA256, Claim, signing_key
from samovar.errors import InvalidSignature

CLAIM = Claim("AK", "20261123", "us-east-1", "s3", "host", "f" * 64, "20261123T120000Z", None)
KEY = signing_key("secret", CLAIM.date, CLAIM.region, CLAIM.service)


def sign(text: str) -> str:
    return hmac.digest(KEY, text.encode(), "sha256").hex()


def signed(chunks: list[bytes], trailers: bytes = b"", *, sign_trailers: bool = True) -> bytes:
    """A body as SDKs write it (S3 API reference, "Transferring payload in multiple chunks")."""
    before, made = CLAIM.signature, b""
    for chunk in (*chunks, b""):
        where = f"{CLAIM.timestamp}\n{CLAIM.scope}\n{before}"
        before = sign(f"AWS4-HMAC-SHA256-PAYLOAD\n{where}\n{EMPTY_SHA256}\n{sha256(chunk).hexdigest()}")
        made += f"{len(chunk):x};chunk-signature={before}\r\n".encode()
        made += chunk + b"\r\n" if chunk else b""
    if trailers:
        hashed = sha256(trailers.replace(b"\r\n", b"\n")).hexdigest()
        made += trailers
        if sign_trailers:
            signature = sign(f"AWS4-HMAC-SHA256-TRAILER\n{CLAIM.timestamp}\n{CLAIM.scope}\n{before}\n{hashed}")
            made += f"x-amz-trailer-signature:{signature}\r\n".encode()
    return made + b"\r\n"


def sent_on(body: bytes, pieces: int = 1) -> bytes:
    transcoder = Transcoder(CLAIM, KEY)
    size = max(len(body) // pieces, 1)
    made = b"".join(part for at in range(0, len(body), size) for part in transcoder.feed(body[at : at + size]))
    return made + b"".join(transcoder.finish())


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=4), st.integers(1, 40), st.booleans())
def test_chunks_lose_their_signatures_however_they_arrive(chunks: list[bytes], pieces: int, trailing: bool) -> None:
    trailers = b"x-amz-checksum-crc32:AAAAAA==\r\n" if trailing else b""
    expected = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailers + b"\r\n"
    assert sent_on(signed(chunks, trailers), pieces) == expected


@pytest.mark.parametrize(
    "body",
    [
        signed([b"hello"]).replace(b"hello", b"jello"),
        signed([b"a", b"b"]).replace(b"\r\na\r\n", b"\r\nb\r\n"),
        signed([b"a"], b"x-amz-checksum-crc32:AAAAAA==\r\n").replace(b"AAAAAA", b"BBBBBB"),
        signed([b"a"], b"x-amz-checksum-crc32:AAAAAA==\r\n", sign_trailers=False),
    ],
)
def test_what_was_not_signed_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidSignature):
        sent_on(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        signed([b"hello"])[:-40],
        signed([b"hello"]).replace(b"hello\r\n", b"hello!!"),
        b"%x;chunk-signature=0\r\n" % (MAX_CHUNK_BYTES + 1),
        b"x" * 20_000,
    ],
)
def test_what_is_no_such_body_is_incomplete(body: bytes) -> None:
    with pytest.raises((IncompleteBody, InvalidSignature)):
        sent_on(body)


def policy(conditions: list[Any], expiration: str = "2030-01-01T00:00:00.000Z") -> str:
    return base64.b64encode(json.dumps({"expiration": expiration, "conditions": conditions}).encode()).decode()


NOW = 1_795_446_779.0
FIELDS = {"bucket": "photos", "key": "in/a.jpg", "content-type": "image/jpeg"}
FINE = [{"bucket": "photos"}, ["starts-with", "$key", "in/"], ["eq", "$Content-Type", "image/jpeg"]]


def test_a_form_that_its_policy_allows_is_taken() -> None:
    check_policy(policy([*FINE, ["content-length-range", 1, 10]]), FIELDS, 10, NOW)
    check_policy(policy(FINE), FIELDS | {"x-ignore-me": "1", "x-amz-signature": "0"}, 10, NOW)


@pytest.mark.parametrize(
    ("text", "fields", "size", "error"),
    [
        (policy(FINE), FIELDS | {"key": "out/a.jpg"}, 1, PolicyViolated),
        (policy(FINE), FIELDS | {"bucket": "others"}, 1, PolicyViolated),
        (policy(FINE), FIELDS | {"acl": "public-read"}, 1, PolicyViolated),
        (policy(FINE, "2020-01-01T00:00:00Z"), FIELDS, 1, PolicyViolated),
        (policy([*FINE, ["content-length-range", 1, 10]]), FIELDS, 11, EntityTooLarge),
        (policy([*FINE, ["content-length-range", 1, 10]]), FIELDS, 0, EntityTooSmall),
        (policy([*FINE, ["ends-with", "$key", "jpg"]]), FIELDS, 1, PolicyViolated),
        (policy([*FINE, "nonsense"]), FIELDS, 1, PolicyViolated),
        ("no policy", FIELDS, 1, PolicyViolated),
        (base64.b64encode(b"[]").decode(), FIELDS, 1, PolicyViolated),
    ],
)
def test_a_form_that_its_policy_does_not_allow_is_refused(
    text: str, fields: dict[str, str], size: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        check_policy(text, fields, size, NOW)
