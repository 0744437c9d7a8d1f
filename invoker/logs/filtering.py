"""Which lines of a function are kept where its log has a least level.

Runtimes filter what goes through their loggers. What is left is seen here: JSON objects with a level of their own
(AWS Lambda developer guide, "Log-level filtering").
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from samovar.logs.config import RANKS, LoggingConfig

Filter = Callable[[bytes], bool]
"""Whether a line is kept."""


class _Record(msgspec.Struct):
    level: str = "INFO"


_DECODER = msgspec.json.Decoder(_Record)


def wanted(config: LoggingConfig) -> Filter | None:
    """What decides it; `None` where every line is kept."""
    if not config.is_json or config.application_log_level == "TRACE":
        return None
    least = RANKS[config.application_log_level or "INFO"]

    def is_wanted(line: bytes) -> bool:
        """Lines that are no JSON objects have no level and are kept; an unknown level counts as INFO."""
        if not line.startswith(b"{"):
            return True
        try:
            level = _DECODER.decode(line).level
        except msgspec.ValidationError:
            level = "INFO"
        except msgspec.DecodeError:
            return True
        return RANKS.get(level.upper(), RANKS["INFO"]) >= least

    return is_wanted
