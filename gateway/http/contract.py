"""What the warm path asks of the rest of the gateway: where functions are looked up, and what runs them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

import msgspec
from starlette.types import Send

from gateway.access.guard import Guard
from gateway.apis.table import ApiTable
from gateway.events.intake import Intake
from gateway.functions.record import FunctionRecord
from gateway.http.asgi import Request
from gateway.http.rendering import Response
from gateway.link.answer_stream import AnswerStream
from gateway.link.invoker_link import Answer, Call, Errand
from samovar.clock import Clock
from samovar.errors import SamovarError
from samovar.function import FunctionVersion
from samovar.names import LATEST


class Functions(Protocol):
    """Where functions are looked up; `gateway.functions.registry.Registry` is one."""

    apis: ApiTable
    """The routes that lead to them."""

    def cached(self, arn: str, qualifier: str = LATEST) -> FunctionRecord | None:
        """What takes a call to the function of an unqualified ARN, if it is known without I/O."""
        ...

    def cached_by_url(self, url_id: str) -> FunctionRecord | None:
        """The function of a URL, if it is known without I/O."""
        ...

    async def get(self, arn: str, qualifier: str | None = None) -> FunctionRecord:
        """What takes a call to it. Raises `ResourceNotFound` and `ServiceUnavailable`."""
        ...

    async def by_url(self, url_id: str) -> FunctionRecord | None:
        """The function of a URL. Raises `ServiceUnavailable`."""
        ...


class Invoker(Protocol):
    """What runs invocations; `gateway.link.invoker_link.InvokerLink` is one."""

    async def invoke(self, version: FunctionVersion, call: Call, payload: bytes, sent: Callable[[], None]) -> Answer:
        """Run one to its end; see `Errand`. Raises platform errors."""
        ...

    def stream(
        self, version: FunctionVersion, call: Call, payload: bytes, sent: Callable[[], None]
    ) -> AbstractAsyncContextManager[AnswerStream]:
        """Run one and take its answer as it comes. Raises platform errors."""
        ...

    def begin(self, errand: Errand, deliver: Callable[[Answer | SamovarError], None]) -> bool:
        """Run one and be told of its end; false when that cannot begin at once. Raises platform errors."""
        ...


class Parts(NamedTuple):
    """What calls are served with."""

    functions: Functions
    invoker: Invoker
    clock: Clock
    guard: Guard
    intake: Intake


class Wanted(msgspec.Struct, frozen=True):
    """What a request wants of the invoker."""

    errand: Errand
    settle: Callable[[Answer | SamovarError], Response]
    """The answer to the request, from what came of the errand."""


class SendsItself(Protocol):
    """An answer that comes into being while it is sent."""

    async def send(self, send: Send) -> None:
        """Send it. Raises platform errors before anything has been sent."""
        ...


class Trigger(Protocol):
    """One way to call a function over HTTP. `where` is the part of the request that named the function."""

    def wanted(self, request: Request, where: str, body: bytes) -> Wanted | None:
        """What the request wants, when that is known without I/O. Raises what `answer` would."""
        ...

    async def answer(self, request: Request, where: str) -> Response | SendsItself:
        """Serve the request, whose body may still be arriving. Raises platform errors and `ClientGone`."""
        ...


async def carry_out(invoker: Invoker, wanted: Wanted) -> Response:
    """Run an errand and settle it."""
    running, settle = invoker.invoke(*wanted.errand), wanted.settle
    del wanted  # a large event is not kept longer than the invoker needs it; see `Outgoing`
    outcome: Answer | SamovarError
    try:
        outcome = await running
    except SamovarError as error:
        outcome = error
    return settle(outcome)
