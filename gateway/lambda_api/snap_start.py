"""SnapStart: whether the environments of published versions come from a process that is initialised already.

Environments are forked from one wherever the host can, of every function, so the choice is kept and told, and decides
what a version promises rather than how it is started. Source: AWS Lambda developer guide, "Improving startup
performance with Lambda SnapStart", and recorded answers of AWS.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.functions.record import FunctionRecord
from gateway.lambda_api.models import SnapStart, SnapStartResponse
from samovar.errors import InvalidParameterValue
from samovar.names import LATEST

_PUBLISHED: Final = "PublishedVersions"
_RUNTIMES: Final = frozenset(["python3.12", "python3.13", "python3.14"])
"""Of those that there are here; AWS takes it for Java and .NET, too."""


def applied(record: FunctionRecord, given: SnapStart | None) -> FunctionRecord:
    """The function with what a request says of it; `None` leaves it as it is.

    Raises `InvalidParameterValue`, in AWS's words, where its runtime is none for which AWS takes it.
    """
    chosen = record.snap_start if given is None else given.apply_on == _PUBLISHED
    runtime = record.version.runtime if record.version.image is None else "ContainerImage"
    if chosen and runtime not in _RUNTIMES:
        raise InvalidParameterValue(f"{runtime} is not supported for SnapStart enabled functions.")
    return msgspec.structs.replace(record, snap_start=chosen)


def shown(record: FunctionRecord) -> SnapStartResponse:
    """What the API says of it: `$LATEST` may have it chosen, but only versions are optimised."""
    if not record.snap_start:
        return SnapStartResponse("None", "Off")
    return SnapStartResponse(_PUBLISHED, "Off" if record.version.version == LATEST else "On")
