"""What the warm path asks of the rest of the gateway: where functions are looked up, and what runs them."""

from __future__ import annotations

from typing import Protocol

from gateway.invoker_link import Answer, Call
from gateway.record import FunctionRecord
from samovar.function import FunctionVersion


class Functions(Protocol):
    """Where functions are looked up; `gateway.registry.Registry` is one."""

    def cached(self, name: str) -> FunctionRecord | None:
        """The function, if it is known without I/O."""
        ...

    def cached_by_url(self, url_id: str) -> FunctionRecord | None:
        """The function of a URL, if it is known without I/O."""
        ...

    async def get(self, name: str, qualifier: str | None = None) -> FunctionRecord:
        """The function. Raises `ResourceNotFound` and `ServiceUnavailable`."""
        ...

    async def by_url(self, url_id: str) -> FunctionRecord | None:
        """The function of a URL. Raises `ServiceUnavailable`."""
        ...


class Invoker(Protocol):
    """What runs invocations; `gateway.invoker_link.InvokerLink` is one."""

    async def invoke(self, version: FunctionVersion, call: Call, payload: bytes) -> Answer:
        """Run one to its end. Raises platform errors."""
        ...
