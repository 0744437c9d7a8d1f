"""What the pattern languages share: reading, `&&`, `||`, parentheses, and comparing with a value."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

from samovar.errors import InvalidParameter

Subject = TypeVar("Subject")
Test = Callable[[Subject], bool]
Comparison = Callable[[str, float | None], bool]
"""Asked about a value: as text, and as a number where it is one."""

_MOST_REGEXES: Final = 2
_DEEPEST: Final = 32
"""Parentheses within parentheses."""
_REGEX_ALPHABET: Final = re.compile(r"[A-Za-z0-9 :_#=@/;,\-^$?\[\]{}|\\*+.]*")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ORDERINGS: Final[dict[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
OPERATORS: Final = ("!=", "=", *_ORDERINGS)


class Reader:
    """A pattern and how far it has been read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._regexes = 0
        self.depth = 0

    def accept(self, *symbols: str) -> str | None:
        """The first of the symbols that comes next, past it; `None` if none does."""
        self._skip_space()
        for symbol in symbols:
            if self._text.startswith(symbol, self._at):
                self._at += len(symbol)
                return symbol
        return None

    def expect(self, *symbols: str) -> str:
        """As `accept`, where the pattern makes no sense without one of them."""
        found = self.accept(*symbols)
        if found is None:
            raise self.invalid(f"expected {' or '.join(symbols)}")
        return found

    def take(self, pattern: re.Pattern[str], *, after_space: bool = True) -> re.Match[str] | None:
        """What matches next, past it."""
        if after_space:
            self._skip_space()
        match = pattern.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
        return match

    def quoted(self) -> str | None:
        """A text in quotation marks, if one comes next."""
        match = self.take(_QUOTED)
        return None if match is None else re.sub(r"\\(.)", r"\1", match[1])

    def regex(self, *, limited: bool = True) -> Callable[[str], bool] | None:
        """A regular expression between per cent signs, if one comes next. RE2 runs it, in time linear in the text."""
        if self.accept("%") is None:
            return None
        end = self._text.find("%", self._at)
        if end < 0:
            raise self.invalid("a regular expression ends with %")
        source, self._at = self._text[self._at : end], end + 1
        self._regexes += 1
        if limited and self._regexes > _MOST_REGEXES:
            raise self.invalid(f"a pattern has at most {_MOST_REGEXES} regular expressions")
        if not _REGEX_ALPHABET.fullmatch(source):
            raise self.invalid(f"unsupported characters in the regular expression {source!r}")
        import re2  # type: ignore[import-untyped]  # it ships no types; and loaded only where somebody uses it

        options = re2.Options()
        options.log_errors = False
        try:
            search = re2.compile(source, options).search
        except re2.error as error:
            raise self.invalid(f"the regular expression {source!r} is invalid") from error
        return lambda text: search(text) is not None

    def end(self) -> None:
        """Nothing may come any more."""
        self._skip_space()
        if self._at < len(self._text):
            raise self.invalid("it should have ended")

    @property
    def is_at_end(self) -> bool:
        """Whether only space is left."""
        self._skip_space()
        return self._at >= len(self._text)

    def invalid(self, why: str) -> InvalidParameter:
        """The error for what cannot be understood here."""
        return InvalidParameter(f"Invalid filter pattern: {why}, at character {self._at + 1} of {self._text}")

    def _skip_space(self) -> None:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1


def alternatives(reader: Reader, atom: Callable[[Reader], Test[Subject]]) -> Test[Subject]:
    """One or more tests joined by `||` and, more tightly, `&&`; `atom` reads what stands between them."""
    tests = [_conjunction(reader, atom)]
    while reader.accept("||"):
        tests.append(_conjunction(reader, atom))
    return tests[0] if len(tests) == 1 else lambda subject: any(test(subject) for test in tests)


def _conjunction(reader: Reader, atom: Callable[[Reader], Test[Subject]]) -> Test[Subject]:
    tests = [_factor(reader, atom)]
    while reader.accept("&&"):
        tests.append(_factor(reader, atom))
    return tests[0] if len(tests) == 1 else lambda subject: all(test(subject) for test in tests)


def _factor(reader: Reader, atom: Callable[[Reader], Test[Subject]]) -> Test[Subject]:
    if reader.accept("(") is None:
        return atom(reader)
    reader.depth += 1
    if reader.depth > _DEEPEST:
        raise reader.invalid("too many parentheses")
    inner = alternatives(reader, atom)
    reader.expect(")")
    reader.depth -= 1
    return inner


def comparison(reader: Reader, sign: str, bare: re.Pattern[str]) -> Comparison:
    """The right side of a comparison; `bare` is what it may be without quotation marks."""
    if sign in _ORDERINGS:
        return _ordering(reader, sign, bare)
    equal = _equality(reader, bare)
    return equal if sign == "=" else lambda text, number: not equal(text, number)


def _ordering(reader: Reader, sign: str, bare: re.Pattern[str]) -> Comparison:
    word = reader.take(bare)
    limit = None if word is None else as_number(word[0])
    if limit is None:
        raise reader.invalid(f"{sign} compares with a number")
    compare, limit_ = _ORDERINGS[sign], limit
    return lambda _text, number: number is not None and compare(number, limit_)


def _equality(reader: Reader, bare: re.Pattern[str]) -> Comparison:
    search = reader.regex()
    if search is not None:
        return lambda text, _number: search(text)
    quoted = reader.quoted()
    if quoted is not None:
        return lambda text, _number: like(text, quoted)
    word = reader.take(bare)
    if word is None:
        raise reader.invalid("expected a value")
    wanted, value = as_number(word[0]), word[0]
    if wanted is None:
        return lambda text, _number: like(text, value)
    return lambda text, number: text == value if number is None else number == wanted


def as_number(text: str) -> float | None:
    """A number in the notation patterns use, `1e3` included."""
    return float(text) if _NUMBER.fullmatch(text) else None


def like(text: str, wanted: str) -> bool:
    """Whether a text is as wanted, where `*` stands for anything."""
    head, *rest = wanted.split("*")
    if not rest:
        return text == head
    *middle, tail = rest
    if len(text) < len(head) + len(tail) or not text.startswith(head) or not text.endswith(tail):
        return False
    at, end = len(head), len(text) - len(tail)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def scalar_text(value: Any) -> str | None:
    """A JSON value as patterns compare it; `None` for null, objects and lists."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return value if isinstance(value, str) else None
