"""The function of a mapping, called as any other synchronous call: by the invoker, metered, with a log of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from gateway import lineage
from gateway.functions.record import FunctionRecord
from gateway.link.invoker_link import Answer, Call
from gateway.pollers.poller import Called
from samovar.errors import ResourceNotFound
from samovar.function import FunctionVersion
from samovar.invocation import Outcome
from samovar.names import new_request_id, split_arn


class Functions(Protocol):
    """Where functions are looked up; `gateway.functions.registry.Registry` is one."""

    async def get(self, arn: str, qualifier: str | None = None) -> FunctionRecord:
        """What takes a call to it. Raises `ResourceNotFound` and `ServiceUnavailable`."""
        ...


class Invoker(Protocol):
    """What runs invocations; `gateway.link.invoker_link.InvokerLink` is one."""

    async def invoke(self, version: FunctionVersion, call: Call, payload: bytes) -> Answer:
        """Run one to its end. Raises platform errors."""
        ...


class FunctionCall:
    """Calls the function that a mapping's ARN names; an alias is resolved with each call."""

    def __init__(self, function_arn: str, functions: Functions, invoker: Invoker, epoch: Callable[[], float]) -> None:
        self._arn, self._qualifier = split_arn(function_arn)
        self._functions = functions
        self._invoker = invoker
        self._epoch = epoch

    async def __call__(self, event: bytes, traces: Sequence[str]) -> Called:
        """See `gateway.pollers.poller.Call`. Raises `RecursiveInvocation` for records that go in circles, too."""
        record = await self._functions.get(self._arn, self._qualifier)
        trace = self._trace(traces)
        lineage.check(trace, self._arn, record.recursive_loop)
        call = Call(new_request_id(), trigger="queue", trace_id=trace, qualifier=self._qualifier)
        answer = await self._invoker.invoke(record.version, call, event)
        return Called(answer.head.outcome is not Outcome.OK, answer.payload)

    async def obstacle(self) -> str | None:
        """A function that is gone, or has no concurrency, leaves its source alone."""
        try:
            record = await self._functions.get(self._arn, self._qualifier)
        except ResourceNotFound as error:
            return error.message
        if record.version.max_environments == 0:
            return "The function's reserved concurrency is 0"
        return None

    def _trace(self, traces: Sequence[str]) -> str:
        """Of several records, the one that has been with this function most often says where the event comes from."""
        if not traces:
            return lineage.begun(lineage.new_root(self._epoch()), self._arn)
        return lineage.followed(max(traces, key=lambda trace: lineage.times(trace, self._arn)), self._arn)
