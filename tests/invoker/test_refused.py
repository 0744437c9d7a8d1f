"""Calls that were refused are remembered, and no more of them than anybody asks for."""

from __future__ import annotations

import msgspec

from invoker.refused import MOST, RefusedCalls
from samovar.errors import TooManyRequests
from samovar.invocation import InvokeHead
from samovar.link.operations import RefusedCall, RefusedQuestion

WHY = TooManyRequests("Rate Exceeded.", retry_after=2.0, reason="ConcurrentInvocationLimitExceeded")


def call(number: int) -> InvokeHead:
    arn = "arn:aws:lambda:us-east-1:123456789012:function:tea"
    return InvokeHead(op="invoke", request_id=f"r{number}", arn=arn, version="$LATEST", serial=1, trigger="invoke")


async def test_what_a_call_was_refused_for_is_known() -> None:
    calls = RefusedCalls()
    calls.note(call(1), WHY, 0.25)
    found = calls.find("r1")
    assert found is not None
    assert (found.failure, found.reason, found.message) == ("TooManyRequests", WHY.reason, "Rate Exceeded.")
    assert (found.retry_after_s, found.waited_ms, found.version) == (2.0, 250.0, "$LATEST")
    asked = calls.table()["refused"]
    assert msgspec.json.decode(await asked(msgspec.json.encode(RefusedQuestion("r1"))), type=RefusedCall) == found
    assert await asked(msgspec.json.encode(RefusedQuestion("r2"))) == b"null"


def test_of_a_storm_the_last_ones_are_known() -> None:
    calls = RefusedCalls()
    for number in range(MOST):
        calls.note(call(number), WHY, 0.0)
    calls.note(call(0), WHY, 0.0)  # again: it is the latest now
    for number in range(MOST, MOST + 5):
        calls.note(call(number), WHY, 0.0)
    assert [number for number in range(MOST + 5) if calls.find(f"r{number}") is None] == [1, 2, 3, 4, 5]
