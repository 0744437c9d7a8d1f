"""SQS's operations: what each takes, what it needs of a key, and who carries it out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any, Final, NamedTuple

import msgspec

from gateway.lambda_api import model
from gateway.queues.api import managing, messaging, moving, requests
from gateway.queues.api.call import Answer, Call
from gateway.queues.errors import InvalidAction, MissingParameter
from samovar.access.roles import Permission

Handler = Callable[[Call, Any], Awaitable[Answer | None]]


class Operation(NamedTuple):
    """One of them."""

    name: str
    request: type[requests.Request]
    handler: Handler
    needs: Permission | None
    """What a key must have; `None` for what any key may do."""

    @property
    def is_of_queue(self) -> bool:
        """Whether it can be asked for at a queue's own URL."""
        return "queue_url" in self.request.__struct_fields__ or self.name == "GetQueueUrl"


_TABLE: Final[Mapping[Permission | None, Mapping[str, tuple[type[requests.Request], Handler]]]] = {
    None: {"GetQueueUrl": (requests.GetQueueUrl, managing.find_url)},
    "read": {
        "ListQueues": (requests.ListQueues, managing.list_all),
        "GetQueueAttributes": (requests.GetQueueAttributes, managing.get_attributes),
        "ListQueueTags": (requests.OfQueue, managing.list_tags),
        "ListDeadLetterSourceQueues": (requests.ListDeadLetterSourceQueues, managing.list_sources),
        "ListMessageMoveTasks": (requests.ListMessageMoveTasks, moving.list_all),
    },
    "invoke": {
        "SendMessage": (requests.SendMessage, messaging.send),
        "SendMessageBatch": (requests.SendMessageBatch, messaging.send_batch),
        "ReceiveMessage": (requests.ReceiveMessage, messaging.receive),
        "DeleteMessage": (requests.DeleteMessage, messaging.delete),
        "DeleteMessageBatch": (requests.DeleteMessageBatch, messaging.delete_batch),
        "ChangeMessageVisibility": (requests.ChangeMessageVisibility, messaging.change_visibility),
        "ChangeMessageVisibilityBatch": (requests.ChangeMessageVisibilityBatch, messaging.change_visibility_batch),
    },
    "deploy": {
        "CreateQueue": (requests.CreateQueue, managing.create),
        "DeleteQueue": (requests.OfQueue, managing.delete),
        "PurgeQueue": (requests.OfQueue, managing.purge),
        "SetQueueAttributes": (requests.SetQueueAttributes, managing.set_attributes),
        "TagQueue": (requests.TagQueue, managing.tag),
        "UntagQueue": (requests.UntagQueue, managing.untag),
        "AddPermission": (requests.AddPermission, managing.add_permission),
        "RemovePermission": (requests.RemovePermission, managing.remove_permission),
        "StartMessageMoveTask": (requests.StartMessageMoveTask, moving.start),
        "CancelMessageMoveTask": (requests.CancelMessageMoveTask, moving.cancel),
    },
}
"""A key that may call functions may use queues; it does not make them."""

OPERATIONS: Final[Mapping[str, Operation]] = {
    name: Operation(name, request, handler, needs)
    for needs, rows in _TABLE.items()
    for name, (request, handler) in rows.items()
}


def find(name: str) -> Operation:
    """The operation of that name. Raises `InvalidAction`."""
    if name not in OPERATIONS:
        raise InvalidAction(f"The action {name} is not valid for this endpoint.")
    return OPERATIONS[name]


def check_required(operation: Operation, given: requests.Request) -> None:
    """Raise `MissingParameter` for the first required member that is not given, here or in an entry of a batch."""
    for field, name in _required(operation.name):
        if getattr(given, field) in _NOTHING:
            raise MissingParameter(f"The request must contain the parameter {name}.")


_NOTHING: Final[tuple[object, ...]] = (None, "", [], {})


@cache
def _required(name: str) -> tuple[tuple[str, str], ...]:
    """What the model requires: our fields, with the model's names. Empty batches have an error of their own."""
    stated = model.operations("sqs")[name].input
    assert stated is not None, "every operation of SQS takes something"
    required = set(model.shape(stated, "sqs").required) - {"Entries"}
    fields = msgspec.structs.fields(OPERATIONS[name].request)
    return tuple((field.name, field.encode_name) for field in fields if field.encode_name in required)
