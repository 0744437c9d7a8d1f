"""Answers of the query protocol in JSON, for who asks with a form and accepts `application/json`.

So API Gateway and shell scripts speak to SQS. Maps are lists of names and values, as in the XML, and what may be told
but is not is `null`.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Final

import msgspec

from gateway.http.rendering import Response
from gateway.queues.api.call import Answer

MEDIA_TYPE: Final = b"application/json"
_OLDER: Final = {"Messages": "messages", "QueueUrls": "queueUrls"}
"""Lists whose names today's model has in another spelling."""
_KEYS: Final = {"Attributes": "Name", "MessageAttributes": "Name", "Tags": "Key"}
"""Maps, and what their keys are called."""
_SENT: Final = ("MD5OfMessageAttributes", "MD5OfMessageSystemAttributes", "SequenceNumber")
_BATCH: Final = ("Successful", "Failed")
_OPTIONAL: Final = {
    "SendMessage": _SENT,
    "SendMessageBatch": _BATCH,
    "DeleteMessageBatch": _BATCH,
    "ChangeMessageVisibilityBatch": _BATCH,
    "ReceiveMessage": ("Messages",),
    "ListQueues": ("QueueUrls", "NextToken"),
    "ListDeadLetterSourceQueues": ("NextToken",),
    "GetQueueAttributes": ("Attributes",),
    "ListQueueTags": ("Tags",),
    "Messages": ("Attributes", "MessageAttributes", "MD5OfMessageAttributes"),
}
"""What operations, and the entries of their lists, need not tell."""


def answer(operation: str, found: Answer | None, request_id: str) -> Response:
    """An answer; operations without results have none in it."""
    told: dict[str, Any] = {"ResponseMetadata": {"RequestId": request_id}}
    if found is not None:
        told = {f"{operation}Result": _structure(operation, found)} | told
    return _response(200, {f"{operation}Response": told}, request_id)


def refusal(status: int, code: str, message: str, kind: str, request_id: str) -> Response:
    """An error. `kind` is `Sender` or `Receiver`."""
    error = {"Code": code, "Message": message, "Type": kind}
    return _response(status, {"Error": error, "RequestId": request_id}, request_id)


def _response(status: int, told: dict[str, Any], request_id: str) -> Response:
    headers = [(b"content-type", MEDIA_TYPE), (b"x-amzn-requestid", request_id.encode())]
    return Response(status, headers, msgspec.json.encode(told))


def _structure(name: str, found: dict[str, Any]) -> dict[str, Any]:
    members = dict.fromkeys(_OPTIONAL.get(name, ())) | found
    return {_OLDER.get(member, member): _value(member, value) for member, value in members.items()}


def _value(name: str, found: Any) -> Any:
    if isinstance(found, list):
        return [_value(name, one) for one in found] or None
    if isinstance(found, dict) and name in _KEYS:
        return [{_KEYS[name]: key, "Value": _value("", value)} for key, value in found.items()]
    if isinstance(found, dict):
        return _structure(name, found)
    return b64encode(found).decode() if isinstance(found, bytes) else found
