"""Which runtimes functions may name: what the invoker reports, or the catalog when it is away."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final

import msgspec

from gateway.functions.functions import Operations, ask
from gateway.lambda_api import wording
from samovar.clock import Clock
from samovar.errors import InvalidParameterValue, SamovarError
from samovar.link.operations import InvokerStatus, RuntimeStatus

CATALOG: Final = Path(__file__).parents[2] / "runtimes" / "catalog.toml"
_KEPT_S: Final = 10.0


_RETIRED: Final = frozenset(
    [
        "dotnet6",
        "dotnetcore1.0",
        "dotnetcore2.0",
        "dotnetcore2.1",
        "dotnetcore3.1",
        "go1.x",
        "java8",
        "nodejs",
        "nodejs4.3",
        "nodejs4.3-edge",
        "nodejs6.10",
        "nodejs8.10",
        "nodejs10.x",
        "nodejs12.x",
        "nodejs14.x",
        "provided",
        "python2.7",
        "python3.6",
        "python3.7",
        "ruby2.5",
        "ruby2.7",
    ]
)
"""Runtimes that AWS refuses by another message than those it has never had (AWS Lambda developer guide, "Runtimes")."""


class Runtimes:
    """The runtimes known here."""

    def __init__(self, link: Operations, clock: Clock, catalog: Path = CATALOG) -> None:
        self._link = link
        self._clock = clock
        self._catalog = catalog
        self._known: dict[str, RuntimeStatus] = {}
        self._asked_at = float("-inf")

    async def check(self, name: str | None) -> None:
        """Raise `InvalidParameterValue` unless functions of this runtime can run here. `None` passes."""
        if name is None:
            return
        known = await self._statuses()
        if name in _RETIRED:
            raise InvalidParameterValue(
                f"The runtime parameter of {name} is no longer supported for creating or updating AWS Lambda "
                "functions. We recommend you use a supported runtime while creating or updating functions."
            )
        if name not in known:
            # Of AWS's own those are named that there are here; whoever means none of them hears what AWS says.
            allowed = ", ".join(sorted(known)) if name in wording.RUNTIMES.split(", ") else wording.RUNTIMES
            raise InvalidParameterValue(
                f"Value {name} at 'runtime' failed to satisfy constraint: "
                f"Member must satisfy enum value set: [{allowed}] or be a valid ARN"
            )
        if not known[name].available:
            raise InvalidParameterValue(f"Runtime {name} is not available on this host: {known[name].detail}")

    async def _statuses(self) -> dict[str, RuntimeStatus]:
        if self._clock.monotonic() - self._asked_at >= _KEPT_S:
            try:
                body = await ask(self._link, "status")
            except SamovarError:
                # Without the invoker names are checked alone; it says what is missing when the function is called.
                return self._known or self._named_in_catalog()
            status = msgspec.json.decode(body, type=InvokerStatus)
            self._known = {runtime.name: runtime for runtime in status.runtimes}
            self._asked_at = self._clock.monotonic()
        return self._known

    def _named_in_catalog(self) -> dict[str, RuntimeStatus]:
        names = tomllib.loads(self._catalog.read_text())["runtime"]
        return {name: RuntimeStatus(name=name, available=True, detail="") for name in names}
