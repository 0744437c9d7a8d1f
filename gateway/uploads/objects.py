"""Objects for Samovar's own parts: packages of code, records of finished events.

Light to import: what speaks to the S3 server is loaded with the first object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from gateway.uploads.refusals import EntityTooLarge, NoSuchBucket, of_code
from samovar.errors import ServiceFailure
from samovar.settings import Settings

if TYPE_CHECKING:
    import httpcore

    from gateway.uploads.upstream import Upstream

_MAX_REFUSAL_BYTES: Final = 64 * 1024


class Objects:
    """The S3 server's objects. Every method raises `ServiceUnavailable` when the server cannot be had. `close` it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._upstream: Upstream | None = None

    @property
    def upstream(self) -> Upstream:
        """The connections to the server."""
        if self._upstream is None:
            from gateway.uploads.upstream import Upstream

            self._upstream = Upstream(self._settings)
        return self._upstream

    async def put(self, bucket: str, key: str, body: bytes, content_type: str = "application/json") -> None:
        """Store an object. Raises `NoSuchBucket`."""
        headers = [(b"content-type", content_type.encode())]
        async with self.upstream.asked("PUT", target(bucket, key), headers, body) as answer:
            await _check(answer)

    async def get(self, bucket: str, key: str, limit: int, version: str | None = None) -> bytes:
        """An object of at most `limit` bytes. Raises `NoSuchBucket`, `NoSuchKey`, `EntityTooLarge`."""
        if not self.upstream.was_ever_needed:
            raise NoSuchBucket("The specified bucket does not exist")
        query = f"?versionId={quote(version, safe='')}".encode() if version else b""
        async with self.upstream.asked("GET", target(bucket, key) + query) as answer:
            await _check(answer)
            parts, size = [], 0
            async for part in answer.aiter_stream():
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise EntityTooLarge(f"The object {bucket}/{key} has more than {limit} bytes")
        return b"".join(parts)

    async def create_bucket(self, bucket: str) -> None:
        """Have a bucket; nothing happens if there is one."""
        async with self.upstream.asked("PUT", target(bucket)) as answer:
            if answer.status != 409:
                await _check(answer)

    async def close(self) -> None:
        """Close the connections."""
        if self._upstream is not None:
            await self._upstream.close()


def target(bucket: str, key: str = "") -> bytes:
    """The path of a bucket or an object, encoded."""
    path = f"/{quote(bucket, safe='')}"
    return (f"{path}/{quote(key, safe='/-_.~')}" if key else path).encode()


async def _check(answer: httpcore.Response) -> None:
    """Raise the error an answer stands for."""
    if answer.status < 300:
        return
    from xml.etree.ElementTree import ParseError

    from defusedxml.ElementTree import fromstring

    body = b""
    async for part in answer.aiter_stream():
        body += part
        if len(body) > _MAX_REFUSAL_BYTES:
            break
    try:
        told = {str(each.tag).rpartition("}")[2]: each.text or "" for each in fromstring(body)}
    except ParseError as error:
        raise ServiceFailure(f"the S3 server answered with status {answer.status}") from error
    raise of_code(told.get("Code", ""), told.get("Message", ""), answer.status)
