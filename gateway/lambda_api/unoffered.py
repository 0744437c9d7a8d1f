"""Operations of the Lambda API that Samovar does not offer: an error that AWS's clients know, and why.

Nothing is registered for them, but for code signing, whose answers depend on what is asked. A request that no route
takes is looked up in the API model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from fastapi.routing import APIRoute

from gateway.lambda_api import code_signing, model
from samovar.errors import InvalidParameterValue

_DURABLE: Final = "durable functions keep their progress in a service of AWS; keep yours in what your function reaches"
_CAPACITY: Final = "there are no managed instances; a function's environments are on this host"
_YET: Final = "it is not offered yet"

WHY_NOT: Final[dict[str, str]] = {
    "CheckpointDurableExecution": _DURABLE,
    "DeleteDurableExecution": _DURABLE,
    "GetDurableExecution": _DURABLE,
    "GetDurableExecutionHistory": _DURABLE,
    "GetDurableExecutionState": _DURABLE,
    "ListDurableExecutionsByFunction": _DURABLE,
    "PauseDurableExecution": _DURABLE,
    "ResumeDurableExecution": _DURABLE,
    "SendDurableExecutionCallbackFailure": _DURABLE,
    "SendDurableExecutionCallbackHeartbeat": _DURABLE,
    "SendDurableExecutionCallbackSuccess": _DURABLE,
    "StopDurableExecution": _DURABLE,
    "CreateCapacityProvider": _CAPACITY,
    "DeleteCapacityProvider": _CAPACITY,
    "GetCapacityProvider": _CAPACITY,
    "ListCapacityProviders": _CAPACITY,
    "ListFunctionVersionsByCapacityProvider": _CAPACITY,
    "UpdateCapacityProvider": _CAPACITY,
    "GetFunctionScalingConfig": _CAPACITY,
    "PutFunctionScalingConfig": _CAPACITY,
    **{route.name: code_signing.WHY_NOT for route in code_signing.router.routes if isinstance(route, APIRoute)},
}
"""Reasons, where there is a better one than that somebody has to write it."""


def why_not(name: str) -> str:
    """Why an operation that no route serves is not offered."""
    return WHY_NOT.get(name, _YET)


def refusal(method: str, path: str, query: bytes) -> InvalidParameterValue | None:
    """The answer to a request that no route has taken; `None` when it is no operation of the Lambda API."""
    found = _meant(model.operations().values(), method, path, query)
    return None if found is None else InvalidParameterValue(f"{found} is not offered by Samovar: {why_not(found)}")


def _meant(operations: Iterable[model.Operation], method: str, path: str, query: bytes) -> str | None:
    parts = query.decode("latin-1").split("&")
    matching = [one for one in operations if one.method == method and _pattern(one.path).fullmatch(path)]
    # The operation that names part of its query comes before the one that has the same path without it.
    matching.sort(key=lambda one: not one.query)
    return next((one.name for one in matching if not one.query or one.query in parts), None)


def _pattern(path: str) -> re.Pattern[str]:
    """What the path of an operation looks like. Members that are ARNs may hold slashes."""
    pieces = re.split(r"(\{\w+\})", path.rstrip("/"))
    return re.compile("".join(_piece(piece) for piece in pieces))


def _piece(piece: str) -> str:
    if not piece.startswith("{"):
        return re.escape(piece)
    return ".+" if piece in ("{Resource}", "{CallbackId}") or piece.endswith("Arn}") else "[^/]+"
