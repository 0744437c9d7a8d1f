"""An environment for one invocation: asked for, perhaps waited for, held, and given back."""

from __future__ import annotations

from collections.abc import Callable

from invoker.environments.environment import Environment, InitFailed
from invoker.pool.shelf import Cold
from samovar.errors import SamovarError
from samovar.function import FunctionVersion

Refusal = InitFailed | SamovarError


def _nobody(_: object) -> None:
    """Waits for a lease that is settled."""


class Lease:
    """What one invocation has to do with the pool.

    It ends in one of three ways: `granted` is called, and the holder releases it; `refused` is called; or the holder
    withdraws it first. Both are called from within the pool, so they do not raise.
    """

    __slots__ = (
        "_granted",
        "_refused",
        "cold",
        "duration_s",
        "environment",
        "is_settled",
        "lay",
        "number",
        "queue_ms",
        "since",
        "version",
    )

    def __init__(
        self,
        version: FunctionVersion,
        granted: Callable[[Lease], None],
        refused: Callable[[Refusal], None],
        lay: Callable[[Environment], int] | None = None,
    ) -> None:
        """With `lay`, its event may lie ready in an environment, under the number that this answers with, or 0."""
        self.version = version
        self.lay = lay
        self.number = 0
        """Of its event where that lies ready; `environment` says where."""
        self.environment: Environment
        self.cold: Cold | None = None
        """Why and how it was started, when the call had to wait for just that."""
        self.since = 0.0
        """Monotonic seconds at which it joined its version's queue; 0 when it never did."""
        self.queue_ms = 0.0
        self.duration_s = 0.0
        """Set by the holder: how long the invocation took."""
        self.is_settled = False
        """Granted, refused or withdrawn."""
        self._granted = granted
        self._refused = refused

    def grant(self, environment: Environment, cold: Cold | None = None) -> None:
        """Hand an environment over."""
        self.environment = environment
        self.cold = cold
        granted = self._granted
        self.settle()
        granted(self)

    def refuse(self, why: Refusal) -> None:
        """Say that there will be none."""
        refused = self._refused
        self.settle()
        refused(why)

    def settle(self) -> None:
        """Let go of who asked: both would keep each other in memory until the garbage collector comes, with a pause."""
        self.is_settled = True
        self._granted = self._refused = _nobody
        self.lay = None
