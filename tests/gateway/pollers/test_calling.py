"""How a mapping calls its function: by its qualifier, metered as a queue's call, cut off when it goes in circles."""

from __future__ import annotations

import msgspec
import pytest

from gateway import lineage
from gateway.functions.record import FunctionRecord
from gateway.link.invoker_link import Answer, Call
from gateway.pollers.calling import FunctionCall
from samovar.errors import RecursiveInvocation, ResourceNotFound
from samovar.function import FunctionVersion
from samovar.invocation import AnswerHead, Outcome
from tests.gateway.builders import record

ARN = "arn:aws:lambda:us-east-1:123456789012:function:orders"


class Platform:
    """Where the function is found, and what runs it."""

    def __init__(self, found: FunctionRecord | None = None, outcome: Outcome = Outcome.OK) -> None:
        self.found = found
        self.outcome = outcome
        self.asked: list[tuple[str, str | None]] = []
        self.calls: list[Call] = []

    async def get(self, arn: str, qualifier: str | None = None) -> FunctionRecord:
        self.asked.append((arn, qualifier))
        if self.found is None:
            raise ResourceNotFound(f"Function not found: {arn}")
        return self.found

    async def invoke(self, version: FunctionVersion, call: Call, payload: bytes) -> Answer:
        self.calls.append(call)
        return Answer(AnswerHead(self.outcome), payload)


def call_of(platform: Platform, arn: str = ARN) -> FunctionCall:
    return FunctionCall(arn, platform, platform, lambda: 1_700_000_000.0)


async def test_a_call_is_one_of_a_queue_by_the_qualifier_of_its_mapping() -> None:
    platform = Platform(record("orders"))
    called = await call_of(platform, f"{ARN}:live")(b"{}", [])
    assert (called.is_error, called.payload) == (False, b"{}")
    assert platform.asked == [(ARN, "live")]
    [call] = platform.calls
    assert (call.trigger, call.qualifier) == ("queue", "live")
    assert lineage.times(call.trace_id, ARN) == 1


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.OK])
async def test_however_a_function_fails_it_is_an_error(outcome: Outcome) -> None:
    assert (await call_of(Platform(record("orders"), outcome))(b"{}", [])).is_error


async def test_the_record_that_went_round_most_often_decides_and_a_circle_is_cut() -> None:
    platform = Platform(record("orders"))
    fresh = lineage.begun(lineage.new_root(0.0), f"{ARN}-other")
    worn = lineage.begun(lineage.new_root(0.0), ARN)
    for _ in range(lineage.MOST - 2):
        worn = lineage.followed(worn, ARN)
    call = call_of(platform)
    await call(b"{}", [fresh, worn])
    assert lineage.times(platform.calls[0].trace_id, ARN) == lineage.MOST
    with pytest.raises(RecursiveInvocation):
        await call(b"{}", [fresh, lineage.followed(worn, ARN)])
    platform.found = msgspec.structs.replace(record("orders"), recursive_loop="Allow")
    await call(b"{}", [lineage.followed(worn, ARN)])


async def test_what_is_gone_or_may_not_run_is_an_obstacle() -> None:
    assert await call_of(Platform(record("orders"))).obstacle() is None
    assert await call_of(Platform(record("orders", max_environments=0))).obstacle() == (
        "The function's reserved concurrency is 0"
    )
    assert await call_of(Platform()).obstacle() == f"Function not found: {ARN}"
