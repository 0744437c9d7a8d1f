"""Version 2 of AWS's signatures, held to what botocore makes."""

from __future__ import annotations

from urllib.parse import urlsplit

import boto3  # type: ignore[import-untyped]  # it ships no types
import pytest

from samovar.access import sigv2
from samovar.access.sigv4 import Signed
from samovar.errors import IncompleteSignature, InvalidSignature

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def presigned(operation: str = "put_object", **more: str) -> Signed:
    """A request as boto3 presigns it."""
    client = boto3.client(
        "s3",
        endpoint_url="http://127.0.0.1:9000",
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key=SECRET,
    )
    key = {"Key": "a b/ü"} if operation.endswith("object") else {}
    url = urlsplit(client.generate_presigned_url(operation, Params={"Bucket": "photos", **key, **more}))
    method = {"put": "PUT", "get": "GET", "list": "GET", "head": "HEAD"}[operation.partition("_")[0]]
    return Signed(method, url.path.encode(), url.query.encode(), {b"host": b"127.0.0.1:9000"})


def verify(request: Signed, now: float) -> None:
    claim = sigv2.claim_of(request.query)
    assert claim is not None
    sigv2.check(claim, request, sigv2.signature(SECRET, sigv2.text_of(claim, request)), now)


@pytest.mark.parametrize(
    "request_",
    [
        presigned(),
        presigned("get_object"),
        presigned("get_object", VersionId="3", ResponseContentType="text/plain"),
        presigned("list_objects_v2", Prefix="a b/"),
        presigned("head_bucket"),
        presigned("get_bucket_notification_configuration"),
    ],
)
def test_what_boto3_presigns_is_taken(request_: Signed) -> None:
    verify(request_, 0)


def test_another_method_path_or_time_is_refused() -> None:
    request = presigned()
    for changed in (request._replace(method="GET"), request._replace(path=b"/photos/other")):
        with pytest.raises(InvalidSignature):
            verify(changed, 0)
    with pytest.raises(InvalidSignature, match="expired"):
        verify(request, 1e12)


def test_what_says_too_little_is_incomplete() -> None:
    assert sigv2.claim_of(b"X-Amz-Signature=1") is None
    with pytest.raises(IncompleteSignature):
        sigv2.claim_of(b"AWSAccessKeyId=AK&Signature=x")
