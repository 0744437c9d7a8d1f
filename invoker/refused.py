"""Calls that were refused, the latest of them: nothing of them ran, so that there is no reading to explain them by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from samovar.errors import SamovarError
from samovar.invocation import InvokeHead
from samovar.link.operations import RefusedCall, RefusedQuestion

if TYPE_CHECKING:
    from invoker.server import Operation

MOST: Final = 1000
"""A storm is refused by the thousand, and who asks afterwards asks about one of the last."""


class RefusedCalls:
    """The last `MOST` of them, in memory: after a restart nobody knows them any more."""

    def __init__(self) -> None:
        self._calls: dict[str, RefusedCall] = {}

    def note(self, call: InvokeHead, why: SamovarError, waited_s: float) -> None:
        """Take note of one."""
        self._calls.pop(call.request_id, None)  # one that is sent again is the latest again
        self._calls[call.request_id] = RefusedCall(
            request_id=call.request_id,
            arn=call.arn,
            version=call.version,
            failure=type(why).__name__,
            reason=why.reason,
            message=why.message,
            retry_after_s=why.retry_after,
            waited_ms=waited_s * 1000,
        )
        if len(self._calls) > MOST:
            del self._calls[next(iter(self._calls))]

    def table(self) -> dict[str, Operation]:
        """The operation that gateways ask by."""
        return {"refused": self.asked}

    async def asked(self, body: bytes) -> bytes:
        """What became of a call that was never run, if that is known."""
        return msgspec.json.encode(self.find(msgspec.json.decode(body, type=RefusedQuestion).request_id))

    def find(self, request_id: str) -> RefusedCall | None:
        """One of them, if it is known still."""
        return self._calls.get(request_id)
