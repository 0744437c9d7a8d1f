"""Makes environments: picks the isolation, starts the box, boots the runtime, loads the handler."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from invoker.environment import Environment, InitFailed
from invoker.isolation.contract import RUNTIME_DIR, TASK_ROOT, BoxSpec, Isolation
from invoker.output import EnvironmentLog, LogFiles
from invoker.variables import interpreter_variables, log_stream_name
from samovar.clock import Clock
from samovar.errors import EnvironmentFailure
from samovar.function import FunctionVersion, Network, OciRuntime


@dataclass(frozen=True, kw_only=True)
class FactorySettings:
    """What a factory takes from the platform's settings."""

    environments_dir: Path
    code_dir: Path
    default_isolation: str
    default_network: Network
    default_oci_runtime: OciRuntime
    start_timeout_s: float
    init_timeout_s: float


class EnvironmentFactory:
    """See the module. Holds no environment: whoever asks for one owns it."""

    def __init__(
        self, settings: FactorySettings, isolations: Mapping[str, Isolation], files: LogFiles, clock: Clock
    ) -> None:
        self._settings = settings
        self._isolations = isolations
        self._files = files
        self._clock = clock

    def create(self, version: FunctionVersion) -> Environment:
        """An environment in its first state; nothing has been started yet."""
        environment_id = secrets.token_hex(8)
        folder = self._settings.environments_dir / environment_id
        folder.mkdir(mode=0o755)
        stream = log_stream_name(version.version, environment_id, self._clock.epoch())
        log = EnvironmentLog(self._files, self._clock, version.region, version.name, stream)
        environment = Environment(environment_id, version, folder, log, self._clock)
        environment.isolation = version.placement.isolation or self._settings.default_isolation
        return environment

    async def start(self, environment: Environment) -> float:
        """Bring it to IDLE; answers with the milliseconds its initialisation took.

        Raises `InitFailed` (the function's fault) or `EnvironmentFailure` (ours). Either way the caller
        has to stop the environment.
        """
        version, settings = environment.version, self._settings
        isolation = self._isolations.get(environment.isolation)
        if isolation is None:
            raise EnvironmentFailure(
                f"function {version.name} asks for isolation {environment.isolation!r}, which this host does not "
                f"offer; it offers {', '.join(self._isolations)} (see `samovar status`)"
            )
        await environment.link.open()
        box = await isolation.start(self._spec(environment))
        await environment.boot(box, settings.start_timeout_s)
        return await self.load(environment)

    async def load(self, environment: Environment) -> float:
        """Have a new worker load the handler. Raises as `start` does."""
        try:
            return await environment.load(self._settings.init_timeout_s)
        except InitFailed as failed:
            failed.environment = environment
            raise

    def _spec(self, environment: Environment) -> BoxSpec:
        version, settings = environment.version, self._settings
        return BoxSpec(
            id=environment.id,
            runtime=version.runtime,
            code_dir=settings.code_dir / version.code_sha256,
            socket_dir=settings.environments_dir / environment.id,
            limits=version.limits,
            network=version.placement.network or settings.default_network,
            oci_runtime=version.placement.oci_runtime or settings.default_oci_runtime,
            variables=interpreter_variables(TASK_ROOT, RUNTIME_DIR),
            labels={"samovar.function": version.name, "samovar.version": version.version},
        )
