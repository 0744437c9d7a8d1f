"""The gateway's wiring, on one screen."""

from __future__ import annotations

from gateway.access.door import Door
from gateway.access.guard import Guard
from gateway.control import create_control_app
from gateway.http.contract import Parts
from gateway.http.hot import HotPath
from gateway.queues.gate import SqsGate
from gateway.services import Services
from gateway.uploads.gate import Gate


def create_app(services: Services) -> HotPath:
    """The gateway as one ASGI app: calls to functions on the warm path, everything else in FastAPI behind it.

    It has no lifespan of its own: whoever opened `services` closes them, after the last request.
    """
    guard = Guard(services.settings, services.keyring, services.clock, services.registry, services.sessions)
    parts = Parts(services.registry, services.link, services.clock, guard, services.intake)
    door = Door(create_control_app(services), guard, services.settings)
    return HotPath(services.settings, parts, SqsGate(services, guard, Gate(services, guard, door)))
