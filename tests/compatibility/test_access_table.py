"""Every door of the platform against every way a request can be signed wrongly: what AWS's own services say to each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import pytest

from tests.compatibility.aws import SANDBOX
from tests.compatibility.doors import DOORS, Door, Signed, Signer, doors_of, send
from tests.platform import Platform

pytestmark = [
    pytest.mark.component("boto3", "valkey"),
    pytest.mark.parametrize("platform", [SANDBOX], indirect=True),
]

WORDS: Final[dict[str, dict[str, tuple[int, str]]]] = {
    "well": {"rest": (200, ""), "url": (200, ""), "json": (200, ""), "query": (200, ""), "s3": (200, "")},
    "unknown key": {
        "rest": (403, "UnrecognizedClientException"),
        "url": (403, "UnrecognizedClientException"),
        "json": (400, "UnrecognizedClientException"),
        "query": (403, "InvalidClientTokenId"),
        "s3": (403, "InvalidAccessKeyId"),
    },
    "signature": {
        "rest": (403, "InvalidSignatureException"),
        "url": (403, "InvalidSignatureException"),
        "json": (400, "InvalidSignatureException"),
        "query": (403, "SignatureDoesNotMatch"),
        "s3": (403, "SignatureDoesNotMatch"),
    },
    "missing": {
        "rest": (403, "MissingAuthenticationTokenException"),
        "url": (403, "AccessDeniedException"),
        "json": (400, "MissingAuthenticationTokenException"),
        "query": (403, "MissingAuthenticationToken"),
        "s3": (403, "AccessDenied"),
    },
    "incomplete": {
        "rest": (403, "IncompleteSignatureException"),
        "url": (403, "IncompleteSignatureException"),
        "json": (400, "IncompleteSignatureException"),
        "query": (403, "IncompleteSignature"),
        "s3": (400, "AuthorizationHeaderMalformed"),
    },
    "time": {
        "rest": (403, "InvalidSignatureException"),
        "url": (403, "InvalidSignatureException"),
        "json": (400, "InvalidSignatureException"),
        "query": (403, "SignatureDoesNotMatch"),
        "s3": (403, "RequestTimeTooSkewed"),
    },
    "scope": {
        "rest": (403, "InvalidSignatureException"),
        "url": (403, "InvalidSignatureException"),
        "json": (400, "InvalidSignatureException"),
        "query": (403, "SignatureDoesNotMatch"),
        "s3": (400, "AuthorizationHeaderMalformed"),
    },
    "token": {
        "rest": (403, "UnrecognizedClientException"),
        "url": (403, "UnrecognizedClientException"),
        "json": (400, "UnrecognizedClientException"),
        "query": (403, "InvalidClientTokenId"),
        "s3": (400, "InvalidToken"),
    },
}
"""What each kind of service says: status and error code."""


Fault = Callable[[Signer, Door], Signed]
"""Makes a request to a door that has something wrong."""


def _unsigned(signer: Signer, door: Door) -> Signed:
    return signer.sign(door).without("Authorization", "X-Amz-Date")


def _for_another_service(signer: Signer, door: Door) -> Signed:
    return signer.sign(door, service="sts" if door.service == "scheduler" else "scheduler")


def _for_another_method(signer: Signer, door: Door) -> Signed:
    return signer.sign(door._replace(method="PATCH"))._replace(method=door.method)


def _for_another_query(signer: Signer, door: Door) -> Signed:
    longer = f"{door.path}{'&' if '?' in door.path else '?'}more=1"
    return signer.sign(door._replace(path=longer))._replace(path=door.path)


def _for_another_host(signer: Signer, door: Door) -> Signed:
    elsewhere = signer._replace(host="b.example", url_host="b.example")
    return elsewhere.sign(door).with_header("Host", signer.host_of(door))


FAULTS: Final[dict[str, tuple[str, Fault]]] = {
    "none": ("well", lambda signer, door: signer.sign(door)),
    "other region": ("well", lambda signer, door: signer.sign(door, region="eu-west-1")),
    "an id nobody has": ("unknown key", lambda signer, door: signer.having(key_id="AKIASTRANGERSTRANGER").sign(door)),
    "another secret": ("signature", lambda signer, door: signer.having(secret="guessed").sign(door)),
    "other digits": ("signature", lambda signer, door: signer.sign(door).edited("Signature=.{4}", "Signature=zzzz")),
    "no signature": ("missing", _unsigned),
    "no SignedHeaders": ("incomplete", lambda signer, door: signer.sign(door).edited("SignedHeaders=[^,]+, ", "")),
    "half a credential": ("incomplete", lambda signer, door: signer.sign(door).edited("/aws4_request", "")),
    "another service": ("scope", _for_another_service),
    "no region": ("scope", lambda signer, door: signer.sign(door, region="nowhere")),
    "another day": ("scope", lambda signer, door: signer.sign(door).edited("/20[0-9]{6}/", "/20200229/")),
    "another method": ("signature", _for_another_method),
    "another query": ("signature", _for_another_query),
    "another host": ("signature", _for_another_host),
    "another body": ("signature", lambda signer, door: signer.sign(door)._replace(body=door.body + b" ")),
    "an older request": ("time", lambda signer, door: signer.sign(door, minutes=-6)),
    "a clock that is fast": ("time", lambda signer, door: signer.sign(door, minutes=6)),
    "clocks nearly apart": ("well", lambda signer, door: signer.sign(door, minutes=-4)),
    "a token nobody gave": ("token", lambda signer, door: signer._replace(token="made-up").sign(door)),
}
NOT_FOR_S3: Final = frozenset({"no signature", "half a credential", "another service", "another body"})
"""What makes a request none of S3's: only its signature says that it is. Its door has no body."""


@pytest.fixture(scope="module")
def signer(platform: Platform) -> Iterator[Signer]:
    """With the root key, and a function with a URL behind the doors."""
    with doors_of(platform, "def handler(event, context): return event") as signing:
        yield signing


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_signed_wrongly_is_told_apart_at_every_door(platform: Platform, signer: Signer, fault: str) -> None:
    words, make = FAULTS[fault]
    found, expected = {}, {}
    for name, door in DOORS.items():
        if door.service == "s3" and fault in NOT_FOR_S3:
            continue
        status, code, body = send(platform.endpoint, make(signer, door))
        found[name], expected[name] = (status, code), WORDS[words][door.dialect]
        assert signer.key.secret.encode() not in body
        if status == 202 or (status == 404 and fault == "other region"):
            found[name] = (200, "")  # handed over; nothing of that name is there
    assert found == expected
