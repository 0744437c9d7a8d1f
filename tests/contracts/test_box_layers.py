"""Layers: where a box sees them, and that it cannot change them."""

from __future__ import annotations

import pytest

from invoker.isolation.contract import Isolation
from tests.contracts.conftest import Kind
from tests.contracts.harness import Wish, open_room

LAYERS = {
    "python/greeting.py": "WORD = 'hello'",
    "python/lib/python3.11/site-packages/greeting.py": "WORD = 'of this version'",
    "python/lib/python3.11/site-packages/parting.py": "WORD = 'bye'",
    "bin/tool": "#!/bin/sh\necho from the layer",
}


@pytest.mark.needs("walls")
async def test_layers_are_read_only_in_opt(isolation: Isolation, kind: Kind) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime, layers=LAYERS)) as room:
        worker = await room.spawn()
        assert await room.run(worker, "import os; result = sorted(os.listdir('/opt'))") == ["bin", "python"]
        assert await room.error(worker, "open('/opt/python/greeting.py', 'a')") in ("OSError", "PermissionError")
        assert await room.error(worker, "import os; os.mkdir('/opt/new')") in ("OSError", "PermissionError")
        source = "import subprocess; result = subprocess.run('/opt/bin/tool', capture_output=True, text=True).stdout"
        assert await room.run(worker, source) == "from the layer\n"


@pytest.mark.needs("processes")
async def test_modules_of_layers_are_found_those_of_the_version_first(isolation: Isolation, kind: Kind) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime, layers=LAYERS)) as room:
        worker = await room.spawn()
        source = "import greeting, parting; result = [greeting.WORD, parting.WORD]"
        assert await room.run(worker, source) == ["of this version", "bye"]


@pytest.mark.needs("walls")
async def test_without_layers_nothing_of_the_host_is_in_opt(isolation: Isolation, kind: Kind) -> None:
    async with open_room(isolation, Wish(oci_runtime=kind.oci_runtime)) as room:
        found = await room.run(await room.spawn(), "import os; result = [f for _, _, f in os.walk('/opt') if f]")
        assert found == []
