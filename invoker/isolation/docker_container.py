"""From a box's specification to the container the engine is asked for. Pure: nothing here talks to an engine.

Field names are those of the Docker Engine API, operation `ContainerCreate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from invoker.environments.runtimes import Runtime
from invoker.isolation.carried import PLACE, Carried, variables
from invoker.isolation.cgroup import cpu_limit, cpu_shares
from invoker.isolation.contract import OPT_DIR, SOCKET_DIR, STEM_DIR, TASK_ROOT, BoxSpec
from invoker.isolation.docker_engine import EngineFacts
from invoker.isolation.docker_images import ImageFacts
from samovar.errors import EnvironmentFailure
from samovar.function import Limits

INSTANCE_LABEL = "samovar.instance"
BOX_LABEL = "samovar.box"
USER = "993:990"
"""Lambda's unprivileged user, as the runtime images know it."""

MB = 1024 * 1024
CPU_PERIOD_US = 100_000


def container_name(box: str) -> str:
    """The container of a box. It is known before the engine answers, so a start that was cut short can be undone."""
    return f"samovar-{box}"


def network_name(instance: str) -> str:
    """The bridge network of an invoker's boxes."""
    return f"samovar-{instance}"


def container_config(spec: BoxSpec, instance: str, image: str, cpus: int, seccomp: str | None = None) -> dict[str, Any]:
    """The body of `ContainerCreate` for a box on an engine with `cpus` processors.

    `seccomp` is a profile as JSON; without one, the engine has its own.
    """
    own = {INSTANCE_LABEL: instance, BOX_LABEL: spec.id}
    return {
        "Image": image,
        "User": USER,
        "WorkingDir": TASK_ROOT if spec.image is None else "/",
        "Env": [f"{name}={value}" for name, value in spec.variables.items()],
        "Labels": {_label(name): value for name, value in spec.labels.items()} | own,
        "HostConfig": {
            "Runtime": spec.oci_runtime,
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges", *([f"seccomp={seccomp}"] if seccomp else [])],
            "NetworkMode": network_name(instance) if spec.network == "bridge" else spec.network,
            # Lambda's names for an environment itself: extensions listen there for telemetry.
            "ExtraHosts": ["sandbox.localdomain:127.0.0.1", "sandbox:127.0.0.1"],
            # `none` is a private namespace without /dev/shm, which would be a second writable place.
            "IpcMode": "none",
            # Output reaches the invoker by a socket; the engine need not copy and store it again.
            "LogConfig": {"Type": "none"},
            "Mounts": [
                *([_read_only(spec.code_dir, TASK_ROOT)] if spec.image is None else []),
                *([_read_only(spec.layers_dir, OPT_DIR)] if spec.layers_dir is not None else []),
                # Connecting to a socket does not write to its folder, so the function cannot fill the host's disk.
                _read_only(spec.socket_dir, SOCKET_DIR),
            ],
            **_limits(spec.limits, cpus),
            **_process_limits(spec),
        },
    }


def stem_config(spec: BoxSpec, instance: str, image: str, cpus: int, seccomp: str | None = None) -> dict[str, Any]:
    """The body of `ContainerCreate` for a box that gets its code and its final limits later; see `stem_cells.py`."""
    config = container_config(spec, instance, image, cpus, seccomp)
    host = config["HostConfig"]
    # Not at its final place: what is mounted over a folder goes when somebody removes that folder on the host.
    host["Mounts"] = [_read_only(spec.socket_dir, STEM_DIR)]
    # The engine lets these two be changed later by `ContainerUpdate`, and not NanoCpus.
    host["CpuPeriod"] = CPU_PERIOD_US
    host["CpuQuota"] = host.pop("NanoCpus") * CPU_PERIOD_US // 10**9
    return config


def carry(config: dict[str, Any], carried: Carried, told: Mapping[str, str]) -> None:
    """Start a carried keeper in that container, in the place of whatever its image would start."""
    config["HostConfig"]["Mounts"].append(_read_only(carried.folder, PLACE))
    config["Env"] += [f"{name}={value}" for name, value in told.items()]
    config["Entrypoint"], config["Cmd"] = list(carried.command()), []


def image_variables(known: Runtime, image: ImageFacts, spec: BoxSpec) -> dict[str, str]:
    """What the keeper of a function that is a container image is to start, and where; the function's word counts."""
    own = spec.image
    assert own is not None, "it is an image"
    entry_point = image.entry_point if own.entry_point is None else own.entry_point
    command = image.command if own.command is None else own.command
    directory = own.working_directory or image.working_directory
    return {**variables(known, [*entry_point, *command]), "SAMOVAR_DIRECTORY": directory}


def later_limits(limits: Limits, cpus: int) -> dict[str, int]:
    """What `ContainerUpdate` is given for a container of `stem_config` that gets other limits."""
    memory = limits.memory_mb * MB
    return {
        "mem_limit": memory,
        "memswap_limit": memory,
        "cpu_period": CPU_PERIOD_US,
        "cpu_quota": int(min(cpu_limit(limits.memory_mb), cpus) * CPU_PERIOD_US),
        "cpu_shares": cpu_shares(limits.memory_mb),
    }


def _limits(limits: Limits, cpus: int) -> dict[str, Any]:
    memory = limits.memory_mb * MB
    return {
        "Memory": memory,
        "MemorySwap": memory,  # memory and swap together: no swap
        # A function may use a whole processor while nobody else wants it, and gets its share when they do.
        "NanoCpus": int(min(cpu_limit(limits.memory_mb), cpus) * 1e9),
        "CpuShares": cpu_shares(limits.memory_mb),
        # Lambda lets functions execute what they put into /tmp; Docker's default is noexec.
        "Tmpfs": {"/tmp": f"rw,exec,nosuid,nodev,size={limits.tmp_mb}m,mode=1777"},  # noqa: S108 - inside the box
    }


def _process_limits(spec: BoxSpec) -> dict[str, Any]:
    limits = spec.limits
    ulimits = [_ulimit("nofile", limits.open_files), _ulimit("core", 0)]
    if spec.oci_runtime != "runsc":
        # The kernel counts RLIMIT_NPROC per user, and all boxes have the same one: only the cgroup can tell them apart.
        return {"PidsLimit": limits.pids, "Ulimits": ulimits}
    # gVisor is a kernel of its own: it holds RLIMIT_NPROC for this box alone, while the host's cgroup sees about six
    # threads for each process inside, more on a busy host, and all of gVisor ends if it is refused one.
    return {"PidsLimit": 8 * limits.pids + 256, "Ulimits": [*ulimits, _ulimit("nproc", limits.pids)]}


def _ulimit(name: str, value: int) -> dict[str, Any]:
    return {"Name": name, "Soft": value, "Hard": value}


def _read_only(source: Path, target: str) -> dict[str, Any]:
    # A mount, unlike a bind, fails when its source is missing instead of creating it as root.
    return {"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": True}


def _label(name: str) -> str:
    return name if name.startswith("samovar.") else f"samovar.{name}"


def check_runtime(spec: BoxSpec, facts: EngineFacts) -> None:
    """Refuse what this engine would refuse, or would silently do otherwise. Raises `EnvironmentFailure`."""
    if spec.oci_runtime not in facts.runtimes:
        raise EnvironmentFailure(
            f"the Docker engine has no OCI runtime {spec.oci_runtime!r}, it offers {', '.join(facts.runtimes)}: "
            "register it under `runtimes` in /etc/docker/daemon.json, or choose another for the function"
        )
    arguments = facts.runtimes[spec.oci_runtime]
    if spec.network != "none" and any(argument.lstrip("-") == "network=none" for argument in arguments):
        raise EnvironmentFailure(
            f"OCI runtime {spec.oci_runtime} is registered with --network=none on this engine, so network "
            f"{spec.network!r} would have no connection: use network 'none', or register the runtime without it"
        )
