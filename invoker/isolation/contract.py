"""What every isolation promises. `tests/contracts/` holds each implementation to it.

An isolation starts *boxes*. A box is one isolated place with one process tree in it, whose first process
is the runtime's keeper (`runtimes/python/bootstrap.py`). How keeper and invoker talk is no concern of the
isolation: it only makes the folder `BoxSpec.socket_dir` visible inside as `SOCKET_DIR`.

Promises of a box:
- Inside, code is at `TASK_ROOT`, layers at `OPT_DIR`, the runtime at `RUNTIME_DIR`, all read-only; `/tmp` is
  writable, private, empty at the start and limited to `Limits.tmp_mb`; nothing else can be written.
- It cannot see the files, processes, or sockets of the host or of other boxes, and no network but what
  `BoxSpec.network` allows: `none` has no interface but loopback, `bridge` reaches out through NAT but not the
  host's loopback, `host` shares the host's network.
- Memory, processes, open files and CPU are bounded by `BoxSpec.limits`; going over the memory limit
  kills inside the box and is reported by `Box.out_of_memory`.
- `destroy` may be called in any state, any number of times, by several tasks at once; afterwards no
  process, mount, container, cgroup or file of the box is left. It takes a reason, which is logged once.
- A box that died stays dead: `wait` returns, `usage` returns its last values, `destroy` still cleans up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from samovar.errors import EnvironmentFailure
from samovar.function import ContainerImage, Limits, Network, OciRuntime
from samovar.link.operations import IsolationStatus

TASK_ROOT = "/var/task"
RUNTIME_DIR = "/var/runtime"
OPT_DIR = "/opt"
SOCKET_DIR = "/run/samovar"
INVOKER_SOCKET = "invoker.sock"
"""Inside `SOCKET_DIR`: frames between invoker and runtime."""
OUTPUT_SOCKET = "output.sock"
"""Inside `SOCKET_DIR`: raw bytes of stdout and stderr."""
PORTS_SOCKET = "ports.sock"
"""Inside `SOCKET_DIR`: takes the keeper's listening socket; see `endpoint.py`."""
PORT_VARIABLE = "SAMOVAR_PORT"
"""Tells the keeper on which port of its loopback to listen for the platform; absent where it is not to."""
STEM_DIR = "/run/samovar-stem"
"""Where a box without code sees the folder with the socket that it waits on; see `stem_cell.py`."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a box has used since it was started."""

    peak_memory_bytes: int
    cpu_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxSpec:
    """All an isolation needs to know to start a box."""

    id: str
    """16 lower-case hex digits, unique on the host; names containers, cgroups and folders."""
    runtime: str
    """Name in `runtimes/catalog.toml`; decides interpreter or image."""
    code_dir: Path
    """The unpacked, read-only code on the host."""
    socket_dir: Path
    """Folder on the host that holds the invoker's sockets for this box, and nothing else."""
    limits: Limits
    image: ContainerImage | None = None
    """What the box is made of, where it is not a runtime's image and code: there is nothing at `TASK_ROOT` then."""
    layers_dir: Path | None = None
    """The layers on the host, one over the other and read-only; `None` without layers."""
    is_extended: bool = False
    """Programs of the function's start beside, or around, a runtime of ours; see `runtimes.extended`."""
    network: Network = "none"
    oci_runtime: OciRuntime = "runc"
    variables: dict[str, str] = field(default_factory=dict)
    """Environment of the keeper. The function's own variables travel in the SPAWN frame instead."""
    labels: dict[str, str] = field(default_factory=dict)
    """Told to whatever can carry labels, so that a person can find the owner of a container."""


def refuse_image(spec: BoxSpec, isolation: str) -> None:
    """For isolations that have no images. Raises `EnvironmentFailure`."""
    if spec.image is not None:
        raise EnvironmentFailure(
            f"a function that is a container image runs in isolation docker only, not in {isolation}: take the tag "
            "samovar:isolation away, or deploy a zip file"
        )


class Box(Protocol):
    """One started box."""

    id: str
    pid: int | None
    """Host pid of the first process inside, when it has one the host can see."""
    task_root: str
    """Where the code is, as seen inside: `TASK_ROOT` unless the isolation cannot mount."""
    runtime_dir: str
    """Where the runtime is, as seen inside: `RUNTIME_DIR` unless the isolation cannot mount."""
    tmp_dir: str
    """The private writable folder, as seen inside: `/tmp` unless the isolation cannot mount."""
    opt_dir: str
    """Where layers are, as seen inside: `OPT_DIR` unless the isolation cannot mount."""

    def usage(self) -> Usage:
        """Peak memory and CPU time of all processes of the box so far.

        Called for every invocation, so it costs microseconds and never blocks: no Docker API, no subprocess.
        """
        ...

    def reset_peak(self) -> None:
        """Start a new peak-memory measurement, where the host can; otherwise the old peak stays."""
        ...

    def out_of_memory(self) -> bool:
        """Whether the memory limit has killed anything in the box since the last call."""
        ...

    async def wait(self) -> str:
        """Return when the box's first process has ended, with how it ended in words."""
        ...

    async def destroy(self, reason: str) -> None:
        """Stop everything inside at once and remove every trace. Idempotent."""
        ...


class Isolation(Protocol):
    """One way to isolate."""

    name: str

    async def prepare(self, runtime: str) -> None:
        """Have ready what the first start of a runtime would otherwise wait for: an image, an interpreter.

        Raises `EnvironmentFailure` when boxes of this runtime cannot be started here.
        """
        ...

    def can_seat(self, spec: BoxSpec) -> bool:
        """Whether further environments can be forked into such a box; see `seats.py`."""
        ...

    async def start(self, spec: BoxSpec) -> Box:
        """Start a box and return as soon as its first process has been launched.

        Raises `samovar.errors.EnvironmentFailure` with the host's own words when it cannot, after having
        removed whatever was half made.
        """
        ...

    async def sweep(self) -> int:
        """Remove every box a former invoker with the same data directory left behind; return how many."""
        ...

    async def status(self) -> IsolationStatus:
        """Whether this isolation works here, and how each limit is enforced."""
        ...

    async def close(self) -> None:
        """Release what the isolation itself holds (connections, bridges). Boxes are destroyed before."""
        ...
