"""The worker of Node.js environments: a process forked by the keeper that becomes `node`.

What it is to start is in the keeper's variable `SAMOVAR_COMMAND`; the order travels in a variable of its own, which
`bootstrap.mjs` takes out of the environment before the function sees that.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from runtimes.python.bootstrap import Order

DEFAULT_COMMAND = ("/var/lang/bin/node", "/var/runtime/bootstrap.mjs")
COMMAND_VARIABLE = "SAMOVAR_COMMAND"
ORDER_VARIABLE = "SAMOVAR_ORDER"


def command_line(command: Sequence[str], order: Order) -> list[str]:
    """The program and the file that `command` names, with what a function of this size is started with."""
    # Of what the garbage collector may let grow, as AWS does: the rest is for the interpreter itself and for buffers.
    memory_mb = int(order.environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"))
    flags = [f"--max-semi-space-size={max(1, memory_mb // 20)}", f"--max-old-space-size={memory_mb * 9 // 10}"]
    return [command[0], *flags, *command[1:]]


def words(order: Order, socket: str) -> str:
    """What `bootstrap.mjs` is to do, for its variable; `socket` is where it connects."""
    return json.dumps(
        {
            "number": order.number,
            "socket": socket,
            "started": order.started,
            "handler": order.handler,
            "maxResponseBytes": order.max_response_bytes,
        }
    )


def run(order: Order) -> NoReturn:
    """Be the worker that carries `order` out."""
    told = os.environ.get(COMMAND_VARIABLE)
    command = command_line(json.loads(told) if told else DEFAULT_COMMAND, order)
    variables = {**order.environment, ORDER_VARIABLE: words(order, os.path.join(order.socket_dir, "invoker.sock"))}
    directory = order.environment.get("LAMBDA_TASK_ROOT", "/var/task")
    try:
        os.chdir(directory)
        os.execve(command[0], command, variables)  # noqa: S606 - no shell wanted
    except OSError as error:
        sys.exit(f"{command[0]} cannot be started in {directory}: {error.strerror}")
