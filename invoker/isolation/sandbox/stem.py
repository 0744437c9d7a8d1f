"""A box that was started without code and is given to a function later; see `invoker/isolation/stem_cells.py`."""

from __future__ import annotations

import contextlib
from pathlib import Path

from invoker.isolation.cgroup import Places
from invoker.isolation.child import Child
from invoker.isolation.local import LocalBox, View
from invoker.isolation.sandbox.launch import Launched, admit
from samovar.function import Limits


class SandboxStem(LocalBox):
    """Like any other box of the sandbox, but it can become another one."""

    def __init__(self, id: str, launched: Launched, child: Child, view: View, held: contextlib.AsyncExitStack) -> None:
        """As `LocalBox`, of a launch into a control group."""
        assert launched.group is not None
        super().__init__(id, launched.first, child, launched.group.gauge, view, held)
        self._group = launched.group
        self._user = launched.user

    @property
    def control_groups(self) -> Places:
        """See `Stem.control_groups`."""
        return self._group.places

    def admit(self, socket_dir: Path) -> None:
        """See `Stem.admit`: the box runs as a user of its own."""
        if self._user is not None:
            admit(self._user.uid, socket_dir)

    def become(self, box: str) -> None:
        """See `Stem.become`. Its control group keeps its name."""
        self.id = box
        self._group.gauge.start_over()

    async def agree_on_limits(self, limits: Limits) -> None:
        """See `Stem.agree_on_limits`: the control group is ours, and nobody else has heard of it."""
