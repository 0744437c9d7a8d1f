"""Streamed answers: boto3's InvokeWithResponseStream and HTTP clients of function URLs, in both isolations."""

from __future__ import annotations

import base64
import json
import socket
import textwrap
import time
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx
import pytest

from tests.compatibility.aws import ARN, DOCKER, SANDBOX, create
from tests.gateway.builders import zip_of
from tests.platform import Platform

pytestmark = [
    pytest.mark.component("boto3", "valkey"),
    pytest.mark.parametrize("platform", [SANDBOX, DOCKER], indirect=True),
]
ENDS_WITHIN_S = 60.0
"""A handler that nobody holds up any more."""
TEA = """
    import json, time

    def handler(event, context):
        path = event.get("rawPath", "/") if isinstance(event, dict) else event
        print("asked for", path)
        if path == "/late":
            raise KeyError("before anything")
        if path == "/tea":
            yield {"statusCode": 201, "headers": {"x-tea": "green", "content-type": "text/plain"}, "cookies": ["a=b"]}
        yield "first,"
        if path == "/wait":
            time.sleep(1)
        if path == "/fail":
            raise KeyError("no more tea")
        if path == "/hang":
            time.sleep(60)
        if path == "/much":
            for _ in range(64):
                yield b"x" * 1024 * 1024
                print("one more")
        yield b"second"
"""


def streamed(cloud: Any, event: Any, **members: Any) -> tuple[dict[str, Any], list[bytes], dict[str, Any]]:
    """InvokeWithResponseStream's answer, its parts, and how it ended."""
    answer = cloud.invoke_with_response_stream(FunctionName="tea", Payload=json.dumps(event), **members)
    parts, ending = [], {}
    for frame in answer["EventStream"]:
        if "PayloadChunk" in frame:
            parts.append(frame["PayloadChunk"]["Payload"])
        else:
            ending = frame["InvokeComplete"]
    return answer, parts, ending


def test_boto3_reads_the_parts_and_how_they_ended(cloud: Any) -> None:
    create(cloud, "tea", TEA)
    answer, parts, ending = streamed(cloud, "/", LogType="Tail")
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert b"".join(parts) == b"first,second"
    assert "ErrorCode" not in ending
    log = base64.b64decode(ending["LogResult"]).decode()
    assert "asked for /\n" in log
    assert "REPORT RequestId: " in log
    assert cloud.invoke(FunctionName="tea", Payload=b'"/"')["Payload"].read() == b"first,second"


def test_errors_in_the_middle_and_before_it_are_told_at_the_end(cloud: Any) -> None:
    create(cloud, "tea", TEA, Timeout=2)
    for path, said, code in (
        ("/fail", b"first,", "KeyError"),
        ("/late", b"", "KeyError"),
        ("/hang", b"first,", "Sandbox.Timedout"),
    ):
        _, parts, ending = streamed(cloud, path)
        assert (b"".join(parts), ending["ErrorCode"]) == (said, code)
        details = json.loads(ending["ErrorDetails"])
        assert details["errorType"] == code
    assert "timed out after 2.00 seconds" in details["errorMessage"]
    assert b"".join(streamed(cloud, "/")[1]) == b"first,second"


def test_other_functions_answer_in_one_part(cloud: Any) -> None:
    create(cloud, "tea", "def handler(event, context):\n    return event['cups']")
    _, parts, ending = streamed(cloud, {"cups": [2]})
    assert (parts, ending) == ([b"[2]"], {})
    assert streamed(cloud, {})[2]["ErrorCode"] == "KeyError"
    dry = cloud.invoke_with_response_stream(FunctionName="tea", InvocationType="DryRun")
    assert dry["StatusCode"] == 204
    dry["EventStream"].close()
    with pytest.raises(cloud.exceptions.ResourceNotFoundException, match=f"Function not found: {ARN}coffee"):
        cloud.invoke_with_response_stream(FunctionName="coffee")


def url_of(cloud: Any, name: str = "tea") -> str:
    made = cloud.create_function_url_config(FunctionName=name, AuthType="NONE", InvokeMode="RESPONSE_STREAM")
    assert made["InvokeMode"] == "RESPONSE_STREAM"
    url: str = made["FunctionUrl"]
    return url


def get(url: str, path: str) -> httpx.Response:
    """A function URL's host leads to this machine; nothing has to resolve it."""
    parts = urlsplit(url)
    return httpx.get(f"http://127.0.0.1:{parts.port}/{path}", headers={"host": parts.netloc}, timeout=30)


def test_a_url_streams_status_headers_and_body(cloud: Any) -> None:
    create(cloud, "tea", TEA)
    url = url_of(cloud)
    answer = get(url, "tea")
    assert (answer.status_code, answer.text) == (201, "first,second")
    assert answer.headers["transfer-encoding"] == "chunked"
    assert (answer.headers["x-tea"], answer.headers["content-type"]) == ("green", "text/plain")
    assert answer.headers["set-cookie"] == "a=b"
    assert answer.headers["x-amzn-requestid"]
    plain = get(url, "plain")
    assert (plain.status_code, plain.headers["content-type"]) == (200, "application/octet-stream")
    assert get(url, "late").status_code == 502
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        get(url, "fail")

    cloud.update_function_url_config(FunctionName="tea", InvokeMode="BUFFERED")
    whole = get(url, "tea")
    assert (whole.status_code, whole.text) == (201, "first,second")
    assert whole.headers["content-length"] == "12"
    assert (whole.headers["x-tea"], whole.headers["set-cookie"]) == ("green", "a=b")
    assert get(url, "fail").status_code == 502


def test_parts_arrive_when_they_are_yielded(cloud: Any) -> None:
    create(cloud, "tea", TEA)
    parts = urlsplit(url_of(cloud))
    get(parts.geturl(), "warm")
    asked = time.monotonic()
    with httpx.stream("GET", f"http://127.0.0.1:{parts.port}/wait", headers={"host": parts.netloc}) as answer:
        arrivals = [(time.monotonic() - asked, part) for part in answer.iter_raw()]
    assert [part for _, part in arrivals] == [b"first,", b"second"]
    assert arrivals[1][0] - arrivals[0][0] > 0.9


def asked_by_an_old_client(parts: SplitResult, path: str) -> bytes:
    """What a client of HTTP/1.0 reads to the end of its connection."""
    with socket.create_connection(("127.0.0.1", parts.port or 80), timeout=ENDS_WITHIN_S) as client:
        client.sendall(f"GET {path} HTTP/1.0\r\nhost: {parts.netloc}\r\n\r\n".encode())
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_a_client_of_http_1_0_gets_the_body_as_it_is_and_no_end_where_there_is_none(cloud: Any) -> None:
    create(cloud, "tea", TEA)
    parts = urlsplit(url_of(cloud))
    head, _, body = asked_by_an_old_client(parts, "/tea").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 201 ")
    assert (b"transfer-encoding" in head, b"connection: close" in head) == (False, True)
    assert body == b"first,second"
    with pytest.raises(ConnectionResetError):
        asked_by_an_old_client(parts, "/fail")
    assert httpx.head(f"http://127.0.0.1:{parts.port}/tea", headers={"host": parts.netloc}).status_code == 201


def test_a_slow_client_slows_the_handler_and_a_gone_one_does_not(cloud: Any, platform: Platform) -> None:
    create(cloud, "slow", TEA, Timeout=120)
    parts = urlsplit(url_of(cloud, "slow"))

    def log() -> str:
        return platform.cli("logs", "slow").stdout

    def written() -> int:
        return log().count("one more")

    with socket.create_connection(("127.0.0.1", parts.port or 80)) as client:
        client.sendall(f"GET /much HTTP/1.1\r\nhost: {parts.netloc}\r\n\r\n".encode())
        assert client.recv(100)
        settled = -1
        while settled != (settled := written()):
            time.sleep(0.3)
        assert 0 < settled < 32, "the handler goes on although nobody takes anything"
        taken = 0
        while taken < 24 * 1024 * 1024:
            part = client.recv(1024 * 1024)
            assert part, "the answer ends before its end"
            taken += len(part)
        assert settled < written() < 64
    deadline = time.monotonic() + ENDS_WITHIN_S
    while "REPORT" not in log():
        assert time.monotonic() < deadline, "the handler did not run to its end"
        time.sleep(0.1)
    assert written() == 64
    assert json.loads(platform.cli("usage", "slow", "--json").stdout)["total"]["invocations"] == 1


STEEP = """
    import { pipeline } from "node:stream/promises";
    import { Readable } from "node:stream";

    export const handler = awslambda.streamifyResponse(async (event, responseStream, context) => {
      const path = event.rawPath ?? event;
      if (path === "/late") throw new RangeError("before anything");
      if (path === "/tea") {
        const headers = { "x-tea": "green", "content-type": "text/plain" };
        const metadata = { statusCode: 201, headers, cookies: ["a=b"] };
        responseStream = awslambda.HttpResponseStream.from(responseStream, metadata);
      }
      if (path === "/pipe") return pipeline(Readable.from(["first,", "second"]), responseStream);
      responseStream.write("first,");
      if (path === "/fail") {
        await new Promise((resolve) => setTimeout(resolve, 50));
        throw new RangeError("no more tea");
      }
      if (path === "/much") for (let n = 0; n < 32; n++) responseStream.write("x".repeat(1024 * 1024));
      responseStream.write("second");
      responseStream.end();
    });
"""


@pytest.mark.component("node")
def test_nodes_streamify_response_streams_too(cloud: Any) -> None:
    code = {"ZipFile": zip_of({"index.mjs": textwrap.dedent(STEEP).encode()})}
    create(cloud, "tea", "", Runtime="nodejs22.x", Handler="index.handler", Code=code)
    for path in ("/", "/pipe"):
        _, parts, ending = streamed(cloud, path)
        assert (b"".join(parts), "ErrorCode" in ending) == (b"first,second", False)
    for path, said in (("/fail", b"first,"), ("/late", b"")):
        _, parts, ending = streamed(cloud, path)
        assert (b"".join(parts), ending["ErrorCode"]) == (said, "RangeError")
    assert sum(map(len, streamed(cloud, "/much")[1])) == 32 * 1024 * 1024 + 12
    assert cloud.invoke(FunctionName="tea", Payload=b'"/"')["Payload"].read() == b"first,second"
    url = url_of(cloud)
    for mode in ("RESPONSE_STREAM", "BUFFERED"):
        cloud.update_function_url_config(FunctionName="tea", InvokeMode=mode)
        answer = get(url, "tea")
        assert (answer.status_code, answer.text, answer.headers["x-tea"]) == (201, "first,second", "green")
        assert answer.headers["set-cookie"] == "a=b"
        assert get(url, "late").status_code == 502
