"""Filter patterns match what the CloudWatch Logs user guide says they match, and refuse what means nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.logs_api.patterns import compile_pattern
from gateway.logs_api.patterns.expressions import like
from samovar.errors import InvalidParameter

REQUEST = '127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534'
TRAIL = json.dumps(
    {
        "eventType": "UpdateTrail",
        "sourceIPAddress": "111.111.111.111",
        "bandwidth": 75.5,
        "errorCode": 400,
        "arrayKey": ["value", "another value"],
        "objectList": [{"name": "a", "flag": True}, {"name": "b", "flag": False}],
        "SomeObject": None,
        "cluster.name": "c",
    }
)
words = st.text("abcXYZ019", min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("pattern", "message", "is_found"),
    [
        ("", "anything", True),
        ('" "', "anything", True),
        ("ERROR", "[ERROR 400] BAD REQUEST", True),
        ("ERROR", "[error 400] BAD REQUEST", False),
        ("ERROR ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", True),
        ("ERROR ARGUMENTS", "[ERROR 400] BAD REQUEST", False),
        ("?ERROR ?ARGUMENTS", "[ERROR 400] BAD REQUEST", True),
        ("?ERROR ?ARGUMENTS", "INFO", False),
        ("?ERROR INFO", "INFO", True),
        ('"BAD REQUEST"', "[ERROR 400] BAD REQUEST", True),
        ('"BAD REQUEST"', "[ERROR 400] REQUEST BAD", False),
        (r'"say \"tea\""', 'they say "tea" here', True),
        ("ERROR -ARGUMENTS", "[ERROR 400] BAD REQUEST", True),
        ("ERROR -ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", False),
        ('-"BAD REQUEST"', "[ERROR 400] BAD REQUEST", False),
        ("%AUTHORIZED%", "[ERROR 401] UNAUTHORIZED REQUEST", True),
        (r"%^\[ERR[A-Z]+ \d{3}\]%", "[ERROR 401] UNAUTHORIZED REQUEST", True),
        ("a - b", "a - b", True),
    ],
)
def test_words(pattern: str, message: str, is_found: bool) -> None:
    assert compile_pattern(pattern)(message) is is_found


@pytest.mark.parametrize(
    ("pattern", "is_found"),
    [
        ('{ $.eventType = "UpdateTrail" }', True),
        ("{ $.eventType = UpdateTrail }", True),
        ("{$.eventType=Update*}", True),
        ("{ $.eventType = %Trail$% }", True),
        ('{ $.eventType = "update*" }', False),
        ("{ $.sourceIPAddress != 123.123.* }", True),
        ("{ $.sourceIPAddress != 111.111.* }", False),
        ('{ $.arrayKey[0] = "value" }', True),
        ('{ $.arrayKey[1] = "value" }', False),
        ('{ $.arrayKey[*] = "another*" }', True),
        ("{ $.arrayKey[7] = * }", False),
        ("{ $.objectList[1].flag IS FALSE }", True),
        ("{ $.objectList[0].flag is true }", True),
        ("{ $.SomeObject IS NULL }", True),
        ("{ $.eventType IS NULL }", False),
        ("{ $.Other NOT EXISTS }", True),
        ("{ $.SomeObject NOT EXISTS }", False),
        ("{ $.SomeObject EXISTS }", True),
        ("{ $.Other != 1 }", False),
        ("{ $.bandwidth > 75 }", True),
        ("{ $.bandwidth >= 7.55e1 }", True),
        ("{ $.bandwidth < 75 }", False),
        ("{ $.errorCode = 400 }", True),
        ("{ $.errorCode = 4* }", True),
        ("{ $.errorCode != 400 }", False),
        ('{ $.["cluster.name"] = "c" }', True),
        ("{ $.eventType = X || $.errorCode = 400 && $.bandwidth > 75 }", True),
        ("{ ($.eventType = X || $.errorCode = 400) && $.bandwidth > 76 }", False),
    ],
)
def test_selectors_of_json(pattern: str, is_found: bool) -> None:
    assert compile_pattern(pattern)(TRAIL) is is_found


@pytest.mark.parametrize("message", ["", "no JSON", "{", "[1]", '"text"', '{"a": 1} and more'])
def test_what_is_no_json_object_has_no_members(message: str) -> None:
    assert not compile_pattern("{ $.a NOT EXISTS }")(message)


@pytest.mark.parametrize(
    ("pattern", "is_found"),
    [
        ("[ip, server, username, timestamp, request, status_code, bytes]", True),
        ("[ip, server, username, timestamp, request, status_code = 4*, bytes > 1000]", True),
        ("[ip, server, username, timestamp, request, status_code = 4*, bytes > 2000]", False),
        ("[ip, server, username, timestamp, request =*html*, status_code = 404, bytes]", True),
        ("[ip, ..., bytes]", True),
        ("[..., status_code=404, bytes]", True),
        ("[ip = 127.0.0.1, ...]", True),
        (r"[ip=%127\.0\.0\.[1-9]%, ..., s = 404 || s = 410, bytes]", True),
        ("[ip, ..., (s >= 400 && s < 404) || s = 500, bytes]", False),
        ("[..., s != 404, bytes]", False),
        ("[ip, server]", False),
        ("[a, b, c, d, e, f, g, h, ...]", False),
    ],
)
def test_columns(pattern: str, is_found: bool) -> None:
    assert compile_pattern(pattern)(REQUEST) is is_found


@pytest.mark.parametrize(
    "pattern",
    [
        '"never closed',
        "%never closed",
        "%a!%",
        "%(a)%",
        "%[%",
        "{ $.a }",
        "{ $.a = }",
        "{ a = 1 }",
        "{ $ = 1 }",
        "{ $.a = 1",
        "{ $.a = 1 } more",
        "{ $.a > text }",
        "{ $.a = 1 && }",
        "{ ($.a = 1 }",
        "{ $.a = %1% || $.a = %2% || $.a = %3% }",
        "{" + "(" * 400 + "$.a = 1" + ")" * 400 + "}",
        "[a",
        "[a = 1 || b = 2]",
        "[..., a, ...]",
        "[= 1]",
    ],
)
def test_what_means_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidParameter, match="Invalid filter pattern"):
        compile_pattern(pattern)


@given(st.text(max_size=60) | st.text('{}[]()$.%"=!<>&|?-*, a1', max_size=40), st.text(max_size=60))
def test_any_text_is_a_pattern_or_is_refused(pattern: str, message: str) -> None:
    try:
        matches = compile_pattern(pattern)
    except InvalidParameter:
        return
    assert matches(message) in (True, False)


@given(st.lists(words), st.lists(words), st.text("abcXYZ019 ", max_size=40))
def test_words_are_conjunctions_and_minus_excludes(wanted: list[str], unwanted: list[str], message: str) -> None:
    pattern = " ".join([*wanted, *(f"-{word}" for word in unwanted)])
    expected = all(word in message for word in wanted) and not any(word in message for word in unwanted)
    assert compile_pattern(pattern)(message) is expected


@given(st.text("ab*", max_size=8), st.text("ab", max_size=8))
def test_asterisks_stand_for_anything(pattern: str, text: str) -> None:
    ends = {0}
    for sign in pattern:
        if sign == "*":
            ends = {end for start in ends for end in range(start, len(text) + 1)}
        else:
            ends = {at + 1 for at in ends if text[at : at + 1] == sign}
    assert like(text, pattern) is (len(text) in ends)


@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(-5, 5) | st.booleans() | st.none() | words),
    st.sampled_from("abc"),
    st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
    st.integers(-5, 5),
)
def test_numbers_compare_as_numbers(document: dict[str, Any], member: str, sign: str, limit: int) -> None:
    matches = compile_pattern(f"{{ $.{member} {sign} {limit} }}")(json.dumps(document))
    value = document.get(member)
    if isinstance(value, int) and not isinstance(value, bool):
        python = {"=": "=="}.get(sign, sign)
        assert matches is eval(f"{value} {python} {limit}")
    elif value is None or sign in ("<", "<=", ">", ">="):
        assert matches is (isinstance(value, str) and value.isdigit() and eval(f"{int(value)} {sign} {limit}"))


@given(st.lists(words | words.map("[{} and]".format) | words.map('"{} and"'.format), max_size=6))
def test_columns_are_what_stands_between_spaces(columns: list[str]) -> None:
    names = ", ".join(f"c{number}" for number in range(len(columns)))
    if columns:
        assert compile_pattern(f"[{names}]")(" ".join(columns))
        assert not compile_pattern(f"[{names}, more]")(" ".join(columns))
    assert compile_pattern("[...]")(" ".join(columns))
