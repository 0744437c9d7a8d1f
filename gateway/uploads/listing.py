"""The objects of a bucket, a page at a time. Amazon S3 API reference, `ListObjectsV2`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from urllib.parse import quote, unquote_plus
from xml.etree.ElementTree import Element, ParseError

import httpcore
from defusedxml.ElementTree import fromstring

from gateway.uploads.elements import local_name, text_of
from gateway.uploads.objects import target
from gateway.uploads.record import Change
from samovar.errors import ServiceUnavailable

Asked = Callable[[str, bytes], AbstractAsyncContextManager[httpcore.Response]]
"""Asks the S3 server with a method and a target."""


async def listed(asked: Asked, bucket: str, prefix: str = "") -> AsyncGenerator[list[Change]]:
    """The objects of a bucket as they are now, each as the change that made it; none of a bucket that is not there.

    Raises `ServiceUnavailable` when the server cannot be asked, or answers with what is no list.
    """
    token = ""
    while True:
        query = "?list-type=2&encoding-type=url"  # XML cannot say every name
        query += f"&prefix={quote(prefix, safe='')}" if prefix else ""
        query += f"&continuation-token={quote(token, safe='')}" if token else ""
        async with asked("GET", target(bucket) + query.encode()) as answer:
            if answer.status == 404:
                return  # the bucket is gone
            page = await _read(answer)
        decoded = unquote_plus if text_of(page, "EncodingType") == "url" else str
        yield [_change(bucket, element, decoded) for element in page if local_name(element) == "Contents"]
        token = text_of(page, "NextContinuationToken")
        if not token:
            return


async def _read(answer: httpcore.Response) -> Element:
    body = b"".join([part async for part in answer.aiter_stream()])
    if answer.status >= 300:
        raise ServiceUnavailable(f"the S3 server's objects cannot be listed: status {answer.status}")
    try:
        page: Element = fromstring(body)
    except ParseError as error:
        raise ServiceUnavailable(f"the S3 server's list of objects is no XML: {error}") from error
    return page


def _change(bucket: str, element: Element, decoded: Callable[[str], str]) -> Change:
    modified = datetime.fromisoformat(text_of(element, "LastModified").replace("Z", "+00:00"))
    etag = text_of(element, "ETag").strip('"')
    return Change(
        bucket=bucket,
        key=decoded(text_of(element, "Key")),
        event=f"ObjectCreated:{'CompleteMultipartUpload' if '-' in etag else 'Put'}",
        at_ns=int(modified.timestamp() * 1e9),
        size=int(text_of(element, "Size") or 0),
        etag=etag,
        modified_s=int(modified.timestamp()),
    )
