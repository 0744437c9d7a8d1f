"""AWS JSON 1.0, as SQS speaks it today (Smithy specification, "AWS JSON 1.0 protocol", "awsQueryCompatible")."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import msgspec

from gateway.access.refusals import query_code
from gateway.http.rendering import Response
from gateway.queues.api.call import Answer
from gateway.queues.api.requests import Request
from gateway.queues.errors import MalformedRequest, SqsError
from samovar.errors import SamovarError

MEDIA_TYPE: Final = b"application/x-amz-json-1.0"


def decode(kind: type[Request], content: bytes) -> Request:
    """A request. Raises `MalformedRequest`."""
    try:
        found: Request = _decoder(kind).decode(content or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        found = _without_nulls(kind, content, error)
    return found


def answer(found: Answer | None, request_id: str) -> Response:
    """An answer; operations without results have an empty body."""
    return Response(200, _headers(request_id), b"" if found is None else msgspec.json.encode(found))


def refusal(error: SamovarError, request_id: str) -> Response:
    """An error; what the query protocol calls it stands in a header, from which SDKs take its code."""
    namespace = "com.amazonaws.sqs" if isinstance(error, SqsError) and error.modelled else "com.amazon.coral.service"
    code = error.code if isinstance(error, SqsError) else query_code(error)
    kind = "Sender" if error.fault == "User" else "Receiver"
    headers = [*_headers(request_id), (b"x-amzn-query-error", f"{code};{kind}".encode())]
    body = {"__type": f"{namespace}#{error.aws_name}", "message": error.message}
    return Response(error.status, headers, msgspec.json.encode(body))


def _headers(request_id: str) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", MEDIA_TYPE), (b"x-amzn-requestid", request_id.encode())]


@cache
def _decoder(kind: type[Request]) -> Any:
    return msgspec.json.Decoder(kind)


def _without_nulls(kind: type[Request], content: bytes, error: Exception) -> Request:
    """A request in which `null` stands for what is not given, if that is all that was wrong with it."""
    try:
        given = msgspec.json.decode(content, type=dict[str, Any])
        return msgspec.convert({name: value for name, value in given.items() if value is not None}, kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise MalformedRequest(str(error)) from error
