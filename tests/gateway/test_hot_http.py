"""The HTTP trigger on the warm path, from an HTTP client to the wire of the invoker and back."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message

from gateway import lineage
from samovar.cors import Cors
from samovar.invocation import AnswerHead, InvokeHead, Outcome
from tests.gateway.fake_invoker import answering
from tests.gateway.functions import function_url, gateway, record

ARN = "arn:aws:lambda:us-east-1:123456789012:function:orders"
URL_HOST = "abc123.lambda-url.us-east-1.localhost:9000"


def result(**fields: Any) -> bytes:
    return json.dumps({"statusCode": 200, **fields}).encode()


@pytest.mark.parametrize(
    ("path", "raw_path"),
    [
        ("/fn/orders", "/"),
        ("/fn/orders/", "/"),
        ("/fn/orders/some/path", "/some/path"),
        ("/fn/orders/pa%2Fth/%C3%BC//x/", "/pa%2Fth/%C3%BC//x/"),
        ("/fn/%6Frders/a", "/a"),
    ],
)
@pytest.mark.parametrize("warm", [True, False])
async def test_the_function_sees_the_path_after_its_name(tmp_path: Path, path: str, raw_path: str, warm: bool) -> None:
    async with gateway(tmp_path, warm=warm) as served:
        response = await served.client.get(path)
    event = response.json()
    assert event["rawPath"] == raw_path
    assert event["requestContext"]["domainName"] == "box.example.com"
    assert event["requestContext"]["requestId"] == response.headers["x-amzn-requestid"]
    head, _ = served.invoker.calls[0]
    assert (head.trigger, head.tail) == ("http", False)
    assert lineage.root(head.trace_id or "") == response.headers["x-amzn-trace-id"]
    assert lineage.times(head.trace_id, ARN) == 1


async def test_a_binary_body_goes_in_and_another_comes_out(tmp_path: Path) -> None:
    photograph, thumbnail = bytes(range(256)) * 100, b"\xff\xd8\xff"
    run = answering(
        result(headers={"Content-Type": "image/jpeg"}, body=base64.b64encode(thumbnail).decode(), isBase64Encoded=True)
    )
    async with gateway(tmp_path, run=run) as served:
        response = await served.client.post("/fn/orders", content=photograph, headers={"content-type": "image/png"})
    event = json.loads(served.invoker.calls[0][1])
    assert base64.b64decode(event["body"]) == photograph
    assert (response.status_code, response.content) == (200, thumbnail)
    assert response.headers["content-type"] == "image/jpeg"
    assert response.headers["content-length"] == "3"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_every_method_reaches_the_function(tmp_path: Path, method: str) -> None:
    async with gateway(tmp_path) as served:
        response = await served.client.request(method, "/fn/orders/x")
    assert response.json()["requestContext"]["http"]["method"] == method


async def test_head_has_the_headers_of_get_and_no_body(tmp_path: Path) -> None:
    async with gateway(tmp_path, run=answering(result(body="12345"))) as served:
        response = await served.client.head("/fn/orders")
    assert response.content == b""
    assert response.headers["content-length"] == "5"


@pytest.mark.parametrize("status", [204, 304])
async def test_statuses_without_a_body_have_none(tmp_path: Path, status: int) -> None:
    async with gateway(tmp_path, run=answering(result(statusCode=status, body="ignored"))) as served:
        response = await served.client.get("/fn/orders")
    assert (response.status_code, response.content) == (status, b"")
    assert "content-length" not in response.headers


async def test_a_function_error_is_a_bad_gateway(tmp_path: Path) -> None:
    run = answering(b'{"errorMessage":"x"}', AnswerHead(outcome=Outcome.ERROR))
    async with gateway(tmp_path, run=run) as served:
        response = await served.client.get("/fn/orders")
    assert (response.status_code, response.text) == (502, "Internal Server Error")
    assert response.headers["x-amzn-requestid"]


@pytest.mark.parametrize("path", ["/fn/nobody", "/fn/closed/x", "/fn/bad%20name", "/fn/%FF"])
async def test_functions_without_a_route_are_not_found(tmp_path: Path, path: str) -> None:
    async with gateway(tmp_path, record(), record("closed", http_route=False)) as served:
        response = await served.client.get(path)
    assert response.status_code == 404
    assert response.headers["x-amzn-errortype"] == "ResourceNotFoundException"
    assert response.json()["Type"] == "User"
    assert response.json()["Message"].startswith("Function not found: arn:aws:lambda:us-east-1:123456789012:function:")


async def test_throttling_says_when_to_come_back(tmp_path: Path) -> None:
    head = AnswerHead(failure="TooManyRequests", message="Rate Exceeded.", retry_after=1.2, reason="Busy")
    async with gateway(tmp_path, run=answering(b"", head)) as served:
        response = await served.client.get("/fn/orders")
    assert response.status_code == 429
    assert response.headers["retry-after"] == "2"
    assert response.json() == {
        "Type": "User",
        "Message": "Rate Exceeded.",
        "message": "Rate Exceeded.",
        "Reason": "Busy",
    }


@pytest.mark.parametrize("path", ["/", "/fn/", "/fn", "/samovar/v1/health", "/2015-03-31/functions/"])
async def test_everything_else_is_left_to_control(tmp_path: Path, path: str) -> None:
    async with gateway(tmp_path) as served:
        assert (await served.client.get(path)).text == "control"


@pytest.mark.parametrize("warm", [True, False])
async def test_a_function_url_serves_every_path_of_its_host(tmp_path: Path, warm: bool) -> None:
    async with gateway(tmp_path, record(url=function_url("abc123")), warm=warm) as served:
        response = await served.client.get("/fn/orders/x?a=1", headers={"host": URL_HOST})
    event = response.json()
    assert event["rawPath"] == "/fn/orders/x"
    assert event["requestContext"]["apiId"] == event["requestContext"]["domainPrefix"] == "abc123"
    assert event["requestContext"]["domainName"] == "abc123.lambda-url.us-east-1.localhost"


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("nobody.lambda-url.us-east-1.localhost", None),
        ("abc123.lambda-url.eu-west-1.localhost", None),
        ("signed.lambda-url.us-east-1.localhost", "Forbidden"),
    ],
)
async def test_function_urls_nobody_may_use(tmp_path: Path, host: str, message: str | None) -> None:
    signed = record("signed", url=function_url("signed", auth_type="AWS_IAM"))
    async with gateway(tmp_path, record(url=function_url("abc123")), signed, auth="sigv4") as served:
        response = await served.client.get("/", headers={"host": host})
    assert (response.status_code, response.json()) == (403, {"Message": message})
    assert response.headers["x-amzn-errortype"] == "AccessDeniedException"
    assert served.invoker.calls == []


async def test_cross_origin_rules_answer_preflights_and_win_over_the_function(tmp_path: Path) -> None:
    rules = Cors(
        allow_origins=("https://shop.example",),
        allow_methods=("GET", "POST"),
        allow_headers=("x-tag",),
        expose_headers=("x-cost",),
        allow_credentials=True,
        max_age=300,
    )
    run = answering(result(headers={"Access-Control-Allow-Origin": "*"}))
    origin = {"host": URL_HOST, "origin": "https://shop.example"}
    async with gateway(tmp_path, record(url=function_url("abc123", rules)), run=run) as served:
        preflight = await served.client.options("/", headers={**origin, "access-control-request-method": "POST"})
        assert served.invoker.calls == []
        response = await served.client.get("/", headers=origin)
        stranger = await served.client.get("/", headers={**origin, "origin": "https://evil.example"})
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-methods"] == "GET,POST"
    assert preflight.headers["access-control-allow-headers"] == "x-tag"
    assert preflight.headers["access-control-max-age"] == "300"
    assert response.headers.get_list("access-control-allow-origin") == ["https://shop.example"]
    assert response.headers["access-control-allow-credentials"] == "true"
    assert response.headers["access-control-expose-headers"] == "x-cost"
    assert not [name for name in stranger.headers if name.startswith("access-control")]


async def test_an_error_on_a_function_url_can_be_read_across_origins(tmp_path: Path) -> None:
    run = answering(b"", AnswerHead(failure="EnvironmentFailure", message="no room"))
    async with gateway(tmp_path, record(url=function_url("abc123", Cors(allow_origins=("*",)))), run=run) as served:
        response = await served.client.get("/", headers={"host": URL_HOST, "origin": "https://any.example"})
    assert response.status_code == 502
    assert response.headers["access-control-allow-origin"] == "*"


async def test_a_platform_fault_is_logged_and_answered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(head: InvokeHead, body: bytes) -> tuple[AnswerHead, bytes]:
        return AnswerHead(failure="SettingError", message="its constructor takes something else"), b""

    async with gateway(tmp_path, run=broken) as served:
        response = await served.client.get("/fn/orders")
    assert response.status_code == 500
    assert response.headers["x-amzn-requestid"] in response.json()["Message"]
    assert response.headers["x-amzn-requestid"] in caplog.text


async def test_a_call_that_outlives_the_drain_is_told_so(tmp_path: Path) -> None:
    sent: list[Message] = []

    async def run(head: InvokeHead, body: bytes) -> tuple[AnswerHead, bytes]:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def receive() -> Message:
        raise AssertionError("a GET has no body")

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/fn/orders",
        "raw_path": b"/fn/orders",
        "query_string": b"",
        "headers": [],
    }
    async with gateway(tmp_path, run=run) as served:
        request = asyncio.create_task(served.app(scope, receive, send))
        await served.invoker.until_calls(1)
        request.cancel()
        await request
    assert sent[0]["status"] == 503
    assert {(b"connection", b"close"), (b"retry-after", b"1")} <= set(sent[0]["headers"])
