"""Function results as HTTP answers."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.answer import BAD_GATEWAY, to_response
from gateway.http.rendering import Response

JSON = (b"content-type", b"application/json")


def answer(result: Any) -> Response:
    return to_response(json.dumps(result).encode())


def test_the_classic_handler() -> None:
    assert answer({"statusCode": 200, "body": json.dumps("Hello from Lambda!")}) == Response(
        200, [JSON], b'"Hello from Lambda!"'
    )


@pytest.mark.parametrize(
    ("result", "body"),
    [
        ("hello", b"hello"),
        ("", b""),
        ("grün", "grün".encode()),
        ([1, 2], b"[1,2]"),
        (3, b"3"),
        (1.5, b"1.5"),
        (True, b"true"),
        (None, b"null"),
        ({"message": "hi"}, b'{"message":"hi"}'),
        ({"body": "no status"}, b'{"body":"no status"}'),
        (["hello", 3, True, 1.50], b'["hello",3,true,1.5]'),
    ],
)
def test_results_without_a_status_are_inferred(result: Any, body: bytes) -> None:
    assert answer(result) == Response(200, [JSON], body)


@pytest.mark.parametrize(("given_status", "status"), [(201, 201), ("418", 418), (599, 599), (204, 204)])
def test_statuses(given_status: object, status: int) -> None:
    assert answer({"statusCode": given_status}).status == status


@pytest.mark.parametrize("status", [None, "", "abc", "²", 200.0, True, [], 99, 101, 600, -200, "9" * 5000])
def test_impossible_statuses_are_bad_gateways(status: object) -> None:
    assert answer({"statusCode": status, "body": "x"}) == BAD_GATEWAY


def test_headers_are_lower_case_and_the_functions_content_type_wins() -> None:
    response = answer({"statusCode": 200, "headers": {"Content-Type": "text/html", "X-Tag": "ü"}, "body": "<p>"})
    assert response.headers == [(b"content-type", b"text/html"), (b"x-tag", "ü".encode())]


def test_numbers_and_booleans_are_headers_too() -> None:
    headers = {"content-length": 9, "x-n": 7, "x-f": 1.5, "x-b": True, "content-type": "text/html"}
    response = answer({"statusCode": 200, "headers": headers})
    assert response.headers == [
        (b"x-n", b"7"), (b"x-f", b"1.5"), (b"x-b", b"true"), (b"content-type", b"text/html"),
    ]  # fmt: skip


def test_each_cookie_is_a_header_of_its_own() -> None:
    response = answer({"statusCode": 200, "cookies": ["a=1; Secure", "b=2"]})
    assert response.headers == [JSON, (b"set-cookie", b"a=1; Secure"), (b"set-cookie", b"b=2")]


def test_headers_of_the_connection_and_of_format_1_are_ignored() -> None:
    result = {
        "statusCode": 200,
        "headers": {"Content-Length": "9", "Transfer-Encoding": "chunked", "Connection": "close", "Date": "now"},
        "multiValueHeaders": {"x-many": ["1", "2"]},
    }
    assert answer(result).headers == [JSON]


@pytest.mark.parametrize(
    "fields",
    [
        {"headers": {"x": None}},
        {"headers": {"x": [1]}},
        {"headers": ["x"]},
        {"headers": {"x": "a\r\nset-cookie: b"}},
        {"headers": {"x": "a\0"}},
        {"headers": {"bad name": "v"}},
        {"headers": {"": "v"}},
        {"cookies": "a=1"},
        {"cookies": [1]},
        {"cookies": ["a\nb"]},
        {"body": "not base64!", "isBase64Encoded": True},
        {"body": "YQ", "isBase64Encoded": True},
        {"body": "ü", "isBase64Encoded": True},
    ],
)
def test_invalid_results_are_bad_gateways(fields: dict[str, object]) -> None:
    assert answer({"statusCode": 200, **fields}) == BAD_GATEWAY


def test_what_a_program_has_streamed_is_one_answer_when_it_is_whole() -> None:
    metadata = b'{"statusCode": 201, "headers": {"x-tea": "green"}, "cookies": ["a=b"]}'
    expected = [(b"x-tea", b"green"), (b"content-type", b"application/octet-stream"), (b"set-cookie", b"a=b")]
    assert to_response(metadata + bytes(8) + b"{\0\xff") == Response(201, expected, b"{\0\xff")


@pytest.mark.parametrize(
    "result", [b"no" + bytes(8) + b"x", b'{"statusCode": 7}' + bytes(8), b"", b"{", b"NaN", b"\xff", b"[" * 100_000]
)
def test_results_that_are_no_json_are_bad_gateways(result: bytes) -> None:
    assert to_response(result) == BAD_GATEWAY


@pytest.mark.parametrize(
    ("body", "sent"),
    [(None, b""), ("", b""), ("text", b"text"), ({"a": 1}, b'{"a":1}'), ([1], b"[1]"), (7, b"7")],
)
def test_bodies(body: object, sent: bytes) -> None:
    assert answer({"statusCode": 200, "body": body}).body == sent


def test_null_headers_and_cookies_are_none() -> None:
    assert answer({"statusCode": 200, "headers": None, "cookies": None}) == Response(200, [JSON])


@given(st.binary(max_size=512))
def test_any_binary_body_survives(body: bytes) -> None:
    result = {"statusCode": 200, "body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    assert answer(result).body == body


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_whatever_a_function_returns_becomes_an_answer(value: Any) -> None:
    for result in (value, {"statusCode": value}, {"statusCode": 200, "headers": value, "cookies": value}):
        response = answer(result)
        assert 200 <= response.status <= 599
        assert all(b"\n" not in content and b"\r" not in content for _, content in response.headers)
