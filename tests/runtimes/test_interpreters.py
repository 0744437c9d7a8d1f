"""The runtime on every Python that is installed here, from 3.9 on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from invoker.environments.runtimes import Interpreter, catalog, find_interpreter
from tests.runtimes.conftest import PYTHON, box
from tests.runtimes.peer import Peer
from tests.runtimes.snapshots import Origin

TEXT = """
import os, sys, logging
def handler(event, context):
    if event == "version":
        return "%d.%d" % sys.version_info[:2]
    if event == "exit":
        os._exit(9)
    if event == "error":
        raise ValueError("ž")
    print("printed")
    logging.error("logged")
    return event
"""

INSTALLED = [
    pytest.param(name, found, id=name)
    for name, entry in catalog().items()
    if entry.language == "python" and (found := find_interpreter(name)) is not None
]


@pytest.mark.parametrize(("name", "interpreter"), INSTALLED)
def test_a_workers_life(socket_dir: Path, code: Callable[[str], Path], name: str, interpreter: Interpreter) -> None:
    folder = code(TEXT)
    with Peer(socket_dir, interpreter.executable) as peer:
        worker = peer.start("app.handler", folder)
        assert f"python{worker.call('version').json()}" == name
        big = "x" * 6_000_000
        assert worker.call(big).json() == big
        assert "printed\n[ERROR]\t" in worker.log()
        error = worker.call("error").json()
        assert (error["errorType"], error["errorMessage"]) == ("ValueError", "ž")
        worker.send(b'"exit"')
        assert peer.exited().head == {"status": 9}
        anew = peer.start("app.handler", folder, {"PYTHONHASHSEED": "1"})
        assert anew.call([1]).json() == [1]
        assert peer.kill(anew).head == {"signal": 9}


LOOKS = """
import site, sys
def handler(event, context):
    has_packages = not set(sys.path).isdisjoint(site.getsitepackages())
    return [sys.flags.no_site, "sitecustomize" in sys.modules, has_packages, exit.name]
"""


@pytest.mark.parametrize("anew", [{}, {"PYTHONHASHSEED": "1"}], ids=["forked", "new interpreter"])
def test_without_site_the_hosts_packages_are_there_and_their_programs_do_not_run(
    socket_dir: Path, code: Callable[[str], Path], anew: dict[str, str]
) -> None:
    with Peer(socket_dir, PYTHON, flags=("-S",)) as peer:
        assert peer.start("app.handler", code(LOOKS), anew).call(None).json() == [1, False, True, "exit"]


@pytest.mark.parametrize(("name", "interpreter"), INSTALLED)
def test_a_forked_workers_life(
    socket_dir: Path, tmp_path: Path, code: Callable[[str], Path], name: str, interpreter: Interpreter
) -> None:
    folder = code(TEXT)
    with (
        Peer(socket_dir, interpreter.executable, prefix=box(socket_dir, tmp_path)) as peer,
        Origin(peer, folder, {"PYTHONHASHSEED": "1"}) as origin,
    ):
        assert origin.obstacle is None
        forked = origin.fork()
        assert f"python{forked.call('version').json()}" == name
        assert forked.call([1]).json() == [1]
        assert "printed\n[ERROR]\t" in forked.log()
        assert forked.call("error").json()["errorMessage"] == "ž"
        forked.send(b'"exit"')
        assert origin.exited().head == {"status": 9}
