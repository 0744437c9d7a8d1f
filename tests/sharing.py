"""How several processes share a run of the suite: `pytest -n 2`, as `scripts/test` starts it.

A process is given the tests of one module against one isolation at a time, in the order of the whole run. So a module
keeps what it set up, and a process goes through all the modules of one isolation before it starts a platform of the
next one. Without `-n` there is one process and none of this counts.
"""

from __future__ import annotations

import re

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped] # it has no types
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped] # as above

_ISOLATION = re.compile(r"\b(sandbox|docker)\b")


def share_of(nodeid: str) -> str:
    """What is given to a process as one: the module, and the isolation that stands first among the parameters."""
    module, _, test = nodeid.partition("::")
    isolation = _ISOLATION.search(test.partition("[")[2])
    return f"{module}[{isolation[1]}]" if isolation else module


class InShares(LoadScopeScheduling):  # type: ignore[misc] # as above
    """Gives out what `share_of` puts together, in the order of the run."""

    def _split_scope(self, nodeid: str) -> str:
        return share_of(nodeid)


@pytest.hookimpl
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> InShares:
    """Have pytest-xdist, which gives out work, ask `share_of`."""
    config.option.loadscopereorder = False
    return InShares(config, log)
