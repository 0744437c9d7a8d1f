"""Between messages and the words of the scripts. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.queues import message as messages
from gateway.queues.attributes import Rules
from gateway.queues.errors import InvalidParameter, ReceiptHandleIsInvalid, SqsError
from gateway.queues.message import Outgoing, Received, Sent, Stored
from gateway.queues.queue import Queue
from gateway.queues.receipts import Receipt, handle_of, mark_of, receipt_of
from samovar.names import new_request_id

MAX_VISIBILITY_S: Final = 43_200
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Stored)
_PARTS: Final = 4
"""Of a message in the answer to a receive."""


def refusal(message: Outgoing, queue: Queue) -> SqsError | None:
    """Why a queue does not take a message, if it does not."""
    rules = queue.rules
    try:
        messages.check(message, rules.max_bytes, fifo=queue.is_fifo, by_content=rules.by_content)
    except SqsError as error:
        return error
    return None


def sending(message: Outgoing, queue: Queue, sender: str) -> list[Any]:
    """A message as `SEND` takes it."""
    rules = queue.rules
    stored, duplicate = _stored(message, queue, sender), ""
    if stored.deduplication_id is not None:
        duplicate = f"{message.group}\0" * rules.by_group + stored.deduplication_id
    group = stored.group if queue.is_fifo else None
    return [group or "", duplicate, _delay_ms(message, queue.is_fifo, rules), new_request_id(), _encoder.encode(stored)]


def sent(message: Outgoing, message_id: bytes, number: bytes, queue: Queue) -> Sent:
    """What is told of a message that `SEND` has stored, now or before."""
    return Sent(
        message_id=message_id.decode(),
        body_md5=messages.digest(message.body),
        attributes_md5=messages.attributes_digest(message.attributes),
        trace_md5=messages.trace_digest(message.trace),
        sequence=_sequence(number) if queue.is_fifo else None,
    )


def received(queue: Queue, key: bytes, parts: list[bytes]) -> list[Received]:
    """The messages in the answer to a receive."""
    mark = mark_of(queue.arn)
    return [
        _received(queue, Receipt(mark, queue.uid, key, parts[at]), parts[at:]) for at in range(0, len(parts), _PARTS)
    ]


def receipt(handle: str, mark: str) -> Receipt | ReceiptHandleIsInvalid:
    """What a handle says, or why it cannot be one of the queue's with this mark."""
    try:
        found = receipt_of(handle)
    except ReceiptHandleIsInvalid as error:
        return error
    return found if found.mark == mark else ReceiptHandleIsInvalid(handle)


def verdict(state: bytes, handle: str, seconds: int | None) -> SqsError | None:
    """What a script's word for a handle means; `None` when it did what it was to do."""
    if state == b"ok":
        return None
    if state == b"beyond":
        reason = f"Total VisibilityTimeout for the message is beyond the limit [{MAX_VISIBILITY_S} seconds]"
        return InvalidParameter(f"Value {seconds} for parameter VisibilityTimeout is invalid. Reason: {reason}")
    reason = {
        b"expired": "The receipt handle has expired.",
        b"missing": "Message does not exist or is not available for visibility timeout change.",
    }[state]
    return InvalidParameter(f"Value {handle} for parameter ReceiptHandle is invalid. Reason: {reason}")


def bad_visibility(seconds: int) -> InvalidParameter | None:
    """The error for a time no message may be in flight."""
    if 0 <= seconds <= MAX_VISIBILITY_S:
        return None
    reason = f"VisibilityTimeout must be an integer between 0 and {MAX_VISIBILITY_S}"
    return InvalidParameter(f"Value {seconds} for parameter VisibilityTimeout is invalid. Reason: {reason}")


def _stored(message: Outgoing, queue: Queue, sender: str) -> Stored:
    deduplication_id = message.deduplication_id
    if queue.is_fifo and deduplication_id is None:
        deduplication_id = messages.content_id(message.body)
    return Stored(message.body, sender, message.attributes, message.trace, message.group, deduplication_id)


def _delay_ms(message: Outgoing, fifo: bool, rules: Rules) -> int:
    return rules.delay_ms if message.delay_s is None or fifo else message.delay_s * 1000


def _received(queue: Queue, receipt: Receipt, parts: list[bytes]) -> Received:
    _, body, count, first = parts[:_PARTS]
    content = 52 + int(body[49:52])
    return Received(
        message_id=body[13:49].decode(),
        message=_decoder.decode(body[content:]),
        handle=handle_of(receipt),
        sent_ms=int(body[:13]),
        receives=int(count),
        first_received_ms=int(float(first)),
        sequence=_sequence(receipt.id[-12:]) if queue.is_fifo else None,
        dead_letter_source=body[52:content].decode() or None,
    )


def _sequence(number: bytes) -> str:
    """Of twenty digits, as SQS's."""
    return f"{int(number):020d}"
