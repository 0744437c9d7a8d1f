"""One error tree. Every error knows its HTTP status, its AWS name and whose fault it is.

SamovarError
├── CallerError                               the caller can mend it (AWS "Type": "User")
│   ├── InvalidParameterValue        400  InvalidParameterValueException
│   │   └── UntypedParameterValue    400  the same without its "Type"
│   ├── ValidationFailed             400  ValidationException
│   ├── InvalidParameter             400  InvalidParameterException (CloudWatch Logs)
│   ├── ResourceAlreadyExists        400  ResourceAlreadyExistsException (CloudWatch Logs)
│   ├── SerializationFailed          400  SerializationException
│   ├── InvalidRequestContent        400  InvalidRequestContentException
│   ├── InvalidZipFile               400  InvalidZipFileException
│   ├── CodeStorageExceeded          400  CodeStorageExceededException
│   ├── PolicyLengthExceeded         400  PolicyLengthExceededException
│   ├── RecursiveInvocation          400  RecursiveInvocationException
│   ├── AccessDenied                 403  AccessDeniedException
│   ├── MissingAuthenticationToken   403  MissingAuthenticationTokenException
│   ├── IncompleteSignature          403  IncompleteSignatureException
│   ├── UnrecognizedClient           403  UnrecognizedClientException
│   ├── ExpiredToken                 403  ExpiredTokenException
│   ├── InvalidSignature             403  InvalidSignatureException
│   ├── ResourceNotFound             404  ResourceNotFoundException
│   ├── ServiceNotOffered            404  UnknownOperationException
│   ├── CodeSigningConfigNotFound    404  CodeSigningConfigNotFoundException
│   ├── ProvisionedConcurrencyConfigNotFound  404  ProvisionedConcurrencyConfigNotFoundException
│   ├── ResourceConflict             409  ResourceConflictException
│   ├── PreconditionFailed           412  PreconditionFailedException
│   ├── RequestTooLarge              413  RequestTooLargeException
│   ├── RequestEntityTooLarge        413  RequestEntityTooLargeException
│   ├── UnsupportedMediaType         415  UnsupportedMediaTypeException
│   └── TooManyRequests              429  TooManyRequestsException (reason, retry_after)
├── PlatformError                             ours to mend (AWS "Type": "Service")
│   ├── ServiceFailure               500  ServiceException
│   ├── EnvironmentFailure           502  ServiceException: no environment could be started
│   └── ServiceUnavailable           503  ServiceUnavailableException (retry_after)
└── StartRefused                              the operator's: a setting or the host stops the start
    └── SettingError                          names the setting, its value and what is allowed

What goes wrong *inside* a function is no exception here: it is an `Outcome` (see
`samovar.invocation`), because the platform did its job and the call is metered.

Names and statuses: AWS Lambda's API model (`Invoke` and `CreateFunction` list them).
"""

from __future__ import annotations

from typing import ClassVar, Literal


class SamovarError(Exception):
    """Base of everything Samovar raises on purpose. `message` is written for the person it concerns."""

    status: ClassVar[int] = 500
    aws_name: ClassVar[str] = "ServiceException"
    fault: ClassVar[Literal["User", "Service"]] = "Service"
    says_fault: ClassVar[bool] = True
    """Whether AWS's answer has the fault in it, as its `Type`."""

    def __init__(self, message: str, *, retry_after: float | None = None, reason: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        """Seconds after which the same call may succeed; becomes the `Retry-After` header."""
        self.reason = reason
        """AWS's machine-readable `Reason`, where the error has one."""


class CallerError(SamovarError):
    """The request is at fault; sending the same one again will not help."""

    fault = "User"


class InvalidParameterValue(CallerError):
    """A parameter has a value the API does not take."""

    status, aws_name = 400, "InvalidParameterValueException"


class UntypedParameterValue(InvalidParameterValue):
    """The same where AWS's answer does not say whose fault it is."""

    says_fault = False


class ValidationFailed(CallerError):
    """A parameter breaks a constraint of the API model."""

    status, aws_name = 400, "ValidationException"


class InvalidParameter(CallerError):
    """A parameter of CloudWatch Logs has a value the API does not take."""

    status, aws_name = 400, "InvalidParameterException"


class ResourceAlreadyExists(CallerError):
    """There is a log group of that name."""

    status, aws_name = 400, "ResourceAlreadyExistsException"


class SerializationFailed(CallerError):
    """A parameter has another JSON type than the API model says."""

    status, aws_name = 400, "SerializationException"


class InvalidRequestContent(CallerError):
    """The body of a call is not the JSON it must be."""

    status, aws_name = 400, "InvalidRequestContentException"


class InvalidZipFile(CallerError):
    """A deployment package cannot be unpacked safely."""

    status, aws_name = 400, "InvalidZipFileException"


class CodeStorageExceeded(CallerError):
    """A deployment package is larger than the limit, packed or unpacked."""

    status, aws_name = 400, "CodeStorageExceededException"


class PolicyLengthExceeded(CallerError):
    """A resource policy would be longer than 20 KB."""

    status, aws_name = 400, "PolicyLengthExceededException"


class RecursiveInvocation(CallerError):
    """A function was called too often in one chain of calls."""

    status, aws_name = 400, "RecursiveInvocationException"


class ServiceNotOffered(CallerError):
    """The request is signed for a service of AWS's that Samovar does not have."""

    status, aws_name = 404, "UnknownOperationException"


class AccessDenied(CallerError):
    """The caller may not do this."""

    status, aws_name = 403, "AccessDeniedException"


class MissingAuthenticationToken(CallerError):
    """The request is not signed."""

    status, aws_name = 403, "MissingAuthenticationTokenException"


class IncompleteSignature(CallerError):
    """The request says too little of its signature to verify it."""

    status, aws_name = 403, "IncompleteSignatureException"


class UnrecognizedClient(CallerError):
    """There is no access key of this id, or it was revoked."""

    status, aws_name = 403, "UnrecognizedClientException"


class ExpiredToken(CallerError):
    """The function that a session's token was made for is there no more."""

    status, aws_name = 403, "ExpiredTokenException"


class InvalidSignature(CallerError):
    """The signature is not the request's, not the key's, or not valid now."""

    status, aws_name = 403, "InvalidSignatureException"


class ResourceNotFound(CallerError):
    """The named function, version or configuration does not exist."""

    status, aws_name = 404, "ResourceNotFoundException"


class CodeSigningConfigNotFound(CallerError):
    """A function is to have a code signing configuration, of which there are none."""

    status, aws_name = 404, "CodeSigningConfigNotFoundException"


class ProvisionedConcurrencyConfigNotFound(CallerError):
    """The version or alias has no provisioned concurrency."""

    status, aws_name = 404, "ProvisionedConcurrencyConfigNotFoundException"


class ResourceConflict(CallerError):
    """The resource exists already, or is being changed by another call."""

    status, aws_name = 409, "ResourceConflictException"


class PreconditionFailed(CallerError):
    """The given RevisionId is not the current one: somebody changed the function in between."""

    status, aws_name = 412, "PreconditionFailedException"


class RequestTooLarge(CallerError):
    """The payload is over the limit."""

    status, aws_name = 413, "RequestTooLargeException"


class RequestEntityTooLarge(RequestTooLarge):
    """A request to change something, or the package in it, is over the limit."""

    status, aws_name = 413, "RequestEntityTooLargeException"


class UnsupportedMediaType(CallerError):
    """The content type of the request body is not JSON."""

    status, aws_name = 415, "UnsupportedMediaTypeException"


class TooManyRequests(CallerError):
    """No environment was free in time. `reason` is one of AWS's throttle reasons."""

    status, aws_name = 429, "TooManyRequestsException"


class PlatformError(SamovarError):
    """Samovar or its host is at fault; the same call may succeed later."""


class ServiceFailure(PlatformError):
    """An unexpected fault inside Samovar."""


class EnvironmentFailure(PlatformError):
    """An environment could not be started, or vanished under a running call."""

    status = 502


class ServiceUnavailable(PlatformError):
    """A part of the platform (invoker, Redis) cannot be reached now."""

    status, aws_name = 503, "ServiceUnavailableException"


class StartRefused(SamovarError):
    """Samovar will not start like this; the message says what to change."""


class SettingError(StartRefused):
    """A setting has a value that is not allowed."""

    def __init__(self, name: str, value: object, allowed: str) -> None:
        super().__init__(f"setting {name} = {value!r} is not allowed: {allowed}")
        self.name = name
        self.value = value
        self.allowed = allowed


def _concrete(root: type[SamovarError]) -> dict[str, type[SamovarError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found |= _concrete(child)
    return found


def by_class_name(name: str) -> type[SamovarError]:
    """The error class of that name, for errors that crossed a wire; unknown names become `ServiceFailure`."""
    return _concrete(SamovarError).get(name, ServiceFailure)


_OF_THE_API: tuple[type[SamovarError], ...] = (
    InvalidParameterValue,
    ValidationFailed,
    SerializationFailed,
    InvalidRequestContent,
    InvalidZipFile,
    CodeStorageExceeded,
    PolicyLengthExceeded,
    CodeSigningConfigNotFound,
    AccessDenied,
    MissingAuthenticationToken,
    IncompleteSignature,
    UnrecognizedClient,
    InvalidSignature,
    ResourceNotFound,
    ResourceConflict,
    PreconditionFailed,
    RequestTooLarge,
    UnsupportedMediaType,
    TooManyRequests,
    ServiceFailure,
    EnvironmentFailure,
    ServiceUnavailable,
)


def by_aws_name(name: str, status: int) -> type[SamovarError]:
    """The error class an API answer stands for: by its AWS name, and by its status where two share a name.

    An unknown name becomes a plain `CallerError` below 500 and a `ServiceFailure` from there on.
    """
    named = [found for found in _OF_THE_API if found.aws_name == name]
    unknown = CallerError if status < 500 else ServiceFailure
    return next((found for found in named if found.status == status), named[0] if named else unknown)
