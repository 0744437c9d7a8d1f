"""Functions for tests of the warm path: a registry in memory, and records to put into it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import httpx
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from gateway.access.guard import Guard
from gateway.access.key_store import KeyStore
from gateway.access.keyring import Keyring
from gateway.access.vault import Vault
from gateway.apis.table import ApiTable
from gateway.events.intake import Intake
from gateway.functions.record import FunctionRecord, FunctionUrl
from gateway.functions.registry import not_found
from gateway.functions.store import connect
from gateway.http.contract import Parts
from gateway.http.hot import HotPath
from gateway.link.invoker_link import InvokerLink, LinkLimits
from samovar.clock import ManualClock
from samovar.cors import Cors
from samovar.function import FunctionVersion
from samovar.names import LATEST
from samovar.settings import Settings
from tests.gateway.builders import ROOT
from tests.gateway.fake_invoker import FakeInvoker, Run, echo

ACCOUNT, REGION = "123456789012", "us-east-1"


def record(name: str = "orders", url: FunctionUrl | None = None, http_route: bool = True) -> FunctionRecord:
    """A function's record."""
    version = FunctionVersion(
        name=name,
        account=ACCOUNT,
        region=REGION,
        serial=1,
        revision_id="r",
        runtime="python3.11",
        handler="app.handler",
        code_sha256="0" * 64,
    )
    return FunctionRecord(version=version, url=url, http_route=http_route)


def function_url(url_id: str, cors: Cors | None = None, **fields: Any) -> FunctionUrl:
    """A function URL."""
    return FunctionUrl(url_id=url_id, cors=cors, created="", modified="", **fields)


class KnownFunctions:
    """A registry whose functions are given; half of the look-ups miss the cache, as they may in life."""

    def __init__(self, *records: FunctionRecord, warm: bool = True) -> None:
        self._records = {record.arn: record for record in records}
        self.apis = ApiTable()
        for record in records:
            self.apis.follows(record)
        self._by_url = {f"{record.url.url_id}.{REGION}": record for record in records if record.url is not None}
        self._warm = warm

    def cached(self, arn: str, qualifier: str = LATEST) -> FunctionRecord | None:
        """See `gateway.http.contract.Functions`."""
        return self._records.get(arn) if qualifier == LATEST and self._warm else None

    def cached_by_url(self, url_id: str) -> FunctionRecord | None:
        """See `gateway.http.contract.Functions`."""
        return self._by_url.get(url_id) if self._warm else None

    async def get(self, arn: str, qualifier: str | None = None) -> FunctionRecord:
        """See `gateway.http.contract.Functions`."""
        if arn not in self._records or qualifier not in (None, LATEST):
            raise not_found(arn, qualifier)
        return self._records[arn]

    async def by_url(self, url_id: str) -> FunctionRecord | None:
        """See `gateway.http.contract.Functions`."""
        return self._by_url.get(url_id)


async def control(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands where FastAPI stands."""
    await PlainTextResponse("control")(scope, receive, send)


class Gateway:
    """The warm path with a fake invoker behind it and an HTTP client before it."""

    def __init__(self, app: HotPath, invoker: FakeInvoker, client: httpx.AsyncClient) -> None:
        self.app = app
        self.invoker = invoker
        self.client = client


@asynccontextmanager
async def gateway(
    folder: Path,
    *records: FunctionRecord,
    run: Run = echo,
    warm: bool = True,
    calls: int = 100,
    auth: Literal["sigv4", "none"] = "none",
    store: str = "",
    **more: Any,
) -> AsyncIterator[Gateway]:
    """A served gateway; nearly all that it does is the same whether calls are signed or not."""
    settings = Settings(
        data_dir=str(folder), account=ACCOUNT, region=REGION, max_payload_bytes=64 * 1024, auth=auth, **more
    )
    socket = folder / "invoker.sock"
    functions = KnownFunctions(*(records or (record(),)), warm=warm)
    async with FakeInvoker(socket, run) as invoker, InvokerLink(socket, LinkLimits(calls=calls, patience=0.5)) as link:
        clock = ManualClock()
        client = connect(store or f"unix://{folder}/no-store")
        keyring = Keyring(KeyStore(client), Vault(folder / "secrets.key"), ROOT)
        intake = Intake(client, lambda lines: None, settings.max_event_bytes)
        app = HotPath(settings, Parts(functions, link, clock, Guard(settings, keyring, clock), intake), control)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://box.example.com:9000") as caller:
            yield Gateway(app, invoker, caller)
        await client.aclose()
