"""Which isolations this host offers, and which one functions get that name none."""

from __future__ import annotations

from dataclasses import dataclass

from invoker.isolation.contract import Isolation
from invoker.isolation.docker import DockerIsolation
from invoker.isolation.process import ProcessIsolation
from invoker.isolation.sandbox import SandboxIsolation
from samovar.errors import StartRefused
from samovar.link import IsolationStatus
from samovar.settings import Settings

_PREFERENCE = ("docker", "sandbox")


@dataclass(frozen=True)
class Choice:
    """The outcome."""

    default: str
    offered: dict[str, Isolation]
    statuses: list[IsolationStatus]


async def choose(settings: Settings, instance: str) -> Choice:
    """Ask every isolation whether it works here. Raises `StartRefused` when the wanted one does not."""
    candidates: list[Isolation] = [
        DockerIsolation(instance, base_image=settings.base_image),
        SandboxIsolation(instance),
    ]
    if settings.isolation == "none":
        candidates = [ProcessIsolation(instance)]
    statuses = [await candidate.status() for candidate in candidates]
    offered = {
        candidate.name: candidate for candidate, status in zip(candidates, statuses, strict=True) if status.available
    }
    return Choice(_default(settings.isolation, offered, statuses), offered, statuses)


def _default(wanted: str, offered: dict[str, Isolation], statuses: list[IsolationStatus]) -> str:
    reasons = "; ".join(f"{status.name}: {status.detail}" for status in statuses if not status.available)
    if wanted == "auto":
        for name in _PREFERENCE:
            if name in offered:
                return name
        raise StartRefused(
            f"no isolation works on this host ({reasons}). Start a Docker engine or allow unprivileged user "
            "namespaces; `--isolation none` runs functions as plain processes, which protects nothing"
        )
    if wanted not in offered:
        raise StartRefused(f"isolation {wanted} does not work on this host: {reasons}")
    return wanted
