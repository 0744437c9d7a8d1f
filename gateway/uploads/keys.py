"""What the store holds of uploads.

| key                                  | type   | holds                                                                |
|--------------------------------------|--------|----------------------------------------------------------------------|
| `samovar:uploads:rules`              | hash   | bucket → its rules as JSON                                           |
| `samovar:uploads:rules:changed`      | channel| the bucket whose rules are others now                                |
| `samovar:uploads:cursor`             | string | how far the S3 server's changes have become events                   |
| `samovar:uploads:intents`            | zset   | `Intent`s as JSON by the moment they were begun, until they are told |
| `samovar:uploads:happened`           | list   | `Intent`s that an S3 of somebody else's has carried out              |
| `samovar:uploads:answered`           | zset   | those of them whose clients were answered, by that moment            |
| `samovar:uploads:answered:<i>:<b>/<k>` | string | what a request with an `Intent` came to, for some hours            |
| `samovar:uploads:hints:<b>/<k>`      | list   | the `Intent`s of one object, oldest first, for an hour               |
| `samovar:uploads:told:<digest>`      | string | that a state of an object has been told, for a day                   |
"""

from __future__ import annotations

from typing import Final

RULES: Final = "samovar:uploads:rules"
RULES_CHANGED: Final = "samovar:uploads:rules:changed"
HAPPENED: Final = "samovar:uploads:happened"
CURSOR: Final = "samovar:uploads:cursor"
INTENTS: Final = "samovar:uploads:intents"
ANSWERED: Final = "samovar:uploads:answered"


def hints(bucket: str, key: str) -> str:
    """Where requests that are about to change an object are noted."""
    return f"samovar:uploads:hints:{bucket}/{key}"


def outcome(request_id: str, bucket: str, key: str) -> str:
    """Where it is noted what a request to change an object came to, before its client was told."""
    return f"{ANSWERED}:{request_id}:{bucket}/{key}"


def told(digest: str) -> str:
    """Where it is noted that a state of an object has been told."""
    return f"samovar:uploads:told:{digest}"
