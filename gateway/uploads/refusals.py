"""S3's errors, and how S3 says them: XML with a code. Amazon S3 API reference, "Error responses"."""

from __future__ import annotations

from typing import ClassVar, Final
from xml.sax.saxutils import escape

from gateway.access.sessions import InvalidToken
from gateway.http.rendering import Response
from samovar.access.sigv4 import NotValidNow, WrongScope
from samovar.errors import CallerError, SamovarError, ServiceUnavailable


class S3Error(CallerError):
    """An error of S3's own, whose code says what it is."""

    status = 400
    code: ClassVar[str] = "InvalidRequest"


class NoSuchBucket(S3Error):
    """There is no bucket of that name."""

    status, code = 404, "NoSuchBucket"


class NoSuchKey(S3Error):
    """There is no object of that key."""

    status, code = 404, "NoSuchKey"


class InvalidBucketName(S3Error):
    """The name breaks the rules for names of buckets."""

    code = "InvalidBucketName"


class BucketNotEmpty(S3Error):
    """A bucket with objects is not deleted."""

    status, code = 409, "BucketNotEmpty"


class InvalidArgument(S3Error):
    """A value is not one S3 takes."""

    code = "InvalidArgument"

    def __init__(self, message: str, *arguments: tuple[str, str], counted: bool = False) -> None:
        """`arguments` are names and values of what is wrong, which S3 tells in elements of their own: of destinations
        that are not there with a number each, `counted`."""
        super().__init__(message)
        self.arguments = arguments
        self.counted = counted


class MalformedXml(S3Error):
    """The body is no document of the kind it should be."""

    code = "MalformedXML"


class ContentMismatch(S3Error):
    """The body is not the one that was signed."""

    code = "XAmzContentSHA256Mismatch"


class IncompleteBody(S3Error):
    """The body ended before its announced length, or arrived too slowly."""

    code = "IncompleteBody"


class EntityTooLarge(S3Error):
    """An object, or a form's file, is larger than it may be."""

    code = "EntityTooLarge"


class EntityTooSmall(S3Error):
    """A form's file is smaller than its policy lets it be."""

    code = "EntityTooSmall"


class MalformedPost(S3Error):
    """A form cannot be read."""

    code = "MalformedPOSTRequest"


class PolicyViolated(S3Error):
    """A form is not what its policy lets it be, or comes too late."""

    status, code = 403, "AccessDenied"


_MALFORMED: Final = "AuthorizationHeaderMalformed"
_STATUSES: Final = {"SlowDown": 503, _MALFORMED: 400, "InvalidToken": 400, "ExpiredToken": 400}
"""Statuses that are others than those of the errors behind them."""
_CODES: Final = {
    "MissingAuthenticationTokenException": "AccessDenied",
    "IncompleteSignatureException": _MALFORMED,
    "UnrecognizedClientException": "InvalidAccessKeyId",
    "ExpiredTokenException": "ExpiredToken",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "AccessDeniedException": "AccessDenied",
    "ServiceUnavailableException": "ServiceUnavailable",
    "TooManyRequestsException": "SlowDown",
}
_TEXTS: Final = {
    "MissingAuthenticationTokenException": "Access Denied",
    "UnrecognizedClientException": "The AWS Access Key Id you provided does not exist in our records.",
}
_UNKNOWN_SESSION: Final = "The provided token is malformed or otherwise invalid."
_SKEWED: Final = "The difference between the request time and the current time is too large."
_BY_CODE: Final = {kind.code: kind for kind in (NoSuchBucket, NoSuchKey, InvalidBucketName, BucketNotEmpty)}


def code_of(error: SamovarError) -> str:
    """What S3 calls an error."""
    if isinstance(error, S3Error):
        return error.code
    if isinstance(error, NotValidNow):
        return "AccessDenied" if error.is_link else "RequestTimeTooSkewed"
    if isinstance(error, WrongScope):
        return _MALFORMED
    if isinstance(error, InvalidToken):
        return "InvalidToken"
    return _CODES.get(error.aws_name, "InternalError" if error.status >= 500 else "InvalidRequest")


def render(error: SamovarError, resource: str, request_id: str) -> Response:
    """An error as an answer."""
    message = error.message
    if isinstance(error, NotValidNow):
        message = "Request has expired" if error.is_link else _SKEWED
    elif not isinstance(error, S3Error):
        message = _TEXTS.get(error.aws_name, error.message) if type(error) is not InvalidToken else _UNKNOWN_SESSION
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code_of(error)}</Code><Message>{escape(message)}</Message>"
        f"{_arguments(error, resource)}<RequestId>{request_id}</RequestId></Error>"
    )
    headers = [(b"content-type", b"application/xml"), (b"x-amz-request-id", request_id.encode())]
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, round(error.retry_after))))
    return Response(_STATUSES.get(code_of(error), error.status), headers, body.encode())


def _arguments(error: SamovarError, resource: str) -> str:
    """What is wrong, or else where."""
    if not isinstance(error, InvalidArgument):
        return f"<Resource>{escape(resource)}</Resource>"
    return "".join(
        f"<ArgumentName{number}>{escape(name)}</ArgumentName{number}>"
        f"<ArgumentValue{number}>{escape(value)}</ArgumentValue{number}>"
        for number, (name, value) in ((at if error.counted else "", one) for at, one in enumerate(error.arguments, 1))
    )


def of_code(code: str, message: str, status: int) -> SamovarError:
    """The error an S3 server answered with."""
    kind = _BY_CODE.get(code)
    if kind is not None:
        return kind(message)
    if status >= 500:
        return ServiceUnavailable(f"the S3 server failed: {code} {message}", retry_after=1.0)
    return S3Error(f"{code}: {message}")
