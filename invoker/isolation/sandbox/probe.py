"""Whether boxes can be built here: build one in which nothing but `true` runs."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from invoker.isolation.child import in_words
from invoker.isolation.contract import BoxSpec
from invoker.isolation.sandbox.bwrap import Program
from invoker.isolation.sandbox.launch import Launcher, Order
from samovar.errors import EnvironmentFailure
from samovar.function import Limits

_DEADLINE_S = 10.0


def run(launcher: Launcher) -> str:
    """What builds boxes here, in words. Raises `EnvironmentFailure` with the host's reason, or `OSError`. Blocks."""
    with tempfile.TemporaryDirectory(prefix="samovar-probe-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        spec = BoxSpec(id="0" * 16, runtime="", code_dir=folder, socket_dir=folder, limits=Limits())
        program = Program(arguments=("/usr/bin/true",), mounts=(), runtime_dir=folder)
        launched = launcher.launch(Order(spec=spec, program=program, files={}))
        try:
            _, errors = launched.process.communicate(timeout=_DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise EnvironmentFailure(f"bubblewrap did not build a box within {_DEADLINE_S:g} s") from None
        finally:
            launcher.discard(launched)
        if launched.process.returncode != 0:
            words = in_words(launched.process.returncode, errors.decode(errors="replace").strip())
            raise EnvironmentFailure(f"bubblewrap cannot build boxes here: {words}")
    return launcher.describe()
