"""Errors in the form of the API they answer: AWS's services have three. Pure."""

from __future__ import annotations

from typing import Final
from xml.sax.saxutils import escape

import msgspec

from gateway.access.operations import Protocol
from gateway.http.rendering import Response, render_error
from samovar.errors import SamovarError

_QUERY_CODES: Final = {
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "IncompleteSignatureException": "IncompleteSignature",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "AccessDeniedException": "AccessDenied",
}
"""AWS Security Token Service API reference, "Common errors"."""


def refusal(error: SamovarError, protocol: Protocol, request_id: str, *, in_json: bool = False) -> Response:
    """An error as clients of a protocol read it; that of the query protocol has a form in JSON, too."""
    if protocol == "json":
        return _json(error, request_id)
    if protocol == "query":
        return _query_json(error, request_id) if in_json else _xml(error, request_id)
    return render_error(error, request_id)


def query_code(error: SamovarError) -> str:
    """What the query protocol calls an error that all services share."""
    return _QUERY_CODES.get(error.aws_name, error.aws_name.removesuffix("Exception"))


def _json(error: SamovarError, request_id: str) -> Response:
    """AWS JSON 1.1: every fault of the caller's has status 400."""
    body = msgspec.json.encode({"__type": error.aws_name, "message": error.message})
    headers = [(b"content-type", b"application/x-amz-json-1.1"), (b"x-amzn-requestid", request_id.encode())]
    return Response(400 if error.fault == "User" else error.status, headers, body)


def _query_json(error: SamovarError, request_id: str) -> Response:
    kind = "Sender" if error.fault == "User" else "Receiver"
    told = {"Code": query_code(error), "Message": error.message, "Type": kind}
    body = msgspec.json.encode({"Error": told, "RequestId": request_id})
    return Response(
        error.status, [(b"content-type", b"application/json"), (b"x-amzn-requestid", request_id.encode())], body
    )


def _xml(error: SamovarError, request_id: str) -> Response:
    code = query_code(error)
    kind = "Sender" if error.fault == "User" else "Receiver"
    body = (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">\n'
        f"  <Error>\n    <Type>{kind}</Type>\n    <Code>{code}</Code>\n"
        f"    <Message>{escape(error.message)}</Message>\n  </Error>\n"
        f"  <RequestId>{request_id}</RequestId>\n</ErrorResponse>\n"
    )
    return Response(
        error.status, [(b"content-type", b"text/xml"), (b"x-amzn-requestid", request_id.encode())], body.encode()
    )
