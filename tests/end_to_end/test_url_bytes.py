"""Function URLs byte by byte: what is written to a socket, what the function is told, and what comes back.

Rules: AWS Lambda developer guide, "Invoking Lambda function URLs" (payload format 2.0), and API reference, "Cors".
"""

from __future__ import annotations

import base64
import json
import re
import socket
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.end_to_end.lab import Lab, lambda_client

ECHO = """
    import base64, json

    def handler(event, context):
        if event["rawPath"] == "/answer":
            return json.loads(base64.b64decode(event["body"]))
        return event
"""
ANSWERS_WITHIN_S = 60.0
OWN = (b"date", b"x-amzn-requestid", b"x-amzn-trace-id", b"content-length")
"""Headers that every answer has."""
PLAIN = "GET /x HTTP/1.1", "Origin: https://a.example"
PREFLIGHT = "OPTIONS /x HTTP/1.1", "Origin: https://a.example", "Access-Control-Request-Method: PUT"


class Url(NamedTuple):
    lab: Lab
    host: str

    def ask(self, line: str, *headers: str, body: bytes = b"") -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Status, headers but those that every answer has, and body."""
        length = [f"Content-Length: {len(body)}"] if body else []
        head = "\r\n".join([line, f"Host: {self.host}", "Connection: close", *length, *headers, "", ""])
        address = "127.0.0.1", urlsplit(self.lab.endpoint).port or 80
        with socket.create_connection(address, ANSWERS_WITHIN_S) as client:
            client.sendall(head.encode("latin-1") + body)
            said = b"".join(iter(lambda: client.recv(65536), b""))
        first, _, rest = said.partition(b"\r\n")
        lines, _, content = rest.partition(b"\r\n\r\n")
        named = [
            (name.lower(), value.strip()) for name, _, value in (one.partition(b":") for one in lines.split(b"\r\n"))
        ]
        return int(first.split()[1]), [one for one in named if one[0] not in OWN and one[0] != b"connection"], content

    def event(self, line: str, *headers: str, body: bytes = b"") -> dict[str, Any]:
        """What the function is told of a request."""
        status, _, content = self.ask(line, *headers, body=body)
        assert status == 200, content
        told: dict[str, Any] = json.loads(content)
        return told


@pytest.fixture(scope="module")
def url(lab: Lab) -> Url:
    lab.deploy(ECHO, "bytes")
    made = lambda_client(lab.endpoint).create_function_url_config(FunctionName="bytes", AuthType="NONE")
    return Url(lab, urlsplit(made["FunctionUrl"]).netloc)


def test_a_request_is_told_in_full(url: Url) -> None:
    told = url.event(
        "GET /a%20b%2Fc//x/../y?q=1&q=2&e=&f&%61=%62+c HTTP/1.1", "Cookie: a=1; b=2", "cookie: c=3", "X-Many: 1",
        "x-mAny: 2", "User-Agent: me", "X-Forwarded-For: 192.0.2.7",
    )  # fmt: skip
    assert (told["version"], told["routeKey"]) == ("2.0", "$default")
    assert (told["rawPath"], told["rawQueryString"]) == ("/a%20b%2Fc//x/../y", "q=1&q=2&e=&f&%61=%62+c")
    assert told["queryStringParameters"] == {"q": "1,2", "e": "", "f": "", "a": "b c"}
    assert (told["cookies"], told["isBase64Encoded"], "body" in told) == (["a=1", "b=2", "c=3"], False, False)
    headers, context = told["headers"], told["requestContext"]
    assert (headers["x-many"], headers["x-forwarded-for"]) == ("1,2", "192.0.2.7, 127.0.0.1")
    assert context["http"] == {
        "method": "GET", "path": told["rawPath"], "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "me",
    }  # fmt: skip
    prefix = url.host.partition(".")[0]
    assert (context["accountId"], context["apiId"], context["domainPrefix"]) == ("anonymous", prefix, prefix)
    assert context["domainName"] == url.host.partition(":")[0]
    assert re.fullmatch(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000", context["time"])
    assert 1.7e12 < context["timeEpoch"] < 1e13


def test_a_bare_request_leaves_out_what_it_has_not(url: Url) -> None:
    for line in ("GET / HTTP/1.1", "GET /? HTTP/1.1", "PROPFIND / HTTP/1.1"):
        told = url.event(line)
        assert not {"cookies", "queryStringParameters", "body"} & told.keys()
        assert (told["rawPath"], told["rawQueryString"], told["requestContext"]["http"]["userAgent"]) == ("/", "", "")


@pytest.mark.parametrize(
    ("headers", "body", "is_base64"),
    [
        (["Content-Type: application/json; charset=utf-8"], '{"ü":1}'.encode(), False),
        (["Content-Type: text/plain"], b"tea", False),
        (["Content-Type: application/problem+json"], b"{}", False),
        (["Content-Type: text/plain", "Content-Encoding: gzip"], b"\x1f\x8b\x08\xff", True),
        (["Content-Type: application/x-www-form-urlencoded"], b"a=1", True),
        (["Content-Type: application/octet-stream"], b"\xff\x00", True),
        ([], b"tea", True),
    ],
)
def test_a_body_is_text_or_base64(url: Url, headers: list[str], body: bytes, is_base64: bool) -> None:
    told = url.event("POST / HTTP/1.1", *headers, body=body)
    assert told["isBase64Encoded"] is is_base64
    assert (base64.b64decode(told["body"]) if is_base64 else told["body"].encode()) == body


JSON = (b"content-type", b"application/json")
ANSWERS: list[tuple[Any, int, list[tuple[bytes, bytes]], bytes]] = [
    ({"statusCode": "418"}, 418, [JSON], b""),
    ({"statusCode": 204}, 204, [JSON], b""),
    ({"statusCode": 200, "body": {"a": 1}}, 200, [JSON], b'{"a":1}'),
    ({"statusCode": 200, "body": "ü"}, 200, [JSON], "ü".encode()),
    ({"statusCode": 200, "body": "/wA=", "isBase64Encoded": True}, 200, [JSON], b"\xff\x00"),
    ({"statusCode": 200, "body": "/wA=", "isBase64Encoded": False}, 200, [JSON], b"/wA="),
    ({"statusCode": 200, "headers": {"X-N": 1, "X-B": True}}, 200, [(b"x-n", b"1"), (b"x-b", b"true"), JSON], b""),
    ({"statusCode": 200, "headers": {"content-length": 99, "date": "now"}, "body": "x"}, 200, [JSON], b"x"),
    (
        {"statusCode": 201, "headers": {"Content-Type": "text/html", "Set-Cookie": "a=1"}, "cookies": ["b=2; Secure"]},
        201,
        [(b"content-type", b"text/html"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2; Secure")],
        b"",
    ),
    ({"body": "no status"}, 200, [JSON], b'{"body":"no status"}'),
    ("tea", 200, [JSON], b"tea"),
    (["a", 1, None], 200, [JSON], b'["a",1,null]'),
    (None, 200, [JSON], b"null"),
]
INVALID: list[dict[str, Any]] = [
    {"statusCode": 100},
    {"statusCode": 999},
    {"statusCode": None},
    {"statusCode": 200, "cookies": "a=1"},
    {"statusCode": 200, "headers": ["a"]},
    {"statusCode": 200, "headers": {"a": ["1"]}},
    {"statusCode": 200, "headers": {"a": "x\r\ny: z"}},
    {"statusCode": 200, "body": "?", "isBase64Encoded": True},
]


def answered(url: Url, value: Any) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    return url.ask("POST /answer HTTP/1.1", "Content-Type: any/thing", body=json.dumps(value).encode())


def test_a_result_becomes_an_answer(url: Url) -> None:
    assert [answered(url, value) for value, *_ in ANSWERS] == [tuple(expected) for _, *expected in ANSWERS]


def test_a_result_that_is_no_answer_is_a_bad_gateway(url: Url) -> None:
    assert [answered(url, value) for value in INVALID] == [(502, [JSON], b"Internal Server Error")] * len(INVALID)


ANY = {b"origin": b"*"}
CORS: list[tuple[dict[str, Any], dict[bytes, bytes], dict[bytes, bytes]]] = [
    ({"AllowOrigins": ["*"]}, ANY, ANY),
    ({"AllowOrigins": ["https://a.example"]}, {b"origin": b"https://a.example"}, {b"origin": b"https://a.example"}),
    ({"AllowOrigins": ["https://b.example"]}, {}, {}),
    (
        {"AllowOrigins": ["*"], "AllowMethods": ["GET", "PUT"]},
        {b"origin": b"*", b"methods": b"GET,PUT"},
        {b"origin": b"*"},
    ),
    (
        {"AllowOrigins": ["*"], "AllowHeaders": ["x-a", "x-b"]},
        {b"origin": b"*", b"headers": b"x-a,x-b"},
        {b"origin": b"*"},
    ),
    ({"AllowOrigins": ["*"], "ExposeHeaders": ["x-e"]}, ANY, ANY | {b"expose": b"x-e"}),
    ({"AllowOrigins": ["*"], "MaxAge": 77}, ANY | {b"max-age": b"77"}, ANY),
    (
        {"AllowOrigins": ["*"], "AllowCredentials": True},
        {b"origin": b"https://a.example", b"credentials": b"true"},
        {b"origin": b"https://a.example", b"credentials": b"true"},
    ),
]
"""Rules, what a preflight request is answered, and what is added to an answer; by the word that tells one header."""
WORDS = {
    b"access-control-allow-origin": b"origin", b"access-control-allow-methods": b"methods",
    b"access-control-allow-headers": b"headers", b"access-control-expose-headers": b"expose",
    b"access-control-max-age": b"max-age", b"access-control-allow-credentials": b"credentials",
}  # fmt: skip


@pytest.mark.parametrize(("rules", "preflight", "added"), CORS)
def test_each_cross_origin_rule_has_its_header(
    url: Url, rules: dict[str, Any], preflight: dict[bytes, bytes], added: dict[bytes, bytes]
) -> None:
    cloud = lambda_client(url.lab.endpoint)
    cloud.update_function_url_config(FunctionName="bytes", Cors=rules)
    try:
        for request, expected, is_told in ((PREFLIGHT, preflight, False), (PLAIN, added, True)):
            status, headers, body = url.ask(*request)
            assert {WORDS[name]: value for name, value in headers if name in WORDS} == expected
            assert (status, bool(body)) == (200, is_told)
    finally:
        cloud.update_function_url_config(FunctionName="bytes", Cors={})
