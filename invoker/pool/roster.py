"""Every environment that is not dead, and what they take of the host together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from invoker.environments.environment import Environment
from invoker.environments.lifecycle import State


class Roster:
    """See the module. Only the pool adds and removes."""

    def __init__(self) -> None:
        self._environments: dict[str, Environment] = {}
        self._by_version: dict[tuple[str, str], dict[str, Environment]] = {}
        self._by_function: Counter[str] = Counter()
        self.reserved_mb = 0
        """Sum of the memory limits of all."""

    def __len__(self) -> int:
        return len(self._environments)

    def __iter__(self) -> Iterator[Environment]:
        return iter(list(self._environments.values()))

    def __getitem__(self, environment_id: str) -> Environment:
        return self._environments[environment_id]

    def add(self, environment: Environment) -> None:
        """An environment is being started."""
        self._environments[environment.id] = environment
        self._by_version.setdefault(environment.key, {})[environment.id] = environment
        self._by_function[environment.arn] += 1
        self.reserved_mb += environment.version.limits.memory_mb

    def remove(self, environment: Environment) -> None:
        """An environment is dead."""
        del self._environments[environment.id]
        of_version = self._by_version[environment.key]
        del of_version[environment.id]
        if not of_version:
            del self._by_version[environment.key]
        self._by_function[environment.arn] -= 1
        self.reserved_mb -= environment.version.limits.memory_mb

    def of_function(self, arn: str) -> int:
        """How many environments a function has, in all its versions."""
        return self._by_function[arn]

    def of_version(self, key: tuple[str, str]) -> Collection[Environment]:
        """The environments of a version, by its `FunctionVersion.key`, whatever its record was when they began."""
        return self._by_version.get(key, {}).values()

    def count(self, state: State) -> int:
        """How many environments are in a state."""
        return sum(environment.state is state for environment in self._environments.values())
