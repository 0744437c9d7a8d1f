"""Makes environments: forks them from an initialised one, or starts a box, boots the runtime, loads the handler."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from invoker.environments import beside
from invoker.environments.environment import Environment, InitFailed
from invoker.environments.home import Home
from invoker.environments.lifecycle import State
from invoker.environments.reach import Reach
from invoker.environments.snapshots import Snapshot, Snapshots
from invoker.environments.variables import interpreter_variables, log_stream_name
from invoker.isolation.contract import OPT_DIR, PORT_VARIABLE, RUNTIME_DIR, TASK_ROOT, BoxSpec, Isolation
from invoker.logs.filtering import wanted
from invoker.logs.output import EnvironmentLog, LogFiles
from invoker.pool import policy
from samovar.clock import Clock
from samovar.errors import EnvironmentFailure
from samovar.function import FunctionVersion, Network, OciRuntime
from samovar.invocation import AnswerLimits

log = logging.getLogger("samovar.environment")


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
    answers: AnswerLimits = field(default_factory=AnswerLimits)


class EnvironmentFactory:
    """See the module. Holds no environment: whoever asks for one owns it."""

    def __init__(
        self,
        settings: FactorySettings,
        isolations: Mapping[str, Isolation],
        snapshots: Snapshots,
        files: LogFiles,
        clock: Clock,
        reach: Reach,
    ) -> None:
        self._settings = settings
        self._isolations = isolations
        self._snapshots = snapshots
        self._files = files
        self._clock = clock
        self._reach = reach

    def create(self, version: FunctionVersion) -> Environment:
        """An environment in its first state; nothing has been started yet."""
        environment_id = secrets.token_hex(8)
        stream = log_stream_name(version, environment_id, self._clock.epoch())
        folder = version.logging.folder_of(version.name)
        output = EnvironmentLog(self._files, self._clock, version.region, folder, stream, wanted(version.logging))
        environment = Environment(environment_id, version, output, self._clock)
        usual = self._settings.default_isolation if version.image is None else "docker"
        environment.isolation = version.placement.isolation or usual
        environment.limits = self._settings.answers
        environment.platform = self._reach.told(version, environment.isolation, self._network(version))
        return environment

    async def start(self, environment: Environment) -> float:
        """Bring it to IDLE; answers with the milliseconds its initialisation took.

        Raises `InitFailed` (the function's fault) or `EnvironmentFailure` (ours). Either way the caller
        has to stop the environment.
        """
        try:
            snapshot = self._snapshots.of(environment.version)
            if snapshot is not None:
                init_ms = await self._fork(environment, snapshot)
                if init_ms is not None:
                    return init_ms
            await self._start_box(environment)
            return await self.load(environment)
        except OSError as error:
            raise EnvironmentFailure(f"no environment could be started: {error}") from error

    def can_fork(self, version: FunctionVersion) -> bool:
        """Whether an environment that is started now would be forked from an initialised process."""
        return self._snapshots.of(version) is not None

    async def _fork(self, environment: Environment, snapshot: Snapshot) -> float | None:
        """Have a worker forked for it and ready: what `start` answers. `None` if it is to be started whole."""
        usual = environment.initialization_type
        if usual == "on-demand":
            environment.initialization_type = "snap-start"
        try:
            number, home = snapshot.make_home(environment.log.line)
            environment.move_in(home)
            home.link.has_mailboxes = self._shares_kernel(environment)
            await home.link.open()
            await snapshot.fork(environment.id, number, home, environment.variables(snapshot.folders))
            environment.is_forked = True
            await environment.boot(self._settings.start_timeout_s)
            return await self._initialised(environment, environment.take_over(self._init_timeout_s(environment)))
        except EnvironmentFailure as failure:
            if environment.state is not State.STARTING:
                raise
            log.warning("environment %s is started whole, a fork failed: %s", environment.id, failure.message)
            environment.initialization_type = usual
            environment.is_forked = False
            await environment.move_out("a fork failed")
            return None

    async def _start_box(self, environment: Environment) -> None:
        isolation = self._isolation(environment)
        home = Home(self._settings.environments_dir / environment.id, environment.log.line)
        environment.move_in(home)
        home.link.has_mailboxes = self._shares_kernel(environment)
        await home.link.open()
        spec = self._spec(environment)
        if PORT_VARIABLE in spec.variables and self._reach.gateway is not None:
            home.open_endpoint(self._reach.gateway)
        home.take(await isolation.start(spec))
        await environment.boot(self._settings.start_timeout_s)

    def _isolation(self, environment: Environment) -> Isolation:
        isolation = self._isolations.get(environment.isolation)
        if isolation is None:
            raise EnvironmentFailure(
                f"function {environment.version.name} asks for isolation {environment.isolation!r}, which this host "
                f"does not offer; it offers {', '.join(self._isolations)} (see `samovar status`)"
            )
        return isolation

    async def load(self, environment: Environment) -> float:
        """Have a new worker load the handler. Raises as `start` does."""
        timeout_s = self._init_timeout_s(environment)
        if not self._isolation(environment).can_seat(self._spec(environment)):
            return await self._initialised(environment, environment.load(timeout_s))
        with self._snapshots.expected(environment) as wanted:
            return await self._initialised(environment, environment.load(timeout_s, snapshot=wanted))

    async def _initialised(self, environment: Environment, initialisation: Awaitable[float]) -> float:
        try:
            return await initialisation
        except InitFailed as failed:
            failed.environment = environment
            raise

    def _init_timeout_s(self, environment: Environment) -> float:
        return policy.init_time_s(self._settings.init_timeout_s, environment.version.limits.timeout_s)

    def _shares_kernel(self, environment: Environment) -> bool:
        oci_runtime = environment.version.placement.oci_runtime or self._settings.default_oci_runtime
        return environment.isolation != "docker" or oci_runtime == "runc"

    def _network(self, version: FunctionVersion) -> Network:
        return version.placement.network or self._settings.default_network

    def _variables(self, environment: Environment, oci_runtime: OciRuntime) -> dict[str, str]:
        """Those of the keeper."""
        version = environment.version
        of_interpreter = interpreter_variables(TASK_ROOT, RUNTIME_DIR, OPT_DIR) if version.image is None else {}
        if not self._reach.is_passed_on(environment.isolation, self._network(version), oci_runtime):
            return of_interpreter
        return {**of_interpreter, **self._reach.keeper_variables()}

    def _spec(self, environment: Environment) -> BoxSpec:
        version, settings = environment.version, self._settings
        oci_runtime = version.placement.oci_runtime or settings.default_oci_runtime
        layers_dir = settings.code_dir / version.layers_sha256 if version.layers_sha256 else None
        return BoxSpec(
            id=environment.id,
            runtime=version.runtime,
            image=version.image,
            code_dir=settings.code_dir / version.code_sha256,
            layers_dir=layers_dir,
            is_extended=beside.has_something(version, layers_dir),
            socket_dir=settings.environments_dir / environment.id,
            limits=version.limits,
            network=self._network(version),
            oci_runtime=oci_runtime,
            variables=self._variables(environment, oci_runtime),
            labels={"samovar.function": version.name, "samovar.version": version.version},
        )
