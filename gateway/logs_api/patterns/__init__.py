"""The filter patterns of CloudWatch Logs. Pure: a pattern is compiled once and asked about each message.

Three languages share the name ("Filter pattern syntax" in the CloudWatch Logs user guide): words (`ERROR -timeout`),
selectors of JSON messages (`{ $.latency > 100 }`), and columns of messages (`[ip, ..., status = 4*, bytes]`).
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.logs_api.patterns import columns, selectors, words

Pattern = Callable[[str], bool]
"""Whether a message matches."""


def compile_pattern(text: str) -> Pattern:
    """Understand a filter pattern. Raises `InvalidParameter` where it cannot be."""
    stripped = text.strip()
    if stripped.startswith("{"):
        return selectors.compile_selectors(stripped)
    if stripped.startswith("["):
        return columns.compile_columns(stripped)
    return words.compile_words(stripped)
