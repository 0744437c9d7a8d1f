"""What destinations and dead-letter queues are told of an event that has ended. Pure.

Shapes: AWS Lambda developer guide, "Capturing records of Lambda asynchronous invocations" and "Dead-letter queues".
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from gateway.events import keys
from gateway.events.event import EventHead
from gateway.events.lifecycle import Happening
from gateway.events.lines import Message
from gateway.events.rules import End, Ended, Rules, Verdict
from samovar.names import LATEST

DESTINATION: Final = "samovar:destination"
DEAD_LETTER: Final = "samovar:dead-letter"
"""Sources of messages on the line of deliveries."""
_MAX_MESSAGE: Final = 1024
_HTTP_OK: Final = 200


class _FunctionError(msgspec.Struct, rename="camel"):
    """A function's error, as far as a dead-letter queue is told of it."""

    error_message: str = ""


def messages(verdict: Verdict, ended: Ended | None, rules: Rules, payload: bytes) -> list[Message]:
    """What is to be delivered for an event that has ended; `ended` is its last run, if it ever was run."""
    head, found = verdict.head, []
    destination = rules.on_success if verdict.happening is Happening.SUCCEED else rules.on_failure
    if destination:
        found.append(_message(head, DESTINATION, destination, record(head, ended, payload), {}))
    if verdict.happening is Happening.FAIL and rules.dead_letter:
        found.append(_message(head, DEAD_LETTER, rules.dead_letter, payload, dead_letter_attributes(head, ended)))
    return found


def record(head: EventHead, ended: Ended | None, payload: bytes) -> bytes:
    """The record a destination gets."""
    told: dict[str, Any] = {
        "version": "1.0",
        "timestamp": _moment(head.ended_ms),
        "requestContext": {
            "requestId": head.id,
            "functionArn": f"{head.arn}:{head.qualifier or LATEST}",
            "condition": head.condition,
            "approximateInvokeCount": head.attempts,
        },
        "requestPayload": msgspec.Raw(payload or b"null"),
    }
    if ended is not None and ended.end in (End.SUCCESS, End.FUNCTION_ERROR):
        told["responseContext"] = {"statusCode": _HTTP_OK, "executedVersion": ended.version or LATEST}
        if ended.end is End.FUNCTION_ERROR:
            told["responseContext"]["functionError"] = "Unhandled"
        told["responsePayload"] = msgspec.Raw(ended.payload or b"null")
    return msgspec.json.encode(told)


def dead_letter_attributes(head: EventHead, ended: Ended | None) -> dict[str, dict[str, str]]:
    """The message attributes beside an event in a dead-letter queue."""
    error = (_said(ended) if ended is not None else head.error) or head.condition
    return {
        "RequestID": {"DataType": "String", "StringValue": head.id},
        "ErrorCode": {"DataType": "Number", "StringValue": str(_HTTP_OK)},
        "ErrorMessage": {"DataType": "String", "StringValue": error[:_MAX_MESSAGE]},
    }


def _said(ended: Ended) -> str:
    """What an error says. That of a function says it without its type's name, which `ended.error` begins with."""
    if ended.end is End.FUNCTION_ERROR:
        try:
            return msgspec.json.decode(ended.payload, type=_FunctionError).error_message or ended.error
        except msgspec.MsgspecError:
            pass  # runtimes that are not Samovar's may answer with anything
    return ended.error


def _message(head: EventHead, source: str, target: str, body: bytes, attributes: dict[str, dict[str, str]]) -> Message:
    told = EventHead(
        head.id,
        head.arn,
        head.qualifier,
        source,
        head.ended_ms,
        head.trace_id,
        target=target,
        attributes=attributes,
    )
    return Message(keys.DELIVERIES, told, body)


def _moment(epoch_ms: int) -> str:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
