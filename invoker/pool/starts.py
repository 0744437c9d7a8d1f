"""One attempt to start an environment, and what came of it."""

from __future__ import annotations

import logging
from typing import NamedTuple

from invoker.environments.environment import Environment, InitFailed
from invoker.environments.factory import EnvironmentFactory
from samovar.clock import Clock
from samovar.errors import EnvironmentFailure, SamovarError

log = logging.getLogger("samovar.pool")


class Started(NamedTuple):
    """The end of an attempt."""

    began: float
    """Monotonic seconds."""
    took_s: float
    init_ms: float
    failure: InitFailed | SamovarError | None
    is_told: bool = True
    """Whether calls that wait for an environment share the failure. As on AWS they do not when code fails while a
    provisioned environment is prepared: they are given one of their own, which may do better."""

    @property
    def problem(self) -> str | None:
        """The failure in words, if it failed."""
        if isinstance(self.failure, InitFailed):
            return f"its initialisation failed: {self.failure}"
        return None if self.failure is None else self.failure.message


async def attempt(factory: EnvironmentFactory, environment: Environment, clock: Clock) -> Started:
    """Start an environment. Whatever goes wrong is part of the answer."""
    began = clock.monotonic()
    failure: InitFailed | SamovarError | None = None
    init_ms = 0.0
    try:
        init_ms = await factory.start(environment)
    except (InitFailed, SamovarError) as error:
        failure = error
    except Exception as error:
        log.exception("starting an environment of %s failed unexpectedly", environment.version.name)
        failure = EnvironmentFailure(f"no environment could be started: {error}")
    is_prepared = environment.initialization_type == "provisioned-concurrency" and isinstance(failure, InitFailed)
    return Started(began, clock.monotonic() - began, init_ms, failure, is_told=not is_prepared)
