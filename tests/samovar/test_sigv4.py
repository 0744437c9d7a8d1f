"""Signatures, with botocore's own signer as the other half."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import botocore.auth  # type: ignore[import-untyped]  # it ships no types
import pytest
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]  # as above
from botocore.credentials import Credentials as BotoCredentials  # type: ignore[import-untyped]  # as above
from hypothesis import given
from hypothesis import strategies as st

from samovar.access import sigv4
from samovar.access.sigv4 import Credentials, Signed, WrongScope
from samovar.errors import IncompleteSignature, InvalidSignature, MissingAuthenticationToken, SamovarError

KEY = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
HOST = "127.0.0.1:9000"
INVOKE = "/2015-03-31/functions/orders/invocations"

words = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12)
paths = st.lists(words.map(lambda text: quote(text, safe="~")), max_size=5).map(lambda parts: "/" + "/".join(parts))
queries = st.lists(st.tuples(words, words), max_size=4).map(
    lambda pairs: "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs if name)
)
values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=20).map(str.strip)
headers_given = st.dictionaries(st.from_regex(r"x-amz-[a-c]{1,4}", fullmatch=True), values.filter(bool), max_size=3)


def by_botocore(
    method: str = "POST",
    path: str = INVOKE,
    query: str = "",
    headers: dict[str, str] | None = None,
    body: bytes = b"{}",
    signer: Any = None,
) -> Signed:
    """A request as botocore signs it, as it arrives."""
    url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method=method, url=url, headers={"Host": HOST, **(headers or {})}, data=body)
    credentials = BotoCredentials(KEY.key_id, KEY.secret)
    (signer or botocore.auth.SigV4Auth)(credentials, "lambda", KEY.region).add_auth(request)
    arrived = {name.lower().encode(): str(value).encode() for name, value in request.headers.items()}
    target = request.url.removeprefix(f"http://{HOST}").encode()
    raw_path, _, raw_query = target.partition(b"?")
    return Signed(method, raw_path or b"/", raw_query, arrived)


def verify(request: Signed, body: bytes = b"{}", *, secret: str = KEY.secret, now: float | None = None) -> None:
    """Everything a gateway verifies."""
    claim = sigv4.claim_of(request)
    sigv4.check_scope(claim, ("lambda",))
    sigv4.check_time(claim, time.time() if now is None else now)
    key = sigv4.signing_key(secret, claim.date, claim.region, claim.service)
    unsigned = request.headers.get(b"x-amz-content-sha256") == sigv4.UNSIGNED_PAYLOAD.encode()
    payload = sigv4.UNSIGNED_PAYLOAD if unsigned else sha256(body).hexdigest()
    sigv4.check_signature(claim, request, key, payload)


def with_header(request: Signed, name: bytes, value: bytes) -> Signed:
    return request._replace(headers={**request.headers, name: value})


@given(st.sampled_from(["GET", "POST", "PUT", "DELETE"]), paths, queries, headers_given, st.binary(max_size=200))
def test_what_botocore_signs_is_verified(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    verify(by_botocore(method, path, query, headers, body), body)


@given(paths, queries)
def test_what_botocore_signs_in_a_query_is_verified(path: str, query: str) -> None:
    verify(by_botocore("GET", path, query, body=b"", signer=botocore.auth.SigV4QueryAuth), b"")


@given(paths, queries, headers_given, st.binary(max_size=200))
def test_our_own_signature_is_botocores(path: str, query: str, headers: dict[str, str], body: bytes) -> None:
    now = 1_795_430_000.0
    signed = Signed(
        "POST",
        path.encode(),
        query.encode(),
        {b"host": HOST.encode(), **{name.encode(): value.encode() for name, value in headers.items()}},
    )
    ours = sigv4.sign(signed, body, KEY, now)
    request = AWSRequest(
        method="POST", url=f"http://{HOST}{path}" + (f"?{query}" if query else ""), headers={"Host": HOST, **headers}
    )
    request.headers["X-Amz-Content-SHA256"] = sha256(body).hexdigest()
    signer = botocore.auth.SigV4Auth(BotoCredentials(KEY.key_id, KEY.secret), "lambda", KEY.region)
    request.context["timestamp"] = sigv4.compact(now)
    request.headers["X-Amz-Date"] = sigv4.compact(now)
    canonical = signer.canonical_request(request)
    assert ours["authorization"].rpartition("Signature=")[2] == signer.signature(
        signer.string_to_sign(request, canonical), request
    )


@pytest.mark.parametrize(
    "changed",
    [
        lambda request: request._replace(method="PUT"),
        lambda request: request._replace(path=INVOKE.replace("orders", "others").encode()),
        lambda request: request._replace(query=b"Qualifier=1"),
        lambda request: with_header(request, b"x-amz-date", sigv4.compact(time.time() - 60).encode()),
        lambda request: with_header(request, b"host", b"elsewhere:9000"),
        lambda request: with_header(request, b"x-amz-content-sha256", sha256(b"{}").hexdigest()[::-1].encode()),
    ],
)
def test_a_request_that_was_changed_is_refused(changed: Any) -> None:
    request = by_botocore()
    verify(request)
    with pytest.raises(InvalidSignature) as refused:
        verify(changed(request))
    assert refused.value.message in (sigv4.MISMATCH,) or "Date in Credential scope" in refused.value.message


def test_another_body_and_another_secret_are_refused() -> None:
    request = by_botocore()
    for body, secret in ((b"{ }", KEY.secret), (b"{}", KEY.secret[:-1])):
        with pytest.raises(InvalidSignature, match=r"^The request signature we calculated does not match"):
            verify(request, body, secret=secret)


def test_the_hash_a_caller_states_is_held_against_the_body() -> None:
    stated = by_botocore(headers={"X-Amz-Content-SHA256": sha256(b"{}").hexdigest()})
    verify(stated)
    with pytest.raises(InvalidSignature):
        verify(stated, b"[]")
    verify(by_botocore(headers={"X-Amz-Content-SHA256": sigv4.UNSIGNED_PAYLOAD}), b"anything")


def test_a_query_that_needs_no_encoding_is_verified_as_it_was_written() -> None:
    verify(by_botocore("GET", "/x", "b=a:b,c&a=1+2&a", body=b""), b"")


@pytest.mark.parametrize(
    ("ahead_s", "said"),
    [
        (299, None),
        (301, "Signature not yet current: {signed} is still later than {limit} ({now} + 5 min.)"),
        (-299, None),
        (-301, "Signature expired: {signed} is now earlier than {limit} ({now} - 5 min.)"),
    ],
)
def test_clocks_may_be_five_minutes_apart(ahead_s: int, said: str | None) -> None:
    request = by_botocore()
    signed = request.headers[b"x-amz-date"].decode()
    now = sigv4.epoch_of(signed) - ahead_s
    if said is None:
        verify(request, now=now)
        return
    with pytest.raises(InvalidSignature) as refused:
        verify(request, now=now)
    limit = sigv4.compact(now + (300 if ahead_s > 0 else -300))
    assert refused.value.message == said.format(signed=signed, limit=limit, now=sigv4.compact(now))


def test_a_query_holds_as_long_as_it_says() -> None:
    class Hour(botocore.auth.SigV4QueryAuth):  # type: ignore[misc]  # botocore has no types
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, expires=3600)

    request = by_botocore("GET", "/", body=b"", signer=Hour)
    signed_at = sigv4.epoch_of(sigv4.claim_of(request).timestamp)
    verify(request, b"", now=signed_at + 3600)
    with pytest.raises(InvalidSignature, match=r"^Signature expired: .* - 60 min\.\)$"):
        verify(request, b"", now=signed_at + 3601)
    with pytest.raises(InvalidSignature):
        verify(request._replace(query=request.query.replace(b"3600", b"7200")), b"", now=signed_at)


AUTHORIZATION = by_botocore().headers[b"authorization"].decode()
SIGNATURE = AUTHORIZATION.rpartition("Signature=")[2]


@pytest.mark.parametrize(
    ("authorization", "kind", "said"),
    [
        (None, MissingAuthenticationToken, "Missing Authentication Token"),
        (
            "Bearer abc",
            IncompleteSignature,
            "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' "
            "parameter. Authorization header requires 'SignedHeaders' parameter. Authorization=Bearer abc",
        ),
        (
            AUTHORIZATION.rpartition(", Signature")[0],
            IncompleteSignature,
            "Authorization header requires 'Signature' parameter. "
            f"Authorization={AUTHORIZATION.rpartition(', Signature')[0]}",
        ),
        (
            AUTHORIZATION.replace("Credential=", "Credential= "),
            IncompleteSignature,
            "not a valid key=value pair (missing equal-sign) in Authorization header",
        ),
        (
            AUTHORIZATION.replace("/lambda/", "/"),
            IncompleteSignature,
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got",
        ),
        (
            AUTHORIZATION.replace("/lambda/", "/s3/"),
            WrongScope,
            "Credential should be scoped to correct service: 'lambda'. ",
        ),
        (
            AUTHORIZATION.replace("us-east-1", "nowhere"),
            WrongScope,
            "Credential should be scoped to a valid region, not 'nowhere'. ",
        ),
        (
            AUTHORIZATION.replace("aws4_request", "aws5_request"),
            WrongScope,
            "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'. ",
        ),
        (
            AUTHORIZATION.replace(f"/{datetime.now(UTC):%Y%m%d}/", "/20200101/"),
            WrongScope,
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20200101' != ",
        ),
        (
            AUTHORIZATION.replace("host;", ""),
            InvalidSignature,
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
        ),
        (AUTHORIZATION.replace(SIGNATURE, "0" * 64), InvalidSignature, sigv4.MISMATCH),
    ],
)
def test_what_is_wrong_is_told_apart(authorization: str | None, kind: type[SamovarError], said: str) -> None:
    request = by_botocore()
    headers = {name: value for name, value in request.headers.items() if name != b"authorization"}
    if authorization is not None:
        headers[b"authorization"] = authorization.encode()
    with pytest.raises(SamovarError) as refused:
        verify(request._replace(headers=headers))
    assert type(refused.value) is kind
    assert said in refused.value.message


@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=20))
def test_whatever_is_sent_there_is_an_answer(authorization: bytes, query: bytes, date: bytes) -> None:
    prefixes = (b"", sigv4.ALGORITHM.encode() + b" ", b"X-Amz-Credential=")
    for prefix in prefixes:
        request = Signed(
            "GET",
            b"/",
            prefix + query,
            {b"host": b"x", b"x-amz-date": date, b"authorization": prefix + authorization},
        )
        for one in (request, request._replace(headers={b"host": b"x"})):
            with pytest.raises((IncompleteSignature, InvalidSignature, MissingAuthenticationToken)):
                verify(one)


def test_the_parts_of_the_header_may_stand_in_any_order() -> None:
    request = by_botocore()
    parts = request.headers[b"authorization"].decode().removeprefix(f"{sigv4.ALGORITHM} ").split(", ")
    verify(with_header(request, b"authorization", f"{sigv4.ALGORITHM} {',  '.join(reversed(parts))}".encode()))


@pytest.mark.parametrize("date", ["20261123T120000Z", "Mon, 23 Nov 2026 12:00:00 GMT"])
def test_the_moment_may_stand_in_the_header_for_dates(date: str) -> None:
    headers = {b"host": b"x", b"date": date.encode(), b"authorization": AUTHORIZATION.encode()}
    assert sigv4.claim_of(Signed("GET", b"/", b"", headers)).timestamp == "20261123T120000Z"


def test_a_link_of_ours_is_botocores() -> None:
    now = 1_795_430_000.0
    timestamp = sigv4.compact(now)
    scope = sigv4.Claim(KEY.key_id, timestamp[:8], KEY.region, "lambda", "host", "", timestamp, 600)
    key = sigv4.signing_key(KEY.secret, scope.date, scope.region, scope.service)
    query = sigv4.presign(b"/samovar/v1/code/abc", HOST.encode(), scope, key)
    request = Signed("GET", b"/samovar/v1/code/abc", query, {b"host": HOST.encode()})
    verify(request, b"", now=now + 599)
    theirs = AWSRequest(method="GET", url=f"http://{HOST}/samovar/v1/code/abc?{query.rpartition(b'&')[0].decode()}")
    signer = botocore.auth.SigV4QueryAuth(BotoCredentials(KEY.key_id, KEY.secret), "lambda", KEY.region, 600)
    theirs.context["timestamp"] = timestamp
    signed = signer.signature(signer.string_to_sign(theirs, signer.canonical_request(theirs)), theirs)
    assert query.decode().endswith(f"&X-Amz-Signature={signed}")
