"""From a function's result to an HTTP answer, by the rules of payload format 2.0. No I/O happens here.

AWS Lambda developer guide, "Invoking Lambda function URLs", section "Response payload format".
"""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import replace

from gateway.http.rendering import Headers, Response

_JSON = (b"content-type", b"application/json")
_BYTES = (b"content-type", b"application/octet-stream")
"""What a streamed answer is that does not say so."""
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_WRITTEN_BY_THE_SERVER = frozenset(
    {
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that describe the connection and not the answer; a function that could set them could break the framing."""

DELIMITER = bytes(8)
"""Between status and headers of a streamed answer, which are JSON, and its body."""
BAD_GATEWAY = Response(502, [_JSON], b"Internal Server Error")
"""What AWS sends for every function error and every result it cannot turn into an answer."""


class _InvalidResult(Exception):
    """The result claims to be an HTTP answer and is none."""


def to_response(result: bytes) -> Response:
    """The HTTP answer for a function's JSON result.

    A result with `statusCode` is taken at its word; a string is sent raw; anything else is sent as the JSON it is,
    without the spaces in it, as AWS sends it. What a program has streamed says its status first (`DELIMITER`).
    """
    try:
        value = msgspec.json.decode(result)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        metadata, is_streamed, body = result.partition(DELIMITER)
        return (start_of_stream(metadata, body) if is_streamed else None) or BAD_GATEWAY
    if isinstance(value, str):
        return Response(200, [_JSON], value.encode())
    if not isinstance(value, dict) or "statusCode" not in value:
        return Response(200, [_JSON], msgspec.json.format(result, indent=-1))
    try:
        return _explicit(value)
    except _InvalidResult:
        return BAD_GATEWAY


def proxied(result: bytes) -> Response | None:
    """The HTTP answer for a result in payload format 1.0, which has to say its status; `None` when it is none.

    API Gateway developer guide, "Output format of a Lambda function for proxy integration".
    """
    try:
        value = msgspec.json.decode(result, type=dict[str, Any])
        if "statusCode" not in value:
            return None
        response, repeated = _explicit(value), _repeated(value.get("multiValueHeaders"))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, _InvalidResult):
        return None
    names = {name for name, _ in repeated}
    return replace(response, headers=[one for one in response.headers if one[0] not in names] + repeated)


def start_of_stream(metadata: bytes, body: bytes) -> Response | None:
    """Status and headers of a streamed answer, with what is there of its body; `None` when they are none."""
    try:
        value = msgspec.json.decode(metadata, type=dict[str, Any])
        value.setdefault("statusCode", 200)
        start = _explicit(value | {"body": None}, _BYTES)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, _InvalidResult):
        return None
    return replace(start, body=body)


def headers_of(given: dict[str, str]) -> Headers:
    """Headers a function has set, as far as they are its to set; those of no answer when they are invalid."""
    try:
        return _headers(given, _BYTES)
    except _InvalidResult:
        return [_BYTES]


def _explicit(value: dict[str, Any], default_type: tuple[bytes, bytes] = _JSON) -> Response:
    status = _status(value["statusCode"])
    headers = _headers(value.get("headers"), default_type)
    headers += [(b"set-cookie", _text_bytes(cookie)) for cookie in _cookies(value.get("cookies"))]
    return Response(status, headers, _body(value))


def _status(given: object) -> int:
    """A final status; AWS takes it as a number or as text. Informational ones cannot end a request."""
    if isinstance(given, str) and given.isascii() and given.isdigit():
        given = int(given[:4])
    if type(given) is not int or not 200 <= given <= 599:
        raise _InvalidResult("statusCode")
    return given


def _headers(given: object, default_type: tuple[bytes, bytes]) -> Headers:
    if given is None:
        return [default_type]
    if not isinstance(given, dict):
        raise _InvalidResult("headers")
    headers: Headers = []
    typed = False
    for name, value in given.items():
        if not isinstance(value, str):
            value = _as_text(value)
        header = (_usual_header if len(value) <= _USUAL_LENGTH else _header)(name, value)
        if header is not None:
            typed = typed or header[0] == _JSON[0]
            headers.append(header)
    if not typed:
        headers.append(default_type)
    return headers


def _header(name: str, value: str) -> tuple[bytes, bytes] | None:
    """A header as it is sent, `None` for one that is not a function's to set."""
    if _HEADER_NAME.fullmatch(name) is None:
        raise _InvalidResult(name)
    lowered = name.lower()
    return None if lowered in _WRITTEN_BY_THE_SERVER else (lowered.encode(), _text_bytes(value))


_USUAL_LENGTH = 64
"""Characters of a value that is worth remembering: many functions set the same short ones always."""
_usual_header = lru_cache(maxsize=1024)(_header)


def _repeated(given: object) -> Headers:
    """Headers with several values each, which stand before those of the same name with one."""
    if given is None:
        return []
    if not isinstance(given, dict):
        raise _InvalidResult("multiValueHeaders")
    found: Headers = []
    for name, values in given.items():
        if not isinstance(values, list) or _HEADER_NAME.fullmatch(name) is None:
            raise _InvalidResult(name)
        if name.lower() not in _WRITTEN_BY_THE_SERVER:
            found += [(name.lower().encode(), _text_bytes(_as_text(value))) for value in values]
    return found


def _as_text(value: object) -> str:
    """A header's value. Functions may give numbers and booleans (DefinitelyTyped's `aws-lambda`, which speaks for many
    of them), as web frameworks do that are wrapped for Lambda; what is sent is the JSON of those.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return msgspec.json.encode(value).decode()
    raise _InvalidResult("header value")


def _cookies(given: object) -> list[object]:
    if given is None:
        return []
    if not isinstance(given, list):
        raise _InvalidResult("cookies")
    return given


def _text_bytes(text: object) -> bytes:
    """A header value: no control characters, so that no header can smuggle in another."""
    if not isinstance(text, str) or _CONTROL.search(text) is not None:
        raise _InvalidResult("header value")
    return text.strip().encode()


def _body(value: dict[str, Any]) -> bytes:
    body = value.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        return msgspec.json.encode(body)
    if value.get("isBase64Encoded") is not True:
        return body.encode()
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _InvalidResult("body") from error
