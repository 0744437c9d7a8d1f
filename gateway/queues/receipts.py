"""Receipt handles: opaque to clients, and all that is needed to find what was received. Pure."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NoBase64
from typing import Final, NamedTuple
from zlib import crc32

from gateway.queues.errors import ReceiptHandleIsInvalid

KEY_BYTES: Final = 16
"""Of the key that tells one receive from another, as hex digits in ASCII; a queue's uid has as many."""
_MARK_BYTES: Final = 8
_ID: Final = re.compile(rb"(?:[!-~]{1,128}\x00)?\d{12}")


class Receipt(NamedTuple):
    """What a handle says."""

    mark: str
    """Of the queue, as `mark_of` gives it."""
    uid: str
    """Where the queue's messages were when it was received."""
    key: bytes
    """Of the receive."""
    id: bytes
    """Of the message within the queue."""


def mark_of(arn: str) -> str:
    """What tells handles of one queue from those of others."""
    return format(crc32(arn.encode()), "08x")


def handle_of(receipt: Receipt) -> str:
    """The handle of a received message."""
    return urlsafe_b64encode(f"{receipt.mark}{receipt.uid}".encode() + receipt.key + receipt.id).decode()


def receipt_of(handle: str) -> Receipt:
    """What a handle says. Raises `ReceiptHandleIsInvalid` for what no receive ever gave out."""
    try:
        raw = urlsafe_b64decode(handle.encode("ascii"))
    except (NoBase64, ValueError) as error:
        raise ReceiptHandleIsInvalid(handle) from error
    queue, raw = raw[: _MARK_BYTES + KEY_BYTES], raw[_MARK_BYTES + KEY_BYTES :]
    key, message = raw[:KEY_BYTES], raw[KEY_BYTES:]
    if _ID.fullmatch(message) is None or not queue.isalnum() or not key.isalnum():
        raise ReceiptHandleIsInvalid(handle)
    words = queue.decode("ascii")
    return Receipt(words[:_MARK_BYTES], words[_MARK_BYTES:], key, message)
