"""Names of log groups, their ARNs, and the folders behind them."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from gateway.link.invoker_link import InvokerLink
from samovar.clock import Clock
from samovar.errors import InvalidParameter, ResourceNotFound
from samovar.logs import groups as log_groups
from samovar.logs import lines as logs
from samovar.logs.groups import GroupChange, GroupSubject, LogGroup

NO_GROUP: Final = "The specified log group does not exist."
NO_STREAM: Final = "The specified log stream does not exist."
_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:logs:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):log-group:(?P<name>[^:*]+)(:\*)?"
)
_ORDER_WITHIN_S: Final = 60.0
"""Deleting a stream rewrites the lines of it in files of many megabytes."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request looks: one account and region, and the folders of its logs."""

    account: str
    region: str
    logs_dir: Path
    clock: Clock
    link: InvokerLink

    def arn(self, name: str) -> str:
        """The ARN of the group in a folder, without the `:*` that stands for its streams."""
        return f"arn:aws:logs:{self.region}:{self.account}:log-group:{log_groups.group_name(name)}"

    def folder(self, name: str) -> Path:
        """Where the lines of a group are."""
        return logs.folder_of(self.logs_dir, self.region, name)

    def folder_of(self, group: str | None, identifier: str | None = None) -> str:
        """The folder of the group that is meant, by name or ARN. Raises `InvalidParameter` and `ResourceNotFound`."""
        if (group is None) == (identifier is None):
            raise InvalidParameter("Exactly one of logGroupName and logGroupIdentifier must be specified.")
        named = identifier if group is None else group
        assert named is not None
        arn = _ARN.fullmatch(named)
        if arn is not None:
            if (arn["region"], arn["account"]) != (self.region, self.account):
                raise ResourceNotFound(NO_GROUP)
            named = arn["name"]
        try:
            return log_groups.folder_name(named)
        except ValueError:
            raise ResourceNotFound(NO_GROUP) from None

    async def find(self, group: str | None, identifier: str | None = None) -> tuple[str, LogGroup]:
        """The folder of a group, and its record. Raises as `folder_of`."""
        name = self.folder_of(group, identifier)
        record = await asyncio.to_thread(log_groups.read, self.folder(name))
        if record is None:
            raise ResourceNotFound(NO_GROUP)
        return name, record

    def now_ms(self) -> int:
        """The time of day."""
        return int(self.clock.epoch() * 1000)

    async def order(self, operation: str, order: GroupChange | GroupSubject) -> None:
        """Have the invoker change a group; raises what `samovar/logs/groups.py` says, and `ServiceUnavailable`."""
        await self.link.operation(operation, msgspec.json.encode(order), _ORDER_WITHIN_S)
