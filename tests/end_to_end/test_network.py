"""Functions behind HTTP: what they see of a request, and what their results become."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.end_to_end.conftest import DOCKER, SANDBOX
from tests.end_to_end.lab import Function, Lab

SEED = """
    import json
    def lambda_handler(event, context):
        return {'statusCode': 200, 'body': json.dumps('Hello from Lambda!')}
"""
ECHO = """
    import base64, hashlib

    def handler(event, context):
        if event["rawPath"] == "/bytes":
            body = base64.b64decode(event["body"]) if event["isBase64Encoded"] else event["body"].encode()
            return {"statusCode": 200, "isBase64Encoded": True, "body": base64.b64encode(body).decode(),
                    "headers": {"Content-Type": "application/octet-stream", "x-hash": hashlib.sha256(body).hexdigest(),
                                "x-base64": str(event["isBase64Encoded"])}}
        if event["rawPath"] == "/answer":
            import json
            return json.loads(event["body"])
        if event["rawPath"] == "/fail":
            raise RuntimeError("on purpose")
        return event
"""


@pytest.fixture(scope="package")
def echo(lab: Lab) -> Function:
    return lab.deploy(ECHO, name="echo")


@pytest.fixture
def http_client(echo: Function) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=echo.url, timeout=30) as client:
        yield client


def raw(function: Function, method: str, path: str, headers: list[tuple[str, str]]) -> tuple[int, bytes]:
    """A request whose path and headers nobody tidies up."""
    address = urlsplit(function.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_the_seed_answers_every_door(lab: Lab) -> None:
    function = lab.deploy(SEED, Handler="app.lambda_handler")
    for event in ({}, {"a": 1}, [1], "text", 1, 1.5, True, None):
        assert function.value(event) == {"statusCode": 200, "body": '"Hello from Lambda!"'}
    for url in (function.url, function.url.rstrip("/"), f"{function.url}any/path?x=1"):
        answer = httpx.get(url)
        assert (answer.status_code, answer.text) == (200, '"Hello from Lambda!"')
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-amzn-requestid"]
    assert (
        lab.platform.cli("invoke", function.name).stdout.strip()
        == '{"statusCode": 200, "body": "\\"Hello from Lambda!\\""}'
    )


def test_a_function_url_of_its_own_host(lab: Lab, echo: Function) -> None:
    url = urlsplit(lab.client.create_url(echo.name).function_url)
    assert (url.hostname or "").endswith(".lambda-url.us-east-1.localhost")
    answer = httpx.get(f"{lab.endpoint}/some/path?q=1", headers={"host": url.netloc})
    event = answer.json()
    assert (event["rawPath"], event["rawQueryString"]) == ("/some/path", "q=1")
    assert event["requestContext"]["domainName"] == url.hostname
    lab.client.delete_url(echo.name)
    gone = httpx.get(lab.endpoint, headers={"host": url.netloc})
    assert (gone.status_code, gone.json()) == (403, {"Message": None})


def test_the_event_of_a_request(lab: Lab, http_client: httpx.Client) -> None:
    event = http_client.post("orders/7", json={"n": 1}, headers={"user-agent": "teapot/1"}).json()
    assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "$default", "/orders/7")
    assert (event["body"], event["isBase64Encoded"]) == ('{"n":1}', False)
    context = event["requestContext"]
    assert context["http"] == {
        "method": "POST",
        "path": "/orders/7",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "teapot/1",
    }
    assert event["headers"]["content-type"] == "application/json"
    assert event["headers"]["x-forwarded-proto"] == "http"
    assert "queryStringParameters" not in event
    assert "cookies" not in event
    assert context["timeEpoch"] > 1_700_000_000_000


def test_repeated_headers_cookies_and_query_values(echo: Function) -> None:
    headers = [("Host", "h"), ("X-Two", "one"), ("X-Two", "two"), ("Cookie", "a=1; b=2"), ("Cookie", "c=3")]
    status, body = raw(echo, "GET", "/fn/echo/?a=1&b=x%20y&a=2&empty=&plus=1+1", headers)
    event = json.loads(body)
    assert status == 200
    assert event["headers"]["x-two"] == "one,two"
    assert event["cookies"] == ["a=1", "b=2", "c=3"]
    assert event["queryStringParameters"] == {"a": "1,2", "b": "x y", "empty": "", "plus": "1 1"}
    assert event["rawQueryString"] == "a=1&b=x%20y&a=2&empty=&plus=1+1"


@pytest.mark.parametrize("path", ["/a%2Fb", "/pa2%Fth/1", "/%C3%BC", "/a//b", "/a/../b", "/%2e%2e/", "/a;b=1", "/100%"])
def test_the_path_is_kept_as_it_was_sent(echo: Function, path: str) -> None:
    status, body = raw(echo, "GET", f"/fn/echo{path}", [("Host", "h")])
    assert status == 200
    event = json.loads(body)
    assert (event["rawPath"], event["requestContext"]["http"]["path"]) == (path, path)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method(http_client: httpx.Client, method: str) -> None:
    assert http_client.request(method, "x").json()["requestContext"]["http"]["method"] == method


def test_head_has_headers_and_no_body(http_client: httpx.Client) -> None:
    answer = http_client.head("x")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


@pytest.mark.parametrize("size", [0, 1, 1000, 300_000, 4 * 1024 * 1024])
def test_bytes_go_in_and_come_out_as_they_are(http_client: httpx.Client, size: int) -> None:
    content = os.urandom(size)
    answer = (
        http_client.post("bytes", content=content, headers={"content-type": "image/png"})
        if size
        else (http_client.post("answer", json={"statusCode": 200, "body": "", "isBase64Encoded": True}))
    )
    assert answer.status_code == 200
    assert answer.content == content
    if size:
        assert answer.headers["x-hash"] == hashlib.sha256(content).hexdigest()
        assert answer.headers["x-base64"] == "True"


@pytest.mark.parametrize("content_type", ["text/plain", "image/png"])
def test_six_megabytes(lab: Lab, content_type: str) -> None:
    function = lab.deploy(
        """
        import base64

        def handler(event, context):
            body = event["body"]
            return len(base64.b64decode(body) if event["isBase64Encoded"] else body)
        """
    )
    six = 6 * 1024 * 1024
    answer = httpx.post(function.url, content=b"x" * six, headers={"content-type": content_type}, timeout=30)
    assert (answer.status_code, answer.json()) == (200, six)


@pytest.mark.parametrize(
    ("result", "status", "body"),
    [
        ({"statusCode": 201, "body": "made"}, 201, "made"),
        ({"statusCode": "418", "body": "teapot"}, 418, "teapot"),
        ({"statusCode": 204}, 204, ""),
        ({"no": "status"}, 200, '{"no":"status"}'),
        ("just text", 200, "just text"),
        ([1, 2], 200, "[1,2]"),
        (7, 200, "7"),
        (None, 200, "null"),
        ({"statusCode": 200, "body": {"nested": 1}}, 200, '{"nested":1}'),
        ({"statusCode": 99}, 502, "Internal Server Error"),
        ({"statusCode": 200, "body": "?", "isBase64Encoded": True}, 502, "Internal Server Error"),
        ({"statusCode": 200, "headers": {"x-split": "a\r\nset-cookie: b"}}, 502, "Internal Server Error"),
    ],
)
def test_what_a_result_becomes(http_client: httpx.Client, result: Any, status: int, body: str) -> None:
    answer = http_client.post("answer", content=json.dumps(result), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.text) == (status, body)


def test_headers_and_cookies_of_a_result(http_client: httpx.Client) -> None:
    result = {
        "statusCode": 302,
        "headers": {"Location": "/there", "X-Custom": "yes"},
        "cookies": ["a=1; Path=/", "b=2"],
        "body": "",
    }
    answer = http_client.post("answer", json=result)
    assert answer.status_code == 302
    assert (answer.headers["location"], answer.headers["x-custom"]) == ("/there", "yes")
    assert answer.headers.get_list("set-cookie") == ["a=1; Path=/", "b=2"]


def test_a_failing_function_is_a_bad_gateway(echo: Function, http_client: httpx.Client) -> None:
    answer = http_client.get("fail")
    assert (answer.status_code, answer.text) == (502, "Internal Server Error")
    reading = echo.lab.client.invocation(answer.headers["x-amzn-requestid"])
    assert (reading.outcome, reading.trigger) == ("error", "http")


def test_a_request_can_be_found_by_its_id(echo: Function, http_client: httpx.Client) -> None:
    answer = http_client.get("x", headers={"x-amzn-trace-id": "Root=1-5759e988-bd862e3fe1be46a994272793"})
    assert answer.json()["requestContext"]["requestId"] == answer.headers["x-amzn-requestid"]
    assert answer.json()["headers"]["x-amzn-trace-id"] == "Root=1-5759e988-bd862e3fe1be46a994272793"
    assert echo.lab.client.invocation(answer.headers["x-amzn-requestid"]).trigger == "http"


@pytest.mark.parametrize(("network", "reached"), [("none", False), ("host", True)])
def test_a_function_reaches_the_host_only_when_it_may(lab: Lab, network: str, reached: bool) -> None:
    function = lab.deploy(Tags={"samovar:network": network})
    with socket.create_server(("127.0.0.1", 0)) as server:  # not the platform's own, which every box has a way to
        lines = f"""
            import socket
            try:
                socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 2).close()
                result = True
            except OSError:
                result = False
        """
        assert function.run(lines) is reached


@pytest.mark.parametrize("isolation", [SANDBOX, DOCKER])
def test_a_function_may_choose_its_isolation(lab: Lab, isolation: str) -> None:
    function = lab.deploy(Tags={"samovar:isolation": isolation})
    assert function.run("result = 1") == 1
    assert function.readings()[0].isolation == isolation


@pytest.mark.component("docker", "runsc")
def test_a_function_on_gvisor(lab: Lab) -> None:
    function = lab.deploy(Tags={"samovar:isolation": "docker", "samovar:oci-runtime": "runsc"})
    ours = Path("/proc/version").read_text()
    assert function.run("result = open('/proc/version').read()") != ours
    assert function.readings()[0].peak_mb > 0
