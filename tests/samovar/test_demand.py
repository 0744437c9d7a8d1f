"""Asking the supervisor for what is started when it is needed: who is answered, and what is left of it."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from samovar.errors import ServiceUnavailable, StartRefused
from samovar.process import demand
from samovar.settings import Settings
from samovar.supervisor import state
from samovar.supervisor.child import ChildSpec
from samovar.supervisor.on_demand import OnDemand
from samovar.supervisor.state import PlatformState

_ASKS = """
import os, socket, sys
os.setuid(65534)
asking = socket.socket(socket.AF_UNIX)
asking.connect("\\0" + sys.argv[1])
print(asking.recv(9))
"""


async def refuse(spec: ChildSpec) -> None:
    raise StartRefused("the server is missing\ninstall it")


def told(settings: Settings, name: str) -> None:
    """Write the state file of a supervisor that listens there."""
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    path = state.path_of(settings)
    known = {"url": "", "data_dir": settings.data_dir, "store": "", "isolation": "", "ready": True, "processes": []}
    state.write(path, PlatformState(pid=os.getpid(), birth=None, started=0.0, version="", demand=name, **known))  # type: ignore[arg-type]  # of the types it wants


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=str(tmp_path))


async def test_what_runs_is_had_and_what_cannot_be_had_is_said(settings: Settings) -> None:
    listener = demand.listener()
    told(settings, demand.name_of(listener))
    broken = ChildSpec(name="broken", command=None, ready=None)  # type: ignore[arg-type]  # it is never started
    async with OnDemand({"nothing": [], "broken": [broken]}, refuse).listening(listener):
        await demand.demand(settings, "nothing")
        with pytest.raises(ServiceUnavailable, match="the server is missing install it"):
            await demand.demand(settings, "broken")
        with pytest.raises(ServiceUnavailable, match="there is nothing called 'other' to start"):
            await demand.demand(settings, "other")


async def test_it_is_said_when_there_is_no_supervisor(settings: Settings) -> None:
    with pytest.raises(ServiceUnavailable, match="no `samovar up` runs on this data directory"):
        await demand.demand(settings, "uploads")
    listener = demand.listener()
    told(settings, demand.name_of(listener))
    listener.close()  # as the kernel closes it when the supervisor is killed
    with pytest.raises(ServiceUnavailable, match="no `samovar up` runs on this data directory"):
        await demand.demand(settings, "uploads")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_other_users_are_not_answered() -> None:
    listener = demand.listener()
    name = demand.name_of(listener)
    async with OnDemand({}, refuse).listening(listener):
        asking = await asyncio.create_subprocess_exec(sys.executable, "-c", _ASKS, name, stdout=subprocess.PIPE)
        said, _ = await asyncio.wait_for(asking.communicate(), 30)
    assert (asking.returncode, said) == (0, b"b''\n")


def test_who_is_at_the_other_end_is_known() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert demand.is_ours(one)
