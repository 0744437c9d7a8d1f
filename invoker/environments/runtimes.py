"""Which runtimes there are, and which interpreters of this host can run them.

The catalog is `runtimes/catalog.toml`, read as data: what lies in `runtimes/` runs inside environments and is
never imported here.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from invoker.environments import node
from samovar.errors import EnvironmentFailure, InvalidParameterValue
from samovar.function import IMAGE_RUNTIME

_PROBE_TIMEOUT_S = 10
_SERVING = "provided"
"""The language whose worker serves the Runtime, Extensions and Telemetry APIs."""
_PROBE = """
import json, os, sys
base = getattr(sys, "_base_executable", None) or sys.executable
print(json.dumps({
    "executable": os.path.realpath(base),
    "version": "%d.%d.%d" % sys.version_info[:3],
    "prefixes": [os.path.realpath(path) for path in (sys.base_prefix, sys.base_exec_prefix)],
}))
"""
"""What an interpreter is asked. A shim, a link or a virtual environment answers for the real one behind it."""


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the catalog; the paths are absolute."""

    name: str
    language: str
    interpreters: tuple[str, ...]
    """Names under which a matching interpreter may be installed."""
    image: str
    """Tag of the image for isolation `docker`."""
    base_image: str
    """The public image that one is built from, unless a setting names another."""
    folder: Path
    """What is mounted at `/var/runtime`; also the build context of the image."""
    bootstrap: Path
    """The file of `folder` that starts first in an environment, or that its worker starts."""
    dockerfile: Path
    worker: str = ""
    """The module that is the worker of a carried keeper; empty where the keeper is the runtime's own."""
    is_extended: bool = False
    """Whether that worker serves extensions, and has the runtime's own as a child."""
    sdk: str = ""
    """The release of boto3 for functions where the one Samovar is installed with needs a newer Python."""

    @property
    def can_fork(self) -> bool:
        """Whether further workers can be forked from an initialised one."""
        return not self.worker

    @property
    def is_served(self) -> bool:
        """Whether its worker serves the Runtime, Extensions and Telemetry APIs."""
        return self.language == _SERVING or self.is_extended


@dataclass(frozen=True, slots=True)
class Interpreter:
    """An interpreter of this host."""

    executable: str
    """The real binary: never a shim, a link, or the copy in a virtual environment."""
    version: str
    """E.g. `3.11.7`."""
    mounts: tuple[str, ...]
    """Folders outside /usr that must be visible for it to run."""


@functools.cache
def catalog() -> Mapping[str, Runtime]:
    """Every runtime by name, in the catalog's order."""
    root = Path(str(files("runtimes")))
    read = tomllib.loads((root / "catalog.toml").read_text())
    return {name: _runtime(name, fields, read["language"], root) for name, fields in read["runtime"].items()}


def _runtime(name: str, fields: dict[str, Any], languages: dict[str, dict[str, str]], root: Path) -> Runtime:
    language = languages[fields["language"]]
    paths = {key: root / path for key, path in language.items() if key != "worker"}
    return msgspec.convert({"name": name, **fields, **paths, "worker": language.get("worker", "")}, Runtime)


def default_runtime() -> str:
    """What a function gets that names none: the Python that Samovar itself runs on."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


@functools.cache
def _image_runtime() -> Runtime:
    """What functions that are container images have for a runtime: they bring their own program, too."""
    provided = catalog()["provided.al2023"]
    return msgspec.structs.replace(provided, name=IMAGE_RUNTIME, image="", base_image="")


@functools.cache
def extended(name: str) -> Runtime:
    """The runtime for functions that have extensions or a wrapper script beside it: it is started by a carried keeper.

    Those that bring their own program are so anyway. Raises `InvalidParameterValue` for an unknown runtime.
    """
    known = runtime(name)
    if known.is_served:
        return known
    return msgspec.structs.replace(known, worker=catalog()["provided.al2023"].worker, is_extended=True)


def runtime(name: str) -> Runtime:
    """The runtime of that name. Raises `InvalidParameterValue` with the message of AWS's `CreateFunction`."""
    if name == IMAGE_RUNTIME:
        return _image_runtime()
    known = catalog()
    if name not in known:
        raise InvalidParameterValue(
            f"Value {name} at 'runtime' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{', '.join(known)}] or be a valid ARN"
        )
    return known[name]


@functools.cache
def find_interpreter(name: str) -> Interpreter | None:
    """The interpreter for a runtime, or `None` when this host has none. For the default runtime it is our own.

    Asks each candidate once, which takes the time of an interpreter start; the answer is kept for the life of
    the process. A runtime whose functions bring their own program has none. Raises `InvalidParameterValue` for an
    unknown runtime.
    """
    wanted = runtime(name)
    if wanted.language == "nodejs":
        return _node(name)
    if not wanted.interpreters:
        return None
    if name == default_runtime():
        return _own()
    for candidate in _candidates(wanted.interpreters):
        found = _ask(candidate)
        if found is not None and f"{wanted.language}{found.version}".startswith(f"{name}."):
            return found
    return None


def require_interpreter(name: str) -> Interpreter:
    """As `find_interpreter`, but raises `EnvironmentFailure` that says how to get one."""
    found = find_interpreter(name)
    if found is None and runtime(name).language == "nodejs":
        major = _node_major(name)
        raise EnvironmentFailure(f"this host has no Node.js {major} for the runtime {name}: {node.advice(major)}")
    if found is None:
        version = name.removeprefix(runtime(name).language)
        raise EnvironmentFailure(
            f"this host has no Python {version}: `uv python install {version}`, pyenv or a package of your "
            "distribution brings it; isolation docker needs none"
        )
    return found


def _node(name: str) -> Interpreter | None:
    found = node.find(_node_major(name))
    return None if found is None else Interpreter(found.executable, found.version, _mounts(found.executable, []))


def _node_major(name: str) -> str:
    """`20` of `nodejs20.x`."""
    return name.removeprefix("nodejs").partition(".")[0]


def _candidates(names: tuple[str, ...]) -> Iterator[str]:
    """Where interpreters of these names may be: PATH, the system's folders, pyenv, uv; each path once.

    `python3` of the system comes last: it is of any version, so its answer decides. pyenv's shims are passed over,
    for the versions they choose from are looked at themselves: a shim takes ten times as long to answer.
    """
    home = Path.home()
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv")
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python")
    versions = _newest_first(pyenv, "versions/*/bin")
    places: list[Path] = []
    for folder in map(Path, os.get_exec_path()):
        places += versions if folder == pyenv / "shims" else [folder]
    places += [Path("/usr/bin"), Path("/usr/local/bin"), home / ".local" / "bin"]
    places += versions + _newest_first(uv, "*/bin")
    found = [str(place / name) for name in names for place in places]
    found += ["/usr/bin/python3", "/usr/local/bin/python3"]
    yield from dict.fromkeys(path for path in found if os.access(path, os.X_OK))


def _newest_first(folder: Path, pattern: str) -> list[Path]:
    """What a folder holds; nothing when it is another user's own."""
    try:
        return sorted(folder.glob(pattern), reverse=True)
    except PermissionError:
        return []


def _own() -> Interpreter:
    """The interpreter this process runs on, as it would describe itself."""
    executable = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    prefixes = [os.path.realpath(path) for path in (sys.base_prefix, sys.base_exec_prefix)]
    return Interpreter(executable, "{}.{}.{}".format(*sys.version_info), _mounts(executable, prefixes))


@functools.cache
def _ask(candidate: str) -> Interpreter | None:
    """What the interpreter says of itself; `None` when it cannot be started, as a shim of a version not chosen."""
    try:
        answer = subprocess.run(
            [candidate, "-I", "-c", _PROBE], capture_output=True, timeout=_PROBE_TIMEOUT_S, check=True
        ).stdout
        facts = msgspec.json.decode(answer)
        return Interpreter(facts["executable"], facts["version"], _mounts(facts["executable"], facts["prefixes"]))
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError):
        return None


def _mounts(executable: str, prefixes: list[str]) -> tuple[str, ...]:
    needed = dict.fromkeys(prefix for prefix in prefixes if not _within(prefix, "/usr"))
    if not any(_within(executable, folder) for folder in ["/usr", *needed]):
        needed[os.path.dirname(executable)] = None
    return tuple(needed)


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
