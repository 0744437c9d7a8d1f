"""An invoker that was started anew learns of provisioned environments without a call."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
import pytest

from gateway.announcer import Announcer
from gateway.invoker_link import InvokerLink
from gateway.store import Store
from samovar.function import FunctionVersion
from samovar.provisioning import Provision
from tests.gateway.builders import record
from tests.gateway.fake_invoker import FakeInvoker

pytestmark = pytest.mark.component("valkey")


def declared(invoker: FakeInvoker) -> list[str]:
    return [msgspec.json.decode(body, type=FunctionVersion).name for op, body in invoker.operations if op == "declare"]


async def test_each_new_connection_is_told_of_them_and_of_nothing_else(store: Store) -> None:
    await store.create(record("usual", revision_id="r1"))
    await store.create(record("ready", revision_id="r2", provisioned=(Provision(count=2),)))
    with tempfile.TemporaryDirectory(prefix="smv-") as folder:
        socket = Path(folder) / "s"
        async with InvokerLink(socket) as link, Announcer(link, store):
            for _ in range(2):
                async with FakeInvoker(socket) as invoker:
                    while not declared(invoker):
                        await invoker.until_changed()
                    assert declared(invoker) == ["ready"]
