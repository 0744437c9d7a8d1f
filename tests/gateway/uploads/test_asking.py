"""What requests to S3 ask for, and which requests are S3's at all."""

from __future__ import annotations

import pytest

from gateway.uploads import asking

LAMBDA = b"AWS4-HMAC-SHA256 Credential=AK/20261123/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0"
S3 = LAMBDA.replace(b"/lambda/", b"/s3/")


@pytest.mark.parametrize(
    ("headers", "query", "is_s3"),
    [
        ({}, b"", False),
        ({b"authorization": LAMBDA}, b"", False),
        ({b"authorization": S3}, b"", True),
        ({b"authorization": b"AWS AK:signature"}, b"", True),
        ({}, b"X-Amz-Credential=AK%2F20261123%2Fus-east-1%2Fs3%2Faws4_request", True),
        ({}, b"AWSAccessKeyId=AK&Signature=x&Expires=1", True),
    ],
)
def test_a_signature_says_whether_a_request_is_s3s(headers: dict[bytes, bytes], query: bytes, is_s3: bool) -> None:
    assert asking.is_signed_for_s3(headers, query) is is_s3


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "action", "needs", "event"),
    [
        ("GET", b"/", b"", {}, "s3:ListAllMyBuckets", "read", ""),
        ("PUT", b"/photos", b"", {}, "s3:CreateBucket", "deploy", ""),
        ("GET", b"/photos", b"list-type=2&prefix=a", {}, "s3:ListBucket", "read", ""),
        ("GET", b"/photos", b"notification", {}, "s3:GetBucketNotification", "read", ""),
        ("PUT", b"/photos", b"notification=", {}, "s3:PutBucketNotification", "deploy", ""),
        ("PUT", b"/photos", b"versioning", {}, "s3:PutBucketConfiguration", "deploy", ""),
        ("POST", b"/photos", b"delete", {}, "s3:DeleteObjects", "invoke", ""),
        ("POST", b"/photos", b"", {b"content-type": b"multipart/form-data; x"}, "s3:PostObject", "invoke", ""),
        ("GET", b"/photos/a/b", b"", {}, "s3:GetObject", "read", ""),
        ("PUT", b"/photos/a/b", b"", {}, "s3:PutObject", "invoke", "ObjectCreated:Put"),
        ("PUT", b"/photos/a", b"", {b"x-amz-copy-source": b"x/y"}, "s3:PutObject", "invoke", "ObjectCreated:Copy"),
        ("PUT", b"/photos/a", b"partNumber=1&uploadId=x", {}, "s3:PutObject", "invoke", ""),
        ("POST", b"/photos/a", b"uploads", {}, "s3:PutObject", "invoke", ""),
        ("POST", b"/photos/a", b"uploadId=x", {}, "s3:PutObject", "invoke", "ObjectCreated:CompleteMultipartUpload"),
        ("DELETE", b"/photos/a", b"", {}, "s3:DeleteObject", "invoke", "ObjectRemoved:Delete"),
        ("DELETE", b"/photos/a", b"uploadId=x", {}, "s3:DeleteObject", "invoke", ""),
        ("PUT", b"/photos/a", b"tagging", {}, "s3:PutObjectTagging", "invoke", ""),
    ],
)
def test_an_operation_is_told_by_method_path_and_query(
    method: str, path: bytes, query: bytes, headers: dict[bytes, bytes], action: str, needs: str, event: str
) -> None:
    asked = asking.of(method, path, query, headers)
    assert (asked.operation.action, asked.operation.needs, asked.event) == (action, needs, event)


def test_bucket_and_key_are_decoded_and_the_target_stays_as_it_was() -> None:
    query = b"X-Amz-Signature=1&versionId=2&X-Amz-Expires=60"
    asked = asking.of("GET", b"/photos/a%20b%2Fc+d/%C3%BC", query, {})
    assert (asked.bucket, asked.key) == ("photos", "a b/c+d/ü")
    assert asked.target == b"/photos/a%20b%2Fc+d/%C3%BC?versionId=2"
    assert asked.resource == "/photos/a b/c+d/ü"


@pytest.mark.parametrize("host", [b"photos.localhost:9000", b"photos.s3.localhost", b"photos.s3.eu-west-1.localhost:1"])
def test_a_bucket_may_be_in_the_name_of_the_host(host: bytes) -> None:
    asked = asking.of("PUT", b"/a/b", b"", {b"host": host})
    assert (asked.bucket, asked.key, asked.target) == ("photos", "a/b", b"/photos/a/b")


@pytest.mark.parametrize("name", ["abc", "a.b-c", "a" * 63, "1photos"])
def test_names_of_buckets(name: str) -> None:
    assert asking.BUCKET.fullmatch(name)


@pytest.mark.parametrize("name", ["ab", "A.b", "a_b", "-abc", "abc-", "a" * 64, "192.168.5.4", "xn--abc", "a..b"])
def test_what_is_no_name_of_a_bucket(name: str) -> None:
    assert not asking.BUCKET.fullmatch(name)
