"""Patterns of words: `ERROR`, `"two words"`, `-without`, `?either ?or`, `%regex%`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from gateway.logs_api.patterns.expressions import Reader

_SIGN: Final = re.compile(r"[-?](?=\S)")
_BARE: Final = re.compile(r'[^\s"]+')


def compile_words(text: str) -> Callable[[str], bool]:
    """Every plain word must be in the message and none with a minus; of those with `?`, any one.

    Words with `?` beside others are not looked at (the user guide says so). Raises `InvalidParameter`.
    """
    reader = Reader(text)
    wanted: dict[str, list[Callable[[str], bool]]] = {"": [], "-": [], "?": []}
    while not reader.is_at_end:
        sign = reader.take(_SIGN)
        wanted[sign[0] if sign else ""].append(_word(reader))
    required, unwanted, either = wanted[""], wanted["-"], wanted["?"]
    if either and not required and not unwanted:
        return lambda message: any(found(message) for found in either)
    return lambda message: all(found(message) for found in required) and not any(found(message) for found in unwanted)


def _word(reader: Reader) -> Callable[[str], bool]:
    search = reader.regex(limited=False)
    if search is not None:
        return search
    word = reader.quoted()
    if word is None:
        bare = reader.take(_BARE, after_space=False)
        if bare is None:
            raise reader.invalid("a quotation mark is missing")
        word = bare[0]
    if not word.strip():
        return lambda _message: True
    return lambda message: word in message
