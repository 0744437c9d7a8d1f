"""What SQS refuses, with the names of both its protocols.

`aws_name` is the shape of the error in AWS's model, which the JSON protocol sends; `code` what the older query
protocol calls the same, which SDKs go on showing as the error's code (header `x-amzn-query-error`).
"""

from __future__ import annotations

from typing import ClassVar

from samovar.errors import CallerError


class SqsError(CallerError):
    """Base of what SQS refuses."""

    status = 400
    code: ClassVar[str] = ""
    """In the query protocol."""
    modelled: ClassVar[bool] = True
    """Whether the error is in SQS's model, or one that all of AWS's services share."""


class InvalidParameter(SqsError):
    """A parameter has a value SQS does not take."""

    aws_name, code, modelled = "InvalidParameterValueException", "InvalidParameterValue", False


class MessageTooLong(InvalidParameter):
    """A message is larger than its queue takes."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"One or more parameters are invalid. Reason: Message must be shorter than {max_bytes} bytes.")
        self._max_bytes = max_bytes

    def of_batch(self) -> InvalidParameter:
        """As it is said of one message of several."""
        return InvalidParameter(
            f"One or more parameters cannot be validated. Reason: Message must be shorter than {self._max_bytes} bytes."
        )


class InvalidAddress(SqsError):
    """What was given as the URL of a queue is none."""

    aws_name, code = "InvalidAddress", "InvalidAddress"


class MissingParameter(SqsError):
    """A required parameter is not given."""

    aws_name, code, modelled = "MissingRequiredParameterException", "MissingParameter", False


class MalformedRequest(SqsError):
    """The request is no JSON, or a parameter has another type than the model says."""

    aws_name, code, modelled = "SerializationException", "MalformedInput", False


class InvalidAction(SqsError):
    """SQS has no such operation, or not at this address."""

    aws_name, code, modelled = "UnknownOperationException", "InvalidAction", False


class NoAction(InvalidAction):
    """A form names no operation at all, as that of somebody who looks at a queue's URL in a browser."""

    status = 404


class QueueDoesNotExist(SqsError):
    """There is no queue of that name."""

    aws_name, code = "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"

    def __init__(self, message: str = "The specified queue does not exist.") -> None:
        super().__init__(message)


class QueueNameExists(SqsError):
    """There is a queue of that name, with other attributes."""

    aws_name, code = "QueueNameExists", "QueueAlreadyExists"


class PurgeInProgress(SqsError):
    """The queue was purged within the last minute."""

    status = 403
    aws_name, code = "PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress"


class InvalidAttributeName(SqsError):
    """A queue has no such attribute, or not one that may be set."""

    aws_name, code = "InvalidAttributeName", "InvalidAttributeName"


class InvalidAttributeValue(SqsError):
    """An attribute of a queue may not have this value."""

    aws_name, code = "InvalidAttributeValue", "InvalidAttributeValue"


class InvalidMessageContents(SqsError):
    """A message has characters that SQS does not carry."""

    aws_name, code = "InvalidMessageContents", "InvalidMessageContents"


class UnsupportedOperation(SqsError):
    """What SQS reserves for later."""

    aws_name, code = "UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation"


class OverLimit(SqsError):
    """More messages are in flight than a queue may have."""

    status = 403
    aws_name, code = "OverLimit", "OverLimit"


class RequestThrottled(SqsError):
    """More long polls, or more messages for the store, wait than a gateway bears; SDKs try again after a pause."""

    status = 403
    aws_name, code = "RequestThrottled", "RequestThrottled"


class ReceiptHandleIsInvalid(SqsError):
    """No receive of this queue ever gave out such a handle."""

    status = 404
    aws_name, code = "ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid"

    def __init__(self, handle: str) -> None:
        super().__init__(f'The input receipt handle "{handle}" is not a valid receipt handle.')


class EmptyBatch(SqsError):
    """A batch without entries."""

    aws_name, code = "EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest"


class TooManyEntries(SqsError):
    """A batch of more than ten entries."""

    aws_name, code = "TooManyEntriesInBatchRequest", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"


class EntryIdsNotDistinct(SqsError):
    """Two entries of a batch have one id."""

    aws_name, code = "BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"


class InvalidEntryId(SqsError):
    """The id of an entry has characters an id may not have."""

    aws_name, code = "InvalidBatchEntryId", "AWS.SimpleQueueService.InvalidBatchEntryId"


class BatchTooLong(SqsError):
    """The messages of a batch are larger together than one may be."""

    aws_name, code = "BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong"


class MoveResourceNotFound(SqsError):
    """A queue, or a task that moves messages, that does not exist."""

    status = 404
    aws_name, code = "ResourceNotFoundException", "ResourceNotFoundException"
