"""What a platform has on this host: processes, containers, control groups, mounts, sockets."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

import psutil

from invoker.isolation.docker_container import INSTANCE_LABEL


def instance_of(data_dir: Path) -> str:
    """What a platform's containers and control groups are marked with."""
    return (data_dir / "instance").read_text().strip()


def containers(instance: str) -> set[str]:
    """Names of its containers, also of those that have ended."""
    command = ["docker", "ps", "--all", "--format", "{{.Names}}", "--filter", f"label={INSTANCE_LABEL}={instance}"]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return set(listed.stdout.split())


def remains(data_dir: Path, instance: str) -> list[str]:
    """Everything that is left of a platform, in words; its files do not count."""
    found = [f"container {name}" for name in containers(instance)]
    found += [f"control group {folder}" for folder, _, _ in os.walk("/sys/fs/cgroup") if instance in folder]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found += [f"mount {line}" for line in mounts if f" {data_dir}/" in line]
    found += [f"socket {path}" for path in data_dir.rglob("*") if path.is_socket()]
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = [*process.cmdline(), *process.environ().values()]
            if process.pid != os.getpid() and any(str(data_dir) in word for word in words):
                found.append(f"process {process.pid} {process.name()}")
    return found
