"""The worker of environments whose function is a program of its own: it starts that and serves it the Runtime API.

To the invoker it is a worker as any other (docs/runtime-protocol.md): it says hello, is ready when the program asks for
its first event, and answers events with what the program posts. When the program ends, this process ends in the same
way, and the keeper, whose child it is, tells the invoker. See docs/decisions/0018-runtime-api-inside.md.

Runs on the interpreter that Samovar carries into environments (`invoker/isolation/carried.py`), never on another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NoReturn

    from runtimes.python.bootstrap import Order


def run(order: Order) -> NoReturn:
    """Be the worker that carries `order` out."""
    from .service import serve

    serve(order)


from . import service as _service  # noqa: E402, F401 - imported by the keeper, before it forks
