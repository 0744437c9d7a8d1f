"""Operations on tasks that move messages out of dead-letter queues."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NoBase64
from typing import Final

import msgspec

from gateway.queues.api import requests
from gateway.queues.api.call import Answer, Call, check_range
from gateway.queues.errors import InvalidParameter
from gateway.queues.move_store import KEPT, Move


class _Handle(msgspec.Struct, frozen=True, rename="camel"):
    """What a task's handle says, as AWS's do."""

    task_id: str
    source_arn: str


_BAD_HANDLE: Final = "Value for parameter TaskHandle is invalid."


async def start(call: Call, given: requests.StartMessageMoveTask) -> Answer:
    """StartMessageMoveTask."""
    rate = given.max_number_of_messages_per_second
    return {"TaskHandle": _handle(await call.moves.start(given.source_arn, given.destination_arn or None, rate))}


async def cancel(call: Call, given: requests.CancelMessageMoveTask) -> Answer:
    """CancelMessageMoveTask."""
    try:
        handle = msgspec.json.decode(b64decode(given.task_handle, validate=True), type=_Handle)
    except (NoBase64, ValueError, msgspec.MsgspecError) as error:
        raise InvalidParameter(_BAD_HANDLE) from error
    return {"ApproximateNumberOfMessagesMoved": await call.moves.cancel(handle.task_id, handle.source_arn)}


async def list_all(call: Call, given: requests.ListMessageMoveTasks) -> Answer:
    """ListMessageMoveTasks."""
    check_range("MaxResults", given.max_results, 1, KEPT)
    found = await call.moves.latest(given.source_arn, given.max_results or 1)
    return {"Results": [_shown(move) for move in found]} if found else {}


def _handle(move: Move) -> str:
    return b64encode(msgspec.json.encode(_Handle(move.id, move.source))).decode()


def _shown(move: Move) -> Answer:
    shown = {
        "TaskHandle": _handle(move) if move.status == "RUNNING" else "",
        "Status": move.status,
        "SourceArn": move.source,
        "DestinationArn": move.destination,
        "MaxNumberOfMessagesPerSecond": move.rate,
        "FailureReason": move.reason,
    }
    return {name: value for name, value in shown.items() if value} | {
        "ApproximateNumberOfMessagesMoved": move.moved,
        "ApproximateNumberOfMessagesToMove": move.to_move,
        "StartedTimestamp": move.started_ms,
    }
