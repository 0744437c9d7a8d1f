"""Bodies signed in chunks, with the worked example of Amazon's own documentation as the other half."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.access import aws_chunked
from samovar.access.aws_chunked import SIGNED, UNSIGNED, decode
from samovar.access.sigv4 import Claim, signing_key
from samovar.errors import InvalidRequestContent, InvalidSignature

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEY = signing_key(SECRET, "20130524", "us-east-1", "s3")
SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
CLAIM = Claim("AKIAIOSFODNN7EXAMPLE", "20130524", "us-east-1", "s3", "host", SEED, "20130524T000000Z", None)
FIRST, SECOND, LAST = (
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
)


def chunk(data: bytes, signature: str) -> bytes:
    return b"%x;chunk-signature=%s\r\n%s\r\n" % (len(data), signature.encode(), data)


EXAMPLE = chunk(b"a" * 65536, FIRST) + chunk(b"a" * 1024, SECOND) + chunk(b"", LAST)


def test_the_documented_example_is_verified() -> None:
    assert decode(EXAMPLE, CLAIM, KEY, SIGNED) == b"a" * 66560


@pytest.mark.parametrize(
    "changed",
    [
        EXAMPLE.replace(b"aaa\r\n400", b"aab\r\n400"),
        EXAMPLE.replace(FIRST.encode(), SECOND.encode()),
        chunk(b"a" * 1024, SECOND) + chunk(b"a" * 65536, FIRST) + chunk(b"", LAST),
        chunk(b"a" * 65536, FIRST) + chunk(b"", LAST),
        chunk(b"a" * 65536, ""),
    ],
    ids=["a byte", "a signature", "another order", "one left out", "none"],
)
def test_chunks_that_were_not_signed_so_are_refused(changed: bytes) -> None:
    with pytest.raises(InvalidSignature):
        decode(changed, CLAIM, KEY, SIGNED)


@pytest.mark.parametrize("cut", [0, 10, 90, 1000, 66000, len(EXAMPLE) - 100])
def test_a_body_without_its_end_is_refused(cut: int) -> None:
    with pytest.raises((InvalidRequestContent, InvalidSignature)):
        decode(EXAMPLE[:cut], CLAIM, KEY, SIGNED)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5))
def test_chunks_without_signatures_are_put_together(parts: list[bytes]) -> None:
    body = (
        b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
    )
    assert decode(body, CLAIM, KEY, UNSIGNED) == b"".join(parts)


@given(st.binary(max_size=300))
def test_anything_else_is_refused(body: bytes) -> None:
    for stated in aws_chunked.STATED:
        try:
            decode(body, CLAIM, KEY, stated)
        except (InvalidRequestContent, InvalidSignature):
            continue
        assert stated == UNSIGNED
