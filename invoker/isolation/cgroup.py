"""Control groups: what the host lets us limit and measure, version 1 and 2 alike.

`places_of` says where a process sits, `Gauge` reads what a group has used, `Cgroups` makes one group a
box below `samovar-<instance>`. Rules and file names: kernel documentation, `admin-guide/cgroup-v1/` and
`admin-guide/cgroup-v2.rst`; delegation: systemd's `CGROUP_DELEGATION.md`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from invoker.isolation.contract import Usage
from samovar.function import Limits

MEGABYTE = 1024 * 1024
MEMORY_PER_CPU_MB = 1769
"""AWS Lambda developer guide, "Configure Lambda function memory": 1,769 MB are worth one vCPU."""
_CONTROLLERS = ("memory", "cpu", "cpuacct", "pids")
_CPU_PERIOD_US = 100_000


@dataclass(frozen=True, slots=True)
class Places:
    """Where a process sits: one folder a controller. In version 2 all folders are the same."""

    version: Literal[1, 2]
    folders: Mapping[str, Path]


def cpu_limit(memory_mb: int) -> float:
    """The vCPUs an environment of that size may use: its share, but never less than one."""
    return max(1.0, memory_mb / MEMORY_PER_CPU_MB)


def cpu_shares(memory_mb: int) -> int:
    """Weight of an environment when processors are short, in version 1's unit (1,024 is one vCPU)."""
    return min(262_144, max(2, memory_mb * 1024 // MEMORY_PER_CPU_MB))


def places_of(pid: int | Literal["self"] = "self", proc: Path = Path("/proc")) -> Places:
    """Where `pid` sits, over all mounted controllers. No folders when the host mounts none.

    A host that mounts both versions (systemd's hybrid mode) counts as the one that holds `memory`.
    """
    mounts = _mounts(proc / "self" / "mountinfo")
    legacy: dict[str, Path] = {}
    unified: dict[str, Path] = {}
    for line in (proc / str(pid) / "cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            if name not in mounts:
                continue
            mount_point, mount_root = mounts[name]
            folder = mount_point / os.path.relpath(path, mount_root) if path != mount_root else mount_point
            if name:
                legacy[name] = folder
            else:
                unified = dict.fromkeys(_words(folder / "cgroup.controllers"), folder)
                unified["cpuacct"] = folder
    if "memory" in legacy or "memory" not in unified:
        return Places(1, {name: legacy[name] for name in _CONTROLLERS if name in legacy})
    return Places(2, {name: unified[name] for name in _CONTROLLERS if name in unified})


def _mounts(mountinfo: Path) -> dict[str, tuple[Path, str]]:
    """Controller → (mount point, root of the mount); version 2 has the controller ''. See proc(5)."""
    found: dict[str, tuple[Path, str]] = {}
    for line in mountinfo.read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, super_options = after.split(" ", 2)
        root, mount_point = before.split(" ")[3:5]
        if kind == "cgroup2":
            found.setdefault("", (Path(mount_point), root))
        elif kind == "cgroup":
            for name in super_options.split(","):
                found.setdefault(name, (Path(mount_point), root))
    return found


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except FileNotFoundError:
        return []


class Gauge:
    """What a group has used. Keeps its files open, so that a reading is one system call each.

    What cannot be read (a controller the host lacks, a group that is gone) reads as the last value.
    """

    def __init__(self, places: Places) -> None:
        folders, first = places.folders, places.version == 1
        self._usec = 1000 if first else 1
        self._memory = _open(folders.get("memory"), "memory.max_usage_in_bytes" if first else "memory.peak")
        self._cpu = _open(folders.get("cpuacct"), "cpuacct.usage" if first else "cpu.stat")
        self._kills = _open(folders.get("memory"), "memory.oom_control" if first else "memory.events")
        self._peak = self._cpu_us = self._killed = self._reported = 0
        self._uncounted_us = 0
        """CPU time of before `start_over`."""

    @property
    def measures_memory(self) -> bool:
        """Whether the peak can be read (version 2 has `memory.peak` since Linux 5.19)."""
        return self._memory is not None

    def usage(self) -> Usage:
        """Peak memory (page cache and /tmp included) since the last reset, and CPU time since the start."""
        self._peak = _number(_read(self._memory), b"", self._peak)
        text = _read(self._cpu)
        if self._usec == 1:
            self._cpu_us = _number(text, b"usage_usec", self._cpu_us)
        else:
            self._cpu_us = _number(text, b"", self._cpu_us * 1000) // 1000
        return Usage(self._peak, self._cpu_us - self._uncounted_us)

    def start_over(self) -> None:
        """Count CPU time and memory from here on: what was used before was nobody's."""
        self._uncounted_us += self.usage().cpu_us
        self.reset_peak()

    def reset_peak(self) -> None:
        """Start a new peak, where the host can (version 1; version 2 since Linux 6.12, for this open file)."""
        if self._memory is not None:
            with contextlib.suppress(OSError):  # an older kernel refuses the write, and the old peak stays
                os.pwrite(self._memory, b"0", 0)

    def out_of_memory_kills(self) -> int:
        """Processes the kernel has killed in this group because it was at its memory limit."""
        self._killed = _number(_read(self._kills), b"oom_kill", self._killed)
        return self._killed

    def out_of_memory(self) -> bool:
        """Whether there have been such kills since the last call."""
        before, self._reported = self._reported, self.out_of_memory_kills()
        return self._reported > before

    def close(self) -> None:
        """Take a last reading and let go of the files; later readings return it. Idempotent."""
        self.usage()
        self.out_of_memory_kills()
        for descriptor in (self._memory, self._cpu, self._kills):
            if descriptor is not None:
                os.close(descriptor)
        self._memory = self._cpu = self._kills = None


def _open(folder: Path | None, name: str) -> int | None:
    if folder is None:
        return None
    for flags in (os.O_RDWR, os.O_RDONLY):  # written only to reset a peak, which not every kernel allows
        with contextlib.suppress(OSError):
            return os.open(folder / name, flags | os.O_CLOEXEC)
    return None


def _read(descriptor: int | None) -> bytes:
    if descriptor is None:
        return b""
    try:
        return os.pread(descriptor, 4096, 0)
    except OSError:  # ENODEV: the group has been removed
        return b""


def _number(text: bytes, key: bytes, otherwise: int) -> int:
    """The number after `key` in lines of `key number`, or the only number when there is no key."""
    if not text:
        return otherwise
    if not key:
        return int(text)
    for line in text.splitlines():
        name, _, value = line.partition(b" ")
        if name == key:
            return int(value)
    return otherwise


class Cgroup:
    """One box's group: the same name under each controller."""

    def __init__(self, places: Places, home: Places) -> None:
        """`places` are its own, `home` is where the threads of this process belong."""
        self._places = places
        self._home = home
        self.gauge = Gauge(places)

    def __repr__(self) -> str:
        return f"<control group {', '.join(map(str, sorted(set(self._places.folders.values()))))}>"

    @property
    def places(self) -> Places:
        """Its folders."""
        return self._places

    @property
    def limits_memory(self) -> bool:
        """Whether the group holds its processes to the memory limit."""
        return "memory" in self._places.folders

    @contextlib.contextmanager
    def entered(self) -> Iterator[bool]:
        """Put the calling thread into the group, so that what it starts is born there; yields whether it is.

        Only version 1 can move one thread, and it does so without the lock that makes moving a process take
        ten milliseconds. Where it yields False, `add` the process before it may run anything.
        """
        if self._places.version == 2:
            yield False
            return
        try:
            for folder in self._places.folders.values():
                _write(folder / "tasks", "0")
            yield True
        finally:
            for name in self._places.folders:
                _write(self._home.folders[name] / "tasks", "0")

    def add(self, pid: int) -> None:
        """Move a process in. Raises `OSError`. Blocks for milliseconds: call it in a thread."""
        for folder in set(self._places.folders.values()):
            _write(folder / "cgroup.procs", str(pid))

    def is_that_of(self, process: int) -> bool:
        """Whether the process behind a descriptor of `/proc/PID` is in it. Raises `OSError` when that has ended."""
        end = "/".join(next(iter(self._places.folders.values())).parts[-2:])
        file = os.open("cgroup", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process)
        with open(file) as lines:
            return any(line.rstrip("\n").endswith(f"/{end}") for line in lines)

    def send_home(self) -> None:
        """Move what is in it to where this process is, instead of killing it."""
        for name, folder in self._places.folders.items():
            for pid in _members(folder):
                with contextlib.suppress(ProcessLookupError):  # it has ended
                    _write(self._home.folders[name] / "cgroup.procs", str(pid))

    def kill(self) -> None:
        """Kill every process in the group and below it."""
        for folder in set(self._places.folders.values()):
            with contextlib.suppress(OSError):  # absent before Linux 5.14 and in version 1
                _write(folder / "cgroup.kill", "1")
                continue
            for pid in _members(folder):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def remove(self) -> bool:
        """Remove the group; False when the kernel still holds a dying process in it: try again soon."""
        self.gauge.close()
        removed = [_remove(folder) for folder in set(self._places.folders.values())]
        return all(removed)


class Cgroups:
    """The groups of one Samovar instance. `find` makes one, or none where the host lets us make no group."""

    def __init__(self, home: Places, parents: Places) -> None:
        self._home = home
        self._parents = parents
        self._own: set[str] = set()

    @classmethod
    def find(cls, instance: str, home: Places | None = None) -> Cgroups | None:
        """The groups below `samovar-<instance>`, with as many controllers as the host lets us use."""
        home = home if home is not None else places_of()
        parents = (_legacy_parents if home.version == 1 else _unified_parent)(home, f"samovar-{instance}")
        return cls(home, parents) if parents.folders else None

    def limits(self) -> dict[str, str]:
        """Which limits these groups enforce: limit → mechanism."""
        held = [name for name in ("memory", "cpu", "pids") if name in self._parents.folders]
        return dict.fromkeys(held, f"cgroup v{self._parents.version}")

    def create(self, name: str, limits: Limits) -> Cgroup:
        """A new group with its limits set. Raises `OSError` after having removed what was half made."""
        folders = {controller: parent / name for controller, parent in self._parents.folders.items()}
        places = Places(self._parents.version, folders)
        self._own.add(name)
        try:
            for folder in set(folders.values()):
                folder.mkdir()
            apply_limits(places, limits)
            return Cgroup(places, self._home)
        except OSError:
            for folder in set(folders.values()):
                _remove(folder)
            raise

    def left_over(self) -> list[Cgroup]:
        """The groups that a former process of this instance made: kill and remove them."""
        found: dict[str, dict[str, Path]] = {}
        for controller, parent in self._parents.folders.items():
            for folder in parent.iterdir():
                if folder.is_dir() and folder.name not in self._own:
                    found.setdefault(folder.name, {})[controller] = folder
        return [Cgroup(Places(self._parents.version, folders), self._home) for folders in found.values()]

    def close(self) -> None:
        """Remove the common parents, unless something is still in them."""
        for folder in set(self._parents.folders.values()):
            _remove(folder)


def _legacy_parents(home: Places, name: str) -> Places:
    made: dict[str, Path] = {}
    for controller, folder in home.folders.items():
        with contextlib.suppress(OSError):  # a controller we may not use is one the limits do without
            (folder / name).mkdir(exist_ok=True)
            if os.access(folder / name / "tasks", os.W_OK):
                made[controller] = folder / name
    return Places(1, made)


def _unified_parent(home: Places, name: str) -> Places:
    """The nearest group at or above ours in which we may make groups with controllers.

    It must hold ours too, since only who may write to a common ancestor may move a process between groups.
    """
    own = next(iter(home.folders.values()), None)
    for folder in (own, *own.parents) if own is not None else ():
        if not os.access(folder / "cgroup.procs", os.W_OK):
            break
        if not _enable(folder) and (not _delegated(folder) or not _evacuate(folder, name)):
            continue
        parent = folder / name
        with contextlib.suppress(OSError):
            parent.mkdir(exist_ok=True)
            if _enable(parent):
                held = _words(parent / "cgroup.subtree_control")
                return Places(2, dict.fromkeys(("cpuacct", *(c for c in _CONTROLLERS if c in held)), parent))
    return Places(2, {})


def _enable(folder: Path) -> bool:
    """Give the groups below `folder` their controllers; False when it holds processes itself (EBUSY)."""
    wanted = [name for name in _words(folder / "cgroup.controllers") if name in _CONTROLLERS]
    missing = set(wanted).difference(_words(folder / "cgroup.subtree_control"))
    for name in missing:
        try:
            _write(folder / "cgroup.subtree_control", f"+{name}")
        except OSError as error:
            if error.errno == errno.EBUSY:
                return False
    return "memory" in _words(folder / "cgroup.subtree_control")


def _delegated(folder: Path) -> bool:
    """Whether systemd has marked the subtree as its unit's own."""
    for mark in ("user.delegate", "trusted.delegate"):
        with contextlib.suppress(OSError):
            return os.getxattr(folder, mark) == b"1"
    return False


def _evacuate(folder: Path, name: str) -> bool:
    """Move the processes of a delegated group into a leaf below it: only groups without any may have controllers."""
    leaf = folder / f"{name}-main"
    try:
        leaf.mkdir(exist_ok=True)
        for pid in _members(folder):
            _write(leaf / "cgroup.procs", str(pid))
    except OSError:
        return False
    return _enable(folder)


def apply_limits(places: Places, limits: Limits) -> None:
    """Set or raise the limits of a group. Raises `OSError`."""
    for file, value, required in _settings(places, limits):
        try:
            _write(file, value)
        except OSError:
            if required:
                raise


def _settings(places: Places, limits: Limits) -> Iterator[tuple[Path, str, bool]]:
    """(file, value, whether failing to write it is an error) for each limit."""
    memory, cpu, pids = (places.folders.get(name) for name in ("memory", "cpu", "pids"))
    size = str(limits.memory_mb * MEGABYTE)
    quota = int(cpu_limit(limits.memory_mb) * _CPU_PERIOD_US)
    shares = cpu_shares(limits.memory_mb)
    first = places.version == 1
    # Hosts without swap accounting lack the files about swap; they have no swap to keep boxes out of, or no means.
    if memory and first:
        # Memory and swap together may never be less than memory: first, they make room for a higher limit, which a
        # new group refuses that has no lower one yet; last, they follow a new group's.
        yield memory / "memory.memsw.limit_in_bytes", size, False
        yield memory / "memory.limit_in_bytes", size, True
        yield memory / "memory.memsw.limit_in_bytes", size, False
    elif memory:
        yield memory / "memory.max", size, True
        yield memory / "memory.swap.max", "0", False
    if cpu and first:
        yield cpu / "cpu.cfs_period_us", str(_CPU_PERIOD_US), True
        yield cpu / "cpu.cfs_quota_us", str(quota), True
        yield cpu / "cpu.shares", str(shares), True
    elif cpu:
        yield cpu / "cpu.max", f"{quota} {_CPU_PERIOD_US}", True
        yield cpu / "cpu.weight", str(min(10_000, max(1, shares * 100 // 1024))), True
    if pids:
        yield pids / "pids.max", str(limits.pids), True


def _members(folder: Path) -> list[int]:
    return [int(pid) for pid in _words(folder / "cgroup.procs")]


def _write(file: Path, text: str) -> None:
    """One write(2), without creating or truncating: that is how the kernel wants these files written."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _remove(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
            return False
        raise
    return True
