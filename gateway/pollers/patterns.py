"""Event patterns: the language of EventBridge rules, which filter criteria are written in. Pure.

A pattern is compiled once, which finds everything that is wrong with it, and then matched against parsed JSON.

What a pattern says: every field it names has to match; a field matches if one of the choices in its list does; of an
array in the event, one element has to, and fields of a pattern that lie within one array have to match in the same
element. `$or` takes objects of which one has to match. A field that is not there matches `{"exists": false}` alone.

Sources: Amazon EventBridge user guide, "Comparison operators for use in event patterns"; the README of
`aws/event-ruler`, sections "Ruler by Example", "And and Or Relationship among fields" and "JSON Array Matching".
"""

from __future__ import annotations

import ipaddress
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, cast

import msgspec

MAX_PATTERN_CHARS: Final = 4096
"""AWS Lambda API reference, `Filter`."""
_MAX_DEPTH: Final = 100
"""Objects within objects: what is deeper was not written by a person, and would have to be walked."""
_LARGEST_NUMBER: Final = 5e9
"""Numbers that `numeric` compares are within this of 0 (`aws/event-ruler`)."""
_ABSENT: Final = object()
_RESERVED: Final = frozenset({
    "exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric", "cidr",
    "=", "<", "<=", ">", ">=",
})  # fmt: skip
"""What cannot be the name of a field within `$or`, where it is a mistake (`aws/event-ruler`)."""

Test = Callable[[object], bool]
"""Whether a parsed JSON scalar is what is asked for."""
Matcher = Callable[[object], bool]
"""Whether parsed JSON is what a pattern asks for."""
_Part = Callable[[object, object], bool]
"""Whether a parsed JSON value, or `_ABSENT`, has what a part of a pattern asks for; the second is the whole event."""


class PatternError(ValueError):
    """A pattern is none; the message says which part of it."""


def compiled(text: str) -> Matcher:
    """What decides whether parsed JSON matches the pattern in a text. Raises `PatternError`."""
    if len(text) > MAX_PATTERN_CHARS:
        raise PatternError(f"a pattern has at most {MAX_PATTERN_CHARS} characters")
    try:
        pattern = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise PatternError(f"it is no JSON: {error}") from error
    return compiled_object(pattern)


def compiled_object(pattern: object) -> Matcher:
    """As `compiled`, for a pattern that has been parsed."""
    if not isinstance(pattern, dict):
        raise PatternError("a pattern is an object")
    matches = _object(pattern, ())
    return lambda event: matches(event, event)


def _object(pattern: dict[str, Any], path: tuple[str, ...], depth: int = 0, *, in_or: bool = False) -> _Part:
    if not pattern:
        raise PatternError("an object without fields matches nothing")
    if depth > _MAX_DEPTH:
        raise PatternError(f"more than {_MAX_DEPTH} objects within one another")
    fields: list[tuple[str, _Part]] = []
    choices: list[_Part] = []
    for name, value in pattern.items():
        if name == "$or":
            choices.append(_either(value, path, depth))
        elif in_or and name in _RESERVED:
            raise PatternError(f"`{name}` cannot be the name of a field within $or")
        elif isinstance(value, dict):
            fields.append((name, _object(value, (*path, name), depth + 1, in_or=in_or)))
        else:
            fields.append((name, _leaf((*path, name), value)))
    return _Fields(tuple(fields), tuple(choices)).matches


def _either(value: object, path: tuple[str, ...], depth: int) -> _Part:
    if not isinstance(value, list) or len(value) < 2:
        raise PatternError("$or takes a list of at least two objects")
    if not all(isinstance(one, dict) for one in value):
        raise PatternError("$or takes nothing but objects")
    parts = [_object(one, path, depth + 1, in_or=True) for one in value]
    return lambda found, event: any(matches(found, event) for matches in parts)


class _Fields:
    """What one object of a pattern asks for."""

    __slots__ = ("_choices", "_fields")

    def __init__(self, fields: tuple[tuple[str, _Part], ...], choices: tuple[_Part, ...]) -> None:
        self._fields = fields
        self._choices = choices

    def matches(self, found: object, event: object) -> bool:
        """Of an array, one element has to have everything; of one that holds no object, nothing is there."""
        if not isinstance(found, list):
            return self._all(found, event)
        elements: list[object] = [one for one in _elements(found) if isinstance(one, dict)]
        return any(self._all(one, event) for one in elements or [_ABSENT])

    def _all(self, found: object, event: object) -> bool:
        of = found if isinstance(found, dict) else {}
        return all(matches(of.get(name, _ABSENT), event) for name, matches in self._fields) and all(
            matches(found, event) for matches in self._choices
        )


def _elements(array: Sequence[object]) -> Iterator[object]:
    """What is in an array and in arrays within it."""
    waiting = [iter(array)]
    while waiting:
        for one in waiting[-1]:
            if isinstance(one, list):
                waiting.append(iter(one))
                break
            yield one
        else:
            waiting.pop()


def _leaf(path: tuple[str, ...], value: object) -> _Part:
    name = path[-1]
    if not isinstance(value, list):
        raise PatternError(f"`{name}` takes an object or a list of what may be there")
    if not value:
        raise PatternError(f"`{name}` takes a list with something in it")
    exact: list[object] = []
    tests: list[Test] = []
    absent = False
    for choice in value:
        if isinstance(choice, list):
            raise PatternError(f"`{name}`: a list within a list")
        if not isinstance(choice, dict):
            exact.append(choice)
        elif choice.keys() == {"exists"} and choice["exists"] is False:
            absent = True
        else:
            tests.append(_test(name, choice))
    if exact:
        tests.insert(0, _one_of(exact))
    return _Leaf(tuple(tests), path if absent else None).matches


class _Leaf:
    """What the list of a field asks for. `path` is where nothing may be instead, anywhere in the event."""

    __slots__ = ("_path", "_tests")

    def __init__(self, tests: tuple[Test, ...], path: tuple[str, ...] | None) -> None:
        self._tests = tests
        self._path = path

    def matches(self, found: object, event: object) -> bool:
        """Of an array, one element has to fit."""
        leaves = _leaves(found)
        if leaves:
            return any(test(leaf) for leaf in leaves for test in self._tests)
        return self._path is not None and not _is_anywhere(self._path, event)


def _leaves(found: object) -> list[object]:
    """The scalars a field has. An object is none, and an empty array has none."""
    if isinstance(found, list):
        return [one for one in _elements(found) if not isinstance(one, dict)]
    return [] if found is _ABSENT or isinstance(found, dict) else [found]


def _is_anywhere(path: Sequence[str], event: object) -> bool:
    """Whether a path leads to a scalar, through whichever elements of arrays."""
    at = [event]
    for name in path:
        objects = [one for value in at for one in (_elements(value) if isinstance(value, list) else (value,))]
        at = [one[name] for one in objects if isinstance(one, dict) and name in one]
    return any(map(_leaves, at))


def _test(name: str, choice: dict[str, Any]) -> Test:
    if len(choice) != 1:
        raise PatternError(f"`{name}`: an object in a list has one operator")
    (chosen, operand), *_ = choice.items()
    made = _OPERATORS.get(chosen)
    if made is None:
        raise PatternError(f"`{name}`: there is no operator `{chosen}`")
    return made(operand)


def _text(operand: object) -> str:
    if not isinstance(operand, str):
        raise PatternError("this operator takes text")
    return operand


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _one_of(wanted: Sequence[object]) -> Test:
    """Equal values of the same kind: 1 and 1.0 are, 1 and true are not."""
    keys = {_key(one) for one in wanted}
    return lambda leaf: _key(leaf) in keys


def _key(value: object) -> tuple[str, object]:
    kind = "number" if _is_number(value) else type(value).__name__
    return kind, value


def _exists(operand: object) -> Test:
    if operand is not True:
        raise PatternError("`exists` takes true or false")
    return lambda leaf: True


def _ignoring_case(operand: object) -> Test:
    wanted = _text(operand).lower()
    return lambda leaf: isinstance(leaf, str) and leaf.lower() == wanted


def _affix(method: Callable[[str, str], bool]) -> Callable[[object], Test]:
    """`prefix` or `suffix`, which take text or `{"equals-ignore-case": text}`."""

    def made(operand: object) -> Test:
        if isinstance(operand, dict):
            if operand.keys() != {"equals-ignore-case"}:
                raise PatternError("a prefix or a suffix is text, or an object with `equals-ignore-case`")
            lowered = _text(operand["equals-ignore-case"]).lower()
            return lambda leaf: isinstance(leaf, str) and method(leaf.lower(), lowered)
        wanted = _text(operand)
        return lambda leaf: isinstance(leaf, str) and method(leaf, wanted)

    return made


_prefix: Final = _affix(str.startswith)
_suffix: Final = _affix(str.endswith)


def _wildcard(operand: object) -> Test:
    first, *others = _pieces(_text(operand))
    if not others:
        return lambda leaf: leaf == first
    *middle, last = others

    def fits(leaf: object) -> bool:
        if not isinstance(leaf, str) or not leaf.startswith(first):
            return False
        at = len(first)
        for piece in middle:  # the leftmost place of each piece leaves the most to the others
            found = leaf.find(piece, at)
            if found < 0:
                return False
            at = found + len(piece)
        return len(leaf) - len(last) >= at and leaf.endswith(last)

    return fits


def _pieces(pattern: str) -> list[str]:
    """What is between the asterisks. A backslash makes an asterisk or a backslash an ordinary character."""
    pieces: list[str] = []
    piece, characters = "", iter(pattern)
    for character in characters:
        if character == "\\":
            character = next(characters, "")
            if character not in ("*", "\\"):
                raise PatternError("a backslash stands before an asterisk or another backslash")
            piece += character
        elif character == "*":
            if pieces and not piece:
                raise PatternError("two asterisks in a row")
            pieces.append(piece)
            piece = ""
        else:
            piece += character
    return [*pieces, piece]


_BOUNDS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def _numeric(operand: object) -> Test:
    """`["=", n]`, one bound, or a lower and then an upper one."""
    if not isinstance(operand, list) or len(operand) not in (2, 4):
        raise PatternError("`numeric` takes a list of one or two comparisons")
    signs, bounds = operand[::2], operand[1::2]
    if not all(isinstance(sign, str) and sign in _BOUNDS for sign in signs):
        raise PatternError("`numeric` compares with =, >, >=, < and <=")
    if not all(_is_number(bound) and abs(bound) <= _LARGEST_NUMBER for bound in bounds):
        raise PatternError("`numeric` compares with numbers from -5e9 to 5e9")
    if len(signs) == 2 and not (signs[0] in (">", ">=") and signs[1] in ("<", "<=") and bounds[0] < bounds[1]):
        raise PatternError("of two comparisons in `numeric`, the first is a lower bound and the second a greater one")
    tests = [(_BOUNDS[sign], bound) for sign, bound in zip(signs, bounds, strict=True)]
    return lambda leaf: _is_number(leaf) and all(compare(leaf, bound) for compare, bound in tests)


def _cidr(operand: object) -> Test:
    text = _text(operand)
    try:
        if "/" not in text:
            raise ValueError("it has no mask")
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise PatternError(f"`cidr` takes a network such as 10.0.0.0/24: {error}") from error

    def fits(leaf: object) -> bool:
        try:
            return isinstance(leaf, str) and ipaddress.ip_address(leaf) in network
        except ValueError:
            return False

    return fits


def _anything_but(operand: object) -> Test:
    """Whatever is there and is not that. It takes values of one kind, or an operator on text with one or several."""
    if isinstance(operand, dict):
        if len(operand) != 1 or not operand.keys() <= _NEGATED.keys():
            raise PatternError(f"`anything-but` takes values, or one of {', '.join(sorted(_NEGATED))}")
        (chosen, operands), *_ = operand.items()
        several = operands if isinstance(operands, list) else [operands]
        if not several or not all(isinstance(one, str) and one for one in several):
            raise PatternError(f"`anything-but` with `{chosen}` takes text, or a list of texts")
        tests = [_NEGATED[chosen](one) for one in several]
        return lambda leaf: not any(test(leaf) for test in tests)
    values = operand if isinstance(operand, list) else [operand]
    if not values or not (all(isinstance(one, str) for one in values) or all(map(_is_number, values))):
        raise PatternError("`anything-but` takes text or numbers, one or a list of one kind")
    among = _one_of(cast(list[object], values))
    return lambda leaf: not among(leaf)


_NEGATED: Final[dict[str, Callable[[object], Test]]] = {
    "equals-ignore-case": _ignoring_case,
    "prefix": _prefix,
    "suffix": _suffix,
    "wildcard": _wildcard,
}
_OPERATORS: Final[dict[str, Callable[[object], Test]]] = {
    "exactly": lambda operand: _one_of([_text(operand)]),
    "exists": _exists,
    "equals-ignore-case": _ignoring_case,
    "prefix": _prefix,
    "suffix": _suffix,
    "wildcard": _wildcard,
    "numeric": _numeric,
    "cidr": _cidr,
    "anything-but": _anything_but,
}
