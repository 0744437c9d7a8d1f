"""Whether a request keeps to the API model, and AWS's words for where it does not.

A value of the wrong JSON type is a `SerializationException`, as it is to AWS's own deserialiser, and stops everything;
what breaks constraints is listed completely in one `ValidationException`. Nulls count as not given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NoReturn

from gateway.lambda_api.model import Api, Member, Shape, operations, shape
from samovar.errors import SerializationFailed, ValidationFailed

_MATCHED_LENGTH: Final = 65_536
"""No pattern of the model allows longer text than this; matching it would only cost time."""
_NOT_NULL: Final = "Member must not be null"
_CHECKED_BY_THE_SERVICE: Final = {("CreateFunction", "Runtime"), ("UpdateFunctionConfiguration", "Runtime")}
"""Where AWS answers in other words than the model's: these checks are made where the operation is carried out."""
_NUMBERS: Final = {"integer": "an Integer", "long": "a Long", "double": "a Double", "float": "a Float"}


def check(operation: str, given: Mapping[str, Any], api: Api = "lambda") -> None:
    """Check all members of a request by their names. Raises `SerializationFailed` and `ValidationFailed`."""
    name = operations(api)[operation].input
    root = shape(name, api) if name is not None else Shape("structure")
    broken = [
        found
        for member, part in root.members.items()
        if (operation, member) not in _CHECKED_BY_THE_SERVICE
        for found in _member(api, part, given.get(member), _lowered(member), member in root.required)
    ]
    if broken:
        raise failure(broken)


def refuse(operation: str, member: str, value: str) -> NoReturn:
    """Raise `ValidationFailed` for a value that is known to break the constraints of a member."""
    name = operations()[operation].input
    assert name is not None, "operations with members have an input"
    raise failure([*_member("lambda", shape(name).members[member], value, _lowered(member), required=True)])


def failure(broken: list[str]) -> ValidationFailed:
    """The error that lists what is broken."""
    errors = "error" if len(broken) == 1 else "errors"
    return ValidationFailed(f"{len(broken)} validation {errors} detected: {'; '.join(broken)}")


def _lowered(member: str) -> str:
    """A member's name as AWS's messages have it: `FunctionName` is `functionName`, `KMSKeyArn` is `kMSKeyArn`."""
    return member[0].lower() + member[1:]


def _member(api: Api, member: Member, value: Any, at: str, required: bool) -> Iterator[str]:
    if value is None:
        if required:
            yield f"Value null at '{at}' failed to satisfy constraint: {_NOT_NULL}"
        return
    kind = shape(member.shape, api)
    if kind.type == "structure":
        yield from _structure(api, kind, value, at)
    elif kind.type == "list":
        yield from _list(api, kind, value, at)
    elif kind.type == "map":
        yield from _map(api, kind, value, at)
    else:
        yield from (_broken(value, at, rule, kind) for rule in _broken_rules(kind, value))


def _structure(api: Api, kind: Shape, value: Any, at: str) -> Iterator[str]:
    if not isinstance(value, dict):
        raise SerializationFailed(f"Expected a structure at '{at}', found {_token(value)}")
    for name, member in kind.members.items():
        yield from _member(api, member, value.get(name), f"{at}.{_lowered(name)}", name in kind.required)


def _list(api: Api, kind: Shape, value: Any, at: str) -> Iterator[str]:
    if not isinstance(value, list):
        raise SerializationFailed(f"Expected a list at '{at}', found {_token(value)}")
    assert kind.member is not None, "lists have members"
    yield from (_broken(value, at, rule, kind) for rule in _broken_sizes(kind, len(value)))
    item = shape(kind.member.shape, api)
    if item.type in ("structure", "list", "map"):
        for number, one in enumerate(value, 1):
            yield from _member(api, kind.member, one, f"{at}.{number}.member", required=True)
    elif any(one is None or _broken_rules(item, one) for one in value):
        rule = kind.said_of_items or f"Member must satisfy constraint: [{_all_rules(item)}]"
        yield _broken(value, at, rule, item)


def _map(api: Api, kind: Shape, value: Any, at: str) -> Iterator[str]:
    if not isinstance(value, dict):
        raise SerializationFailed(f"Expected a map at '{at}', found {_token(value)}")
    assert kind.key is not None, "maps have keys"
    assert kind.value is not None, "maps have values"
    yield from (_broken(value, at, rule, kind) for rule in _broken_sizes(kind, len(value)))
    key, item = shape(kind.key.shape, api), shape(kind.value.shape, api)
    hidden = key if key.sensitive else item
    if any(_broken_rules(key, one) for one in value):
        yield _broken(value, at, f"Map keys must satisfy constraint: [{', '.join(_rules(key))}]", hidden)
    if item.type in ("structure", "list", "map"):
        for name, one in value.items():
            yield from _member(api, kind.value, one, f"{at}.{name}.member", required=True)
    elif any(one is None or _broken_rules(item, one) for one in value.values()):
        if item.type == "double":  # as Java prints whole ones, too
            value = {name: one if one is None else float(one) for name, one in value.items()}
        yield _broken(value, at, f"Map value must satisfy constraint: [{_all_rules(item)}]", hidden)


def _broken(value: Any, at: str, rule: str, kind: Shape) -> str:
    shown = "" if kind.sensitive else f" '{_shown(value)}'"
    return f"Value{shown} at '{at}' failed to satisfy constraint: {rule}"


def _shown(value: Any) -> str:
    """A value as Java prints it, which is what AWS's messages have."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}={_shown(item)}' for key, item in value.items())}}}"
    return "null" if value is None else str(value)


# Rules of plain values.


def _broken_rules(kind: Shape, value: Any) -> list[str]:
    """What a plain value breaks. Raises `SerializationFailed` for one of another type."""
    if kind.type in _NUMBERS:
        number = _number(kind, value)
        return [rule for bound, rule in _bounds(kind, "value") if not _within(bound, kind, number)]
    if kind.type == "boolean":
        if not isinstance(value, bool):
            raise SerializationFailed(f"{_token(value)} can not be converted to a Boolean")
        return []
    if kind.type not in ("string", "blob") or isinstance(value, bytes):  # a body that is the value as it is
        return []
    if not isinstance(value, str):
        raise SerializationFailed(_unexpected(value) or f"{_token(value)} can not be converted to a String")
    broken = _broken_sizes(kind, len(value)) if kind.type == "string" else []
    if kind.pattern is not None and not (
        len(value) <= _MATCHED_LENGTH and _compiled(kind.pattern).fullmatch(value) is not None
    ):
        broken.append(_pattern_rule(kind))
    if kind.enum and value not in kind.enum:
        broken.append(_enum_rule(kind))
    return broken


def _broken_sizes(kind: Shape, size: int) -> list[str]:
    return [rule for bound, rule in _bounds(kind, "length") if not _within(bound, kind, size)]


def _within(bound: str, kind: Shape, number: float) -> bool:
    if bound == "max":
        return kind.max is None or number <= kind.max
    return kind.min is None or number >= kind.min


def _bounds(kind: Shape, what: str) -> Iterator[tuple[str, str]]:
    """Upper before lower, as AWS lists them."""
    written = float if kind.type in ("double", "float") else int
    if kind.max is not None:
        yield "max", f"Member must have {what} less than or equal to {written(kind.max)}"
    if kind.min is not None:
        yield "min", f"Member must have {what} greater than or equal to {written(kind.min)}"


def _rules(kind: Shape) -> list[str]:
    """Every rule of a plain value, broken or not."""
    rules = [rule for _, rule in _bounds(kind, "value" if kind.type in _NUMBERS else "length")]
    if kind.pattern is not None:
        rules.append(_pattern_rule(kind))
    if kind.enum:
        rules.append(_enum_rule(kind))
    return rules


def _all_rules(kind: Shape) -> str:
    return ", ".join([*_rules(kind), _NOT_NULL])


def _pattern_rule(kind: Shape) -> str:
    return f"Member must satisfy regular expression pattern: {kind.said_pattern or kind.pattern}"


def _enum_rule(kind: Shape) -> str:
    return f"Member must satisfy enum value set: [{kind.said_enum or ', '.join(kind.enum)}]"


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of the model, which is in Java's dialect: it knows classes of Unicode that `re` has not.

    `\\w` stands for letters and numbers; it has `_` besides, which the model's patterns allow where they use these.
    """
    for theirs, ours in ((r"\p{L}", r"\w"), (r"\p{N}", r"\w"), (r"\p{Z}", r"\s")):
        pattern = pattern.replace(theirs, ours)
    return re.compile(pattern)


# Types.


def _number(kind: Shape, value: Any) -> float:
    whole = kind.type in ("integer", "long")
    if isinstance(value, bool) or not isinstance(value, int | float) or (whole and value != int(value)):
        raise SerializationFailed(
            _unexpected(value) or f"{_token(value)} can not be converted to {_NUMBERS[kind.type]}"
        )
    return value


def _unexpected(value: Any) -> str | None:
    if isinstance(value, list):
        return "Start of list found where not expected"
    return "Start of structure or map found where not expected" if isinstance(value, dict) else None


def _token(value: Any) -> str:
    """What AWS's parser calls a JSON value."""
    if isinstance(value, bool):
        return "TRUE_VALUE" if value else "FALSE_VALUE"
    if isinstance(value, int):
        return "NUMBER_VALUE"
    if isinstance(value, float):
        return "DECIMAL_VALUE"
    if isinstance(value, str):
        return "STRING_VALUE"
    return "START_ARRAY" if isinstance(value, list) else "START_OBJECT"
