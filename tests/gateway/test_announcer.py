"""An invoker that was started anew learns of provisioned environments without a call."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
import pytest

from gateway.functions.qualified_store import QualifiedStore
from gateway.functions.record import Attached, ProvisionedConcurrency
from gateway.functions.store import Store
from gateway.link.announcer import Announcer
from gateway.link.invoker_link import InvokerLink
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


async def test_versions_that_are_provisioned_are_told_with_how_many(store: Store) -> None:
    held = ProvisionedConcurrency(requested=3, modified="", versions={"2": 3})
    latest = msgspec.structs.replace(record("some", revision_id="r1"), attached={"live": Attached(provisioned=held)})
    await store.create(latest)
    qualified = QualifiedStore(store.redis)
    for number in ("1", "2"):
        current = await store.get(latest.arn)
        assert current is not None
        version = msgspec.structs.replace(current.version, revision_id=f"v{number}")
        changed = msgspec.structs.replace(current, version=version)
        published = record("some", revision_id=number, version=number, serial=int(number))
        assert await qualified.publish(current, changed, published) == "ok"
    with tempfile.TemporaryDirectory(prefix="smv-") as folder:
        socket = Path(folder) / "s"
        async with InvokerLink(socket) as link, Announcer(link, store), FakeInvoker(socket) as invoker:
            while not declared(invoker):
                await invoker.until_changed()
            told = [
                msgspec.json.decode(body, type=FunctionVersion) for op, body in invoker.operations if op == "declare"
            ]
    assert [(one.version, one.provisioned) for one in told] == [("2", (Provision(count=3),))]
