"""How a function's log is written: its format, the least level that is kept, and the log group it goes to.

Source: AWS Lambda API reference, `LoggingConfig`; developer guide, "Configuring advanced logging controls".
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from samovar.errors import InvalidParameterValue
from samovar.logs import groups as log_groups

LogFormat = Literal["Text", "JSON"]
ApplicationLogLevel = Literal["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"]
SystemLogLevel = Literal["DEBUG", "INFO", "WARN"]

RANKS: Final = {"TRACE": 0, "DEBUG": 1, "INFO": 2, "WARN": 3, "WARNING": 3, "ERROR": 4, "FATAL": 5, "CRITICAL": 5}
"""Levels from the most detailed on, also by the names that Python's `logging` has for them."""


class LoggingConfig(msgspec.Struct, frozen=True, kw_only=True):
    """See the module. Levels are for JSON alone; a text log holds everything."""

    log_format: LogFormat = "Text"
    application_log_level: ApplicationLogLevel | None = None
    system_log_level: SystemLogLevel | None = None
    log_group: str = ""
    """Empty is the group that is named after the function."""

    def __post_init__(self) -> None:
        if self.log_format == "Text" and (self.application_log_level or self.system_log_level):
            raise InvalidParameterValue(
                "ApplicationLogLevel and SystemLogLevel can only be set when LogFormat is set to JSON."
            )

    @property
    def is_json(self) -> bool:
        """Whether lines are JSON objects."""
        return self.log_format == "JSON"

    def group_of(self, function: str) -> str:
        """The log group of a function with this configuration."""
        return self.log_group or log_groups.PREFIX + function

    def folder_of(self, function: str) -> str:
        """The name of the folder its lines are in; see `log_groups.folder_name`."""
        return log_groups.folder_name(self.group_of(function))

    def keeps(self, level: str) -> bool:
        """Whether an event of the platform's of that level is written."""
        return RANKS[level] >= RANKS[self.system_log_level or "INFO"]
