"""Buckets and uploads, for the command line: S3's API as the gateway serves it below `/uploads`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from xml.etree.ElementTree import Element, ParseError

import httpx
import msgspec
from defusedxml.ElementTree import fromstring

from samovar.access.sigv4 import EMPTY_SHA256, UNSIGNED_PAYLOAD, Credentials, Signed, sign_stated
from samovar.clients.connection import Connected
from samovar.errors import CallerError, InvalidParameterValue, ResourceNotFound, ServiceFailure, ServiceUnavailable

Progress = Callable[[int, int], None]
"""Told how many bytes of how many have been sent."""
_ROOT: Final = "/uploads"
_ANSWER_S: Final = 120.0
_CHUNK: Final = 256 * 1024


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket."""

    name: str
    created: str
    """ISO 8601."""


class Uploaded(msgspec.Struct, frozen=True, kw_only=True):
    """An object that was uploaded."""

    bucket: str
    key: str
    size: int
    etag: str
    version: str = ""


class Buckets(Connected):
    """The buckets of one platform. A context manager.

    Raises `ServiceUnavailable` when it cannot be reached, `ResourceNotFound` for what is not there, and `CallerError`
    with S3's own words for whatever else it refuses.
    """

    def __init__(self, endpoint: str, key: Credentials | None = None) -> None:
        """As of every client; the first bucket of all starts the S3 server, which is waited for."""
        super().__init__(endpoint, key, answer_s=_ANSWER_S)

    def all(self) -> list[Bucket]:
        """Every bucket, by name."""
        page = _parsed(self._send("GET", "/").content)
        return [
            Bucket(name=_text(each, "Name"), created=_text(each, "CreationDate"))
            for each in page.iter()
            if _local(each) == "Bucket"
        ]

    def create(self, name: str) -> None:
        """Make a bucket."""
        self._send("PUT", f"/{quote(name, safe='')}")

    def delete(self, name: str) -> None:
        """Delete an empty bucket."""
        self._send("DELETE", f"/{quote(name, safe='')}")

    def upload(self, source: Path, bucket: str, key: str, content_type: str, progress: Progress | None) -> Uploaded:
        """Send a file, a piece at a time."""
        size = source.stat().st_size
        headers = {"content-length": str(size), "content-type": content_type}
        path = f"/{quote(bucket, safe='')}/{quote(key, safe='/-_.~')}"
        with source.open("rb") as file:
            answer = self._send("PUT", path, headers, _pieces(file, size, progress), UNSIGNED_PAYLOAD)
        return Uploaded(
            bucket=bucket,
            key=key,
            size=size,
            etag=answer.headers.get("etag", "").strip('"'),
            version=answer.headers.get("x-amz-version-id", ""),
        )

    def _send(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: Iterator[bytes] | None = None,
        payload: str = EMPTY_SHA256,
    ) -> httpx.Response:
        url = httpx.URL(self.endpoint + _ROOT + path)
        request = self._http.build_request(method, url, headers=headers, content=body)
        if self._key is not None:
            raw_path, _, query = request.url.raw_path.partition(b"?")
            signed = Signed(method, raw_path, query, {b"host": request.headers["host"].encode()})
            # Not signed for S3: to S3's clients, `/uploads` is a bucket.
            request.headers.update(sign_stated(signed, payload, self._key, time.time()))
        with self._reaching():
            answer = self._http.send(request)
        if answer.is_error:
            raise _refusal(answer)
        return answer


def _pieces(file: Any, size: int, progress: Progress | None) -> Iterator[bytes]:
    done = 0
    while piece := file.read(_CHUNK):
        yield piece
        done += len(piece)
        if progress is not None:
            progress(done, size)


def _refusal(answer: httpx.Response) -> CallerError | ServiceFailure | ServiceUnavailable:
    try:
        told = {_local(each): each.text or "" for each in fromstring(answer.content)}
    except ParseError:
        return ServiceFailure(f"Samovar answered with status {answer.status_code}")
    message = f"{told.get('Code', '?')}: {told.get('Message', '')}"
    if answer.status_code >= 500:
        return ServiceUnavailable(message)
    if answer.status_code == 404:
        return ResourceNotFound(message)
    return InvalidParameterValue(message)


def _parsed(content: bytes) -> Element:
    try:
        page: Element = fromstring(content)
    except ParseError as error:
        raise ServiceFailure("the answer was no XML") from error
    return page


def _local(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _text(element: Element, name: str) -> str:
    return next((each.text or "" for each in element if _local(each) == name), "")
