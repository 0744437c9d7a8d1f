"""An invoker to be killed: `python -m tests.contracts.orphan KIND INSTANCE` starts a box, tells of it and waits."""

from __future__ import annotations

import asyncio
import sys

from tests.contracts.conftest import KINDS
from tests.contracts.harness import Wish, open_room


async def main(name: str, instance: str) -> None:
    """Print the box's id and pid once a worker is in it."""
    kind = next(kind for kind in KINDS if kind.name == name)
    async with open_room(kind.make(instance), Wish(oci_runtime=kind.oci_runtime)) as room:
        await room.spawn()
        sys.stdout.write(f"{room.box.id} {room.box.pid} {room.socket_dir.parent}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
