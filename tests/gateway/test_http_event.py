"""HTTP requests as events of payload format 2.0."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.event import HttpCall, encode_event, endpoint

RawHeaders = list[tuple[bytes, bytes]]


def event_of(
    path: bytes = b"/",
    query: bytes = b"",
    headers: RawHeaders | None = None,
    body: bytes = b"",
    method: str = "GET",
) -> dict[str, Any]:
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "headers": headers or [],
        "query_string": query,
        "client": ("192.0.2.7", 40000),
        "server": ("127.0.0.1", 9000),
    }
    where = endpoint("orders", b"orders.example.com:9000")
    event: dict[str, Any] = json.loads(
        encode_event(HttpCall(scope, path, body, where, "id-1", "Root=1-0-0", 1584039838.25))
    )
    return event


def test_a_bare_request_has_every_field_and_no_optional_one() -> None:
    assert event_of(headers=[(b"user-agent", b"curl/8")]) == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/",
        "rawQueryString": "",
        "headers": {
            "user-agent": "curl/8",
            "x-forwarded-for": "192.0.2.7",
            "x-forwarded-port": "9000",
            "x-forwarded-proto": "http",
            "x-amzn-trace-id": "Root=1-0-0",
        },
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "orders",
            "domainName": "orders.example.com",
            "domainPrefix": "orders",
            "http": {
                "method": "GET",
                "path": "/",
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.7",
                "userAgent": "curl/8",
            },
            "requestId": "id-1",
            "routeKey": "$default",
            "stage": "$default",
            "time": "12/Mar/2020:19:03:58 +0000",
            "timeEpoch": 1584039838250,
        },
        "isBase64Encoded": False,
    }


def test_repeated_headers_are_lower_case_and_joined_by_commas() -> None:
    headers = event_of(headers=[(b"x-tag", b"a"), (b"X-Tag", b"b,c"), (b"x-one", b"1")])["headers"]
    assert headers["x-tag"] == "a,b,c"
    assert headers["x-one"] == "1"


def test_headers_of_the_connection_are_not_the_functions_business() -> None:
    headers = event_of(headers=[(b"connection", b"close"), (b"transfer-encoding", b"chunked"), (b"host", b"h")])
    assert headers["headers"]["host"] == "h"
    assert not {"connection", "transfer-encoding"} & headers["headers"].keys()


def test_cookies_come_one_by_one() -> None:
    event = event_of(headers=[(b"cookie", b"a=1; b=2"), (b"cookie", b"c=3;")])
    assert event["cookies"] == ["a=1", "b=2", "c=3"]
    assert event["headers"]["cookie"] == "a=1; b=2; c=3"


def test_a_proxy_in_front_stays_visible() -> None:
    headers = event_of(headers=[(b"x-forwarded-for", b"203.0.113.9"), (b"x-forwarded-proto", b"https")])["headers"]
    assert headers["x-forwarded-for"] == "203.0.113.9, 192.0.2.7"
    assert headers["x-forwarded-proto"] == "http"


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        (b"a=1&a=2&b=3", {"a": "1,2", "b": "3"}),
        (b"empty=&flag", {"empty": "", "flag": ""}),
        (b"q=%C3%BC+x%26y", {"q": "ü x&y"}),
        (b"parameter1=value1&parameter1=value2", {"parameter1": "value1,value2"}),
        (b"bad=%ff", {"bad": "\N{REPLACEMENT CHARACTER}"}),
    ],
)
def test_query_parameters(query: bytes, parameters: dict[str, str]) -> None:
    event = event_of(query=query)
    assert event["queryStringParameters"] == parameters
    assert event["rawQueryString"] == query.decode()


def test_without_a_query_there_are_no_parameters() -> None:
    assert "queryStringParameters" not in event_of()


@pytest.mark.parametrize(
    ("content_type", "body", "is_base64"),
    [
        (b"application/json", b'{"a": 1}', False),
        (b"application/json; charset=utf-8", "{'ü'}".encode(), False),
        (b"text/plain", b"hello", False),
        (b"TEXT/HTML; charset=latin-1", "ü".encode("latin-1"), True),
        (b"application/problem+json", b"{}", False),
        (b"image/svg+xml", b"<svg/>", False),
        (b"application/x-www-form-urlencoded", b"a=1", True),
        (b"application/octet-stream", b"text all the same", True),
        (b"image/png", b"\x89PNG", True),
        (b"", b"untyped", True),
    ],
)
def test_bodies_are_text_when_they_are_text(content_type: bytes, body: bytes, is_base64: bool) -> None:
    event = event_of(method="POST", headers=[(b"content-type", content_type)], body=body)
    assert event["isBase64Encoded"] is is_base64
    assert event["body"] == (base64.b64encode(body).decode() if is_base64 else body.decode())


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PATCH", "DELETE", "PUT"])
def test_every_method_is_told(method: str) -> None:
    assert event_of(method=method)["requestContext"]["http"]["method"] == method


@pytest.mark.parametrize(
    ("host", "domain", "prefix"),
    [
        (b"localhost:9000", "localhost", "localhost"),
        (b"Box.Example.com", "box.example.com", "box"),
        (b"[::1]:9000", "[::1]", "[::1]"),
        (b"[::1]", "[::1]", "[::1]"),
        (b"127.0.0.1:9000", "127.0.0.1", "127"),
    ],
)
def test_the_domain_is_the_host_without_its_port(host: bytes, domain: str, prefix: str) -> None:
    assert endpoint("f", host) == ("f", domain, prefix)


@given(st.binary(min_size=1, max_size=512), st.sampled_from([b"text/plain", b"image/jpeg", b"application/json"]))
def test_any_body_survives(body: bytes, content_type: bytes) -> None:
    event = event_of(method="POST", headers=[(b"content-type", content_type)], body=body)
    text = event["body"]
    assert (base64.b64decode(text) if event["isBase64Encoded"] else text.encode()) == body


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_percent_encoding_of_paths_is_kept(text: str) -> None:
    path = "/" + quote(text, safe="")
    event = event_of(path=path.encode())
    assert event["rawPath"] == event["requestContext"]["http"]["path"] == path
    assert unquote(event["rawPath"]) == "/" + text


@given(st.lists(st.tuples(st.text(min_size=1, max_size=8), st.text(max_size=8)), min_size=1, max_size=5))
def test_any_query_parses_to_what_was_meant(pairs: list[tuple[str, str]]) -> None:
    def encoded(text: str) -> str:
        return quote(text.encode("utf-8", "replace"), safe="")

    query = "&".join(f"{encoded(name)}={encoded(value)}" for name, value in pairs)
    expected: dict[str, list[str]] = {}
    for name, value in pairs:
        expected.setdefault(unquote(encoded(name)), []).append(unquote(encoded(value)))
    parameters = event_of(query=query.encode())["queryStringParameters"]
    assert parameters == {name: ",".join(values) for name, values in expected.items()}
