"""How streams and lists in Redis are named as event sources. Pure.

AWS has no such sources, and so no ARNs for them: here they are `arn:aws:redis:REGION:ACCOUNT:stream/KEY` and
`…:list/KEY`, for a key of the platform's own store.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from samovar.errors import InvalidParameterValue

_ARN: Final = re.compile(
    r"arn:aws:redis:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):(?P<kind>stream|list)/(?P<key>.{1,512})"
)
_OURS: Final = ("samovar:", "_kombu", "unacked", "celery", "redbeat")
"""What the platform itself keeps in the store."""


class RedisName(NamedTuple):
    """The parts of such an ARN."""

    arn: str
    region: str
    kind: Literal["stream", "list"]
    key: str


def parse(arn: str) -> RedisName:
    """Read an ARN. Raises `InvalidParameterValue` for what is none, and for keys that are the platform's."""
    match = _ARN.fullmatch(arn)
    if match is None:
        raise InvalidParameterValue(
            f"Unrecognized event source: {arn}. A source in Redis is arn:aws:redis:REGION:ACCOUNT:stream/KEY or "
            "arn:aws:redis:REGION:ACCOUNT:list/KEY."
        )
    if match["key"].startswith(_OURS):
        raise InvalidParameterValue(f"The key {match['key']} is one of the platform's own and cannot be a source.")
    return RedisName(arn, match["region"], "stream" if match["kind"] == "stream" else "list", match["key"])


def text_of(raw: bytes) -> str:
    """What a key or a value holds, as text; of bytes that are none, each is the character of its number."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
