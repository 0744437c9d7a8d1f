"""Uploads by HTML forms (POST Object): the policy a form bears, and the file in it.

Amazon S3 API reference, "POST Object" and "Browser-based uploads using POST (AWS signature version 4)". The file goes
to a temporary file on disk while the form is read, because only its end says how long it is.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import tempfile
from calendar import timegm
from collections.abc import AsyncIterator, Mapping
from time import strptime
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.types import Receive

from gateway.access.guard import Guard
from gateway.access.operations import Asked as Authorised
from gateway.http.asgi import Request
from gateway.http.rendering import Response
from gateway.uploads.asking import Asked
from gateway.uploads.bodies import Incoming
from gateway.uploads.objects import target
from gateway.uploads.refusals import (
    EntityTooLarge,
    EntityTooSmall,
    InvalidArgument,
    MalformedPost,
    PolicyViolated,
)
from samovar.access import sigv4
from samovar.access.sigv4 import Claim
from samovar.errors import InvalidSignature

if TYPE_CHECKING:
    from gateway.uploads.front import Front

MAX_FIELDS_BYTES: Final = 64 * 1024
"""All fields but the file."""
MAX_FILE_BYTES: Final = 5 * 1024**3
"""What S3 takes in one form."""
_UNCHECKED: Final = frozenset(
    {"x-amz-signature", "signature", "awsaccesskeyid", "policy", "file", "bucket", "x-amz-security-token"}
)
"""Fields that a policy need not name."""
_PASSED_ON: Final = ("content-type", "content-disposition", "content-encoding", "cache-control", "expires", "acl")
_PIECE: Final = 256 * 1024


class Form:
    """A form as it is read: its fields by lower-case name, and its file."""

    def __init__(self, boundary: bytes, file: IO[bytes]) -> None:
        self.fields: dict[str, str] = {}
        self.file_name = ""
        self.has_file = False
        self._file = file
        self._name = ""
        self._header = b""
        self._value = b""
        self._size = 0
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_part_data": self._data,
                "on_part_end": self._end,
            },
        )
        self._value_of_header = b""

    def feed(self, data: bytes) -> None:
        """Take a piece. Raises `MalformedPost`, `EntityTooLarge`."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise MalformedPost(
                f"The body of your POST request is not well-formed multipart/form-data: {error}"
            ) from error

    def _begin(self) -> None:
        self._header, self._value_of_header, self._value, self._name = b"", b"", b"", ""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        if self._value_of_header:
            self._take_header()
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value_of_header += data[start:end]

    def _take_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(self._value_of_header)
            self._name = options.get(b"name", b"").decode("utf-8", "replace").lower()
            if self._name == "file":
                self.has_file = True
                self.file_name = options.get(b"filename", b"").decode("utf-8", "replace")
        self._header, self._value_of_header = b"", b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._header:
            self._take_header()
        if self._name == "file":
            self._file.write(data[start:end])
            if self._file.tell() > MAX_FILE_BYTES:
                raise EntityTooLarge("Your proposed upload exceeds the maximum allowed object size.")
            return
        self._size += end - start
        if self._size > MAX_FIELDS_BYTES:
            raise MalformedPost("Your POST request fields preceding the upload file were too large.")
        self._value += data[start:end]

    def _end(self) -> None:
        if self._header:
            self._take_header()
        if self._name and self._name != "file" and not self.has_file:  # what follows the file is ignored
            self.fields[self._name] = self._value.decode("utf-8", "replace")


async def post_object(request: Request, receive: Receive, asked: Asked, guard: Guard, front: Front) -> Response:
    """Carry out a form. Raises `S3Error` and what verifying raises."""
    _, options = parse_options_header(request.headers.get(b"content-type", b""))
    if b"boundary" not in options:
        raise MalformedPost("The body of your POST request is not well-formed multipart/form-data.")
    with tempfile.TemporaryFile(prefix="samovar-form-") as file:
        form = Form(options[b"boundary"], file)
        async for piece in Incoming(request, receive, None).parts():
            form.feed(piece)
        if not form.has_file:
            raise InvalidArgument("POST requires exactly one file upload per request.")
        size = file.tell()
        key = form.fields.get("key", "").replace("${filename}", form.file_name)
        if not key:
            raise InvalidArgument("Bucket POST must contain a field named 'key'.")
        posted = asked._replace(key=key, event="ObjectCreated:Post")
        await _admit(request, posted, form, guard, size)
        return await _stored(request, posted, form.fields, file, front)


async def _admit(request: Request, asked: Asked, form: Form, guard: Guard, size: int) -> None:
    """Hold a form to its policy, and its policy to the key that signed it."""
    if guard.is_open:
        await guard.admit_unread(request, Authorised(asked.operation), (), asked.resource)
        return
    fields = form.fields
    policy = fields.get("policy", "")
    if not policy:
        raise PolicyViolated("Access Denied")
    if "x-amz-credential" in fields:
        claim = _claim(fields)
        held = await guard.holder(claim.key_id)
        expected = hmac.digest(held.signing_key(claim), policy.encode(), "sha256").hex()
        given, region = fields.get("x-amz-signature", ""), claim.region
    else:
        held = await guard.holder(fields.get("awsaccesskeyid", ""))
        expected, given, region = held.sign_v2(policy.encode()).decode(), fields.get("signature", ""), guard.region
    if not hmac.compare_digest(expected.encode(), given.encode()):
        raise InvalidSignature(sigv4.MISMATCH)
    check_policy(policy, {**fields, "bucket": asked.bucket, "key": asked.key}, size, guard.now)
    request.caller = held.key
    guard.authorise(request, Authorised(asked.operation), region, asked.resource)


def _claim(fields: Mapping[str, str]) -> Claim:
    parts = fields["x-amz-credential"].split("/")
    if len(parts) != 5 or parts[3] != sigv4.S3:
        raise InvalidArgument("Error parsing the X-Amz-Credential parameter")
    key_id, date, region, service, _ = parts
    return Claim(key_id, date, region, service, "", "", fields.get("x-amz-date", ""), None)


def check_policy(policy: str, fields: Mapping[str, str], size: int, now: float) -> None:
    """Hold a form's fields, its bucket and its key among them, and the size of its file to its policy.

    Raises `PolicyViolated`, `EntityTooLarge` and `EntityTooSmall`. Pure.
    """
    try:
        read = msgspec.json.decode(base64.b64decode(policy, validate=True))
        expires = timegm(strptime(read["expiration"].partition(".")[0].rstrip("Z"), "%Y-%m-%dT%H:%M:%S"))
        conditions = read["conditions"]
    except (binascii.Error, msgspec.DecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PolicyViolated(f"Invalid Policy: Invalid JSON: {error}") from error
    if expires < now:
        raise PolicyViolated("Invalid according to Policy: Policy expired.")
    named: set[str] = set()
    for condition in conditions:
        named |= _check_condition(condition, fields, size)
    extra = sorted(name for name in fields if name not in named | _UNCHECKED and not name.startswith("x-ignore-"))
    if extra:
        raise PolicyViolated(f"Invalid according to Policy: Extra input fields: {extra[0]}")


def _check_condition(condition: Any, values: Mapping[str, str], size: int) -> set[str]:
    """The fields a condition is about."""
    if isinstance(condition, dict):
        for name, wanted in condition.items():
            _hold(values.get(name.lower(), "") == str(wanted), ["eq", f"${name}", wanted])
        return {name.lower() for name in condition}
    if not isinstance(condition, list) or len(condition) != 3:
        raise PolicyViolated("Invalid Policy: Invalid condition.")
    kind, one, other = condition
    if str(kind).lower() == "content-length-range":
        if size > int(other):
            raise EntityTooLarge("Your proposed upload exceeds the maximum allowed size")
        if size < int(one):
            raise EntityTooSmall("Your proposed upload is smaller than the minimum allowed size")
        return set()
    name = str(one).removeprefix("$").lower()
    value = values.get(name, "")
    is_met = value == str(other) if str(kind).lower() == "eq" else value.startswith(str(other))
    _hold(is_met and str(kind).lower() in ("eq", "starts-with"), condition)
    return {name}


def _hold(is_met: bool, condition: object) -> None:
    if not is_met:
        shown = msgspec.json.encode(condition).decode()
        raise PolicyViolated(f"Invalid according to Policy: Policy Condition failed: {shown}")


async def _stored(request: Request, asked: Asked, fields: Mapping[str, str], file: IO[bytes], front: Front) -> Response:
    size = file.seek(0, os.SEEK_END)
    headers = [(b"content-length", b"%d" % size)]
    file.seek(0)
    for name, value in fields.items():
        if name in _PASSED_ON or name.startswith("x-amz-meta-"):
            sent = "x-amz-acl" if name == "acl" else name
            headers.append((sent.encode("latin-1", "replace"), value.encode("utf-8")))
    intents = await front.begun(request, asked)
    async with front.upstream.asked("PUT", target(asked.bucket, asked.key), headers, _pieces(file)) as answer:
        await front.ended(intents, answer, size)
        etag = next((value for name, value in answer.headers if name.lower() == b"etag"), b"")
        if answer.status >= 300:
            body = b"".join([part async for part in answer.aiter_stream()])
            return Response(answer.status, [(b"content-type", b"application/xml")], body)
    return _answer(fields, asked.bucket, asked.key, etag)


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece


def _answer(fields: Mapping[str, str], bucket: str, key: str, etag: bytes) -> Response:
    location = target(bucket, key)
    headers = [(b"etag", etag), (b"location", location)]
    redirect = urlsplit(fields.get("success_action_redirect", fields.get("redirect", "")))
    if redirect.scheme in ("http", "https"):
        added = urlencode({"bucket": bucket, "key": key, "etag": etag.decode("latin-1")})
        url = redirect._replace(query="&".join(filter(None, (redirect.query, added)))).geturl()
        return Response(303, [(b"etag", etag), (b"location", url.encode("ascii", "replace"))], b"")
    if fields.get("success_action_status") == "201":
        from xml.sax.saxutils import escape

        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<PostResponse><Location>{escape(location.decode())}</Location><Bucket>{escape(bucket)}</Bucket>"
            f"<Key>{escape(key)}</Key><ETag>{escape(etag.decode('latin-1'))}</ETag></PostResponse>"
        )
        return Response(201, [*headers, (b"content-type", b"application/xml")], body.encode())
    return Response(200 if fields.get("success_action_status") == "200" else 204, headers, b"")
