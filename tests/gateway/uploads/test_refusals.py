"""Refusals in S3's words."""

from __future__ import annotations

import pytest

from gateway.uploads.refusals import NoSuchBucket, render
from samovar.access.sigv4 import NotValidNow
from samovar.errors import InvalidSignature, MissingAuthenticationToken, SamovarError, UnrecognizedClient


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (UnrecognizedClient("x"), "InvalidAccessKeyId", "does not exist in our records"),
        (InvalidSignature("The request signature"), "SignatureDoesNotMatch", "The request signature"),
        (NotValidNow("late", is_link=False), "RequestTimeTooSkewed", "The difference between the request time and"),
        (NotValidNow("late", is_link=True), "AccessDenied", "Request has expired"),
        (MissingAuthenticationToken("x"), "AccessDenied", "Access Denied"),
        (NoSuchBucket("there is none"), "NoSuchBucket", "there is none"),
    ],
)
def test_what_is_refused_has_s3s_name(error: SamovarError, code: str, words: str) -> None:
    body = render(error, "/photos", "id").body.decode()
    assert f"<Code>{code}</Code>" in body
    assert f"<Message>{words}" in body or words in body
