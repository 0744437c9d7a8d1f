"""A runtime's files, compiled for an interpreter of this host: one folder, mounted read-only at `/var/runtime`.

A box cannot write, so its interpreter would compile the runtime at every start. That takes longer than everything else
it does until it is warm, and leaves two megabytes in each box that only the compiler needed. Images of isolation
`docker` are compiled when they are built; the sandbox runs the host's own interpreters, for which this is done here.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

from invoker.isolation.contract import RUNTIME_DIR
from invoker.runtimes import Interpreter, Runtime

log = logging.getLogger("samovar.invoker.isolation")

_TIMEOUT_S = 30.0
_COMPILE = """
import os, py_compile, sys
from importlib.util import cache_from_source
folder, shown_as, start = sys.argv[1:]
unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
for name in [name for name in os.listdir(folder) if name.endswith(".py")]:
    source = os.path.join(folder, name)
    for target in [cache_from_source(source), source + "c"] if name == start else [cache_from_source(source)]:
        py_compile.compile(source, target, shown_as + "/" + name, doraise=True, invalidation_mode=unchecked)
"""
"""What starts first gets a file beside it, too: of what it is told to run, an interpreter looks for no other file."""


class Compiler:
    """Makes such folders when first asked. Each is named after what is in it, so another Samovar makes others."""

    def __init__(self, parent: Path) -> None:
        """`parent` is ours alone: what is in it and not in use is removed."""
        self._parent = parent
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str], Path] = {}

    def provide(self, runtime: Runtime, interpreter: Interpreter) -> Path:
        """The file to start in a folder made for this interpreter. Blocks for a moment the first time.

        Where that cannot be had it is the source: that starts later and takes more memory, and does the same.
        """
        with self._lock:
            key = runtime.name, interpreter.executable
            if key not in self._made:
                self._made[key] = self._try(runtime, interpreter)
            return self._made[key]

    def _try(self, runtime: Runtime, interpreter: Interpreter) -> Path:
        try:
            return self._make(runtime, interpreter)
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            log.warning("%s starts from its source, it cannot be compiled: %s", runtime.name, said)
            return runtime.bootstrap

    def _make(self, runtime: Runtime, interpreter: Interpreter) -> Path:
        sources = sorted(runtime.folder.glob("*.py"))
        folder = self._parent / f"{runtime.name}-{_digest(sources, interpreter)}"
        started = folder / f"{runtime.bootstrap.name}c"
        if not folder.is_dir():
            self._parent.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=self._parent))
            try:
                _fill(draft, sources, runtime, interpreter)
                draft.rename(folder)
            except BaseException:
                shutil.rmtree(draft, ignore_errors=True)
                raise
        for other in self._parent.glob(f"{runtime.name}-*"):
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)
        return started


def _fill(draft: Path, sources: list[Path], runtime: Runtime, interpreter: Interpreter) -> None:
    for source in sources:
        shutil.copyfile(source, draft / source.name)
    command = [interpreter.executable, "-I", "-S", "-c", _COMPILE, str(draft), RUNTIME_DIR, runtime.bootstrap.name]
    subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
    for path in (draft, *draft.rglob("*")):  # boxes run as other users, whatever our own umask is
        path.chmod(0o755 if path.is_dir() else 0o644)


def _digest(sources: list[Path], interpreter: Interpreter) -> str:
    binary = Path(interpreter.executable).stat()  # an interpreter that is replaced may read other files
    facts = (_COMPILE, interpreter.executable, interpreter.version, str(binary.st_size), str(binary.st_mtime_ns))
    digest = hashlib.sha256("\0".join(facts).encode())
    for source in sources:
        digest.update(b"\0" + source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]
