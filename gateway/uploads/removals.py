"""`DeleteObjects`: many objects removed by one request, each of them noted as if it were removed by itself.

Amazon S3 API reference, `DeleteObjects`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from gateway.http.asgi import Request
from gateway.http.rendering import Response
from gateway.uploads.asking import Asked
from gateway.uploads.bodies import Incoming
from gateway.uploads.elements import MALFORMED, local_name, text_of
from gateway.uploads.passing import passed_on, sent_back
from gateway.uploads.refusals import MalformedXml
from samovar.errors import ServiceFailure

if TYPE_CHECKING:
    from gateway.uploads.front import Front

MAX_OBJECTS: Final = 1000
_MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""A thousand of the longest keys, each byte of them escaped."""
_MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
_EVENT: Final = "ObjectRemoved:Delete"


async def remove_many(request: Request, asked: Asked, incoming: Incoming, front: Front) -> Response:
    """Have the S3 server remove what the request names, with a note of each object made before and of what came of it.

    Raises `MalformedXml` for a body that names no objects or more than S3 takes, `ServiceUnavailable`, and whatever is
    wrong with the body.
    """
    body = await _whole(incoming)
    intents = await front.note(request, asked.bucket, _keys(body), _EVENT)
    headers = [*passed_on(request), (b"content-length", b"%d" % len(body))]
    said = b""
    # When this fails, some may be gone all the same. The notes stay, so that somebody looks for each of them.
    async with front.upstream.asked("POST", asked.target, headers, body, incoming.payload) as answer:
        async for part in answer.aiter_stream():
            said += part
            if len(said) > _MAX_ANSWER_BYTES:
                raise ServiceFailure("the S3 server's answer to DeleteObjects is too long")
    refused = _refused(said) if answer.status < 300 else set[str]()
    await front.withdraw([intent for intent in intents if intent.key in refused])
    await front.ended([intent for intent in intents if intent.key not in refused], answer, 0)
    back = [(name, value) for name, value in sent_back(answer) if name != b"content-length"]
    return Response(answer.status, back, said)


async def _whole(incoming: Incoming) -> bytes:
    parts, size = [], 0
    async for part in incoming.parts():
        parts.append(part)
        size += len(part)
        if size > _MAX_BODY_BYTES:
            raise MalformedXml(MALFORMED)
    incoming.check()
    return b"".join(parts)


def _keys(body: bytes) -> list[str]:
    """The keys a request names, each once. Raises `MalformedXml`."""
    try:
        named = [text_of(each, "Key") for each in _parsed(body) if local_name(each) == "Object"]
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise MalformedXml(MALFORMED) from error
    if not 0 < len(named) <= MAX_OBJECTS or "" in named:
        raise MalformedXml(MALFORMED)
    return list(dict.fromkeys(named))


def _refused(answer: bytes) -> set[str]:
    """The keys that were not removed, as the server says."""
    try:
        return {text_of(each, "Key") for each in _parsed(answer) if local_name(each) == "Error"}
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise ServiceFailure(f"the S3 server's answer to DeleteObjects is no XML: {error}") from error


def _parsed(text: bytes) -> Element:
    root: Element = fromstring(text)
    return root
