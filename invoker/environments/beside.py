"""Whether something of the function's own is to run beside, or around, the runtime of its environments.

Most functions have nothing of the kind and pay nothing for it: their environments have no process that serves the
Extensions API, and are forked as ever. See docs/decisions/0034-extensions-beside-our-runtimes.md.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

from invoker.environments.runtimes import runtime
from samovar.function import FunctionVersion

FOLDER = "extensions"
"""Of the layers: each file in it is the program of an extension (AWS Lambda developer guide, "Extensions API")."""
WRAPPER_VARIABLE = "AWS_LAMBDA_EXEC_WRAPPER"
"""Names a script that is to start the runtime (the same, "Modifying the runtime environment")."""


def has_something(version: FunctionVersion, layers_dir: Path | None) -> bool:
    """Whether there is an extension in its layers, or a script that wraps the runtime.

    Not of functions that bring their own program: what serves that serves extensions, too, and starts no wrapper.
    """
    if runtime(version.runtime).is_served:
        return False
    if version.environment.get(WRAPPER_VARIABLE):
        return True
    return layers_dir is not None and _has_extensions(layers_dir)


@functools.lru_cache(maxsize=1024)
def _has_extensions(layers_dir: Path) -> bool:
    """Remembered, because such a folder is named by what is in it."""
    try:
        with os.scandir(layers_dir / FOLDER) as entries:
            return any(entry.is_file() for entry in entries)
    except OSError:
        return False
