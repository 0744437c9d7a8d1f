"""How a runtime is started does not show: what functions see of the file an interpreter was told to run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.runtimes.peer import BOOTSTRAP, Peer

Code = Callable[[str], Path]

LOOK = """
import __main__
import multiprocessing

def double(number):
    return 2 * number

def handler(event, context):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        doubled = pool.map(double, [21])
    return {"main": [__main__.__name__, __main__.__file__, __main__.__spec__], "doubled": doubled}
"""


def test_the_main_module_is_the_bootstrap_also_for_processes_that_a_function_spawns(peer: Peer, code: Code) -> None:
    worker = peer.start("app.handler", code(LOOK))
    main = str(BOOTSTRAP.with_name("bootstrap.py"))
    assert worker.call().json() == {"main": ["__main__", main, None], "doubled": [42]}


def test_a_function_may_have_a_module_of_the_name_bootstrap(peer: Peer, tmp_path: Path) -> None:
    (tmp_path / "bootstrap.py").write_text("def handler(event, context): return 'the function'")
    assert peer.start("bootstrap.handler", tmp_path).call().json() == "the function"
