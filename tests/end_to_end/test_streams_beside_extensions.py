"""Streamed answers of environments with an extension in them: they take another way out, and are told of on it."""

from __future__ import annotations

import json
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.end_to_end.lab import RUNTIME, Function, Lab, lambda_client
from tests.end_to_end.programs import deploy_files
from tests.end_to_end.test_extensions import EXTENSION, FOUND_WITHIN_S, answered, layer, said_with

PYTHON = """
    def handler(event, context):
        path = event["rawPath"] if isinstance(event, dict) else event
        if path == "/early":
            raise LookupError("sad")
        yield {"statusCode": 201, "headers": {"x-tea": "green"}}
        yield "first,"
        if path == "/late":
            raise LookupError("sad")
        if path == "/much":
            for _ in range(48):
                yield b"x" * 1024 * 1024
                print("one more")
        yield "second"
"""
JAVASCRIPT = """
    export const handler = awslambda.streamifyResponse(async (event, out) => {
      const path = event.rawPath ?? event;
      if (path === "/early") throw new RangeError("sad");
      out = awslambda.HttpResponseStream.from(out, { statusCode: 201, headers: { "x-tea": "green" } });
      out.write("first,");
      if (path === "/late") throw new RangeError("sad");
      if (path === "/much") {
        for (let n = 0; n < 48; n++) {
          if (!out.write("x".repeat(1024 * 1024))) await new Promise((resolve) => out.once("drain", resolve));
          console.log("one more");
        }
      }
      out.end("second");
    });
"""


@pytest.fixture(scope="module", params=["python", pytest.param("nodejs", marks=pytest.mark.component("node"))])
def streaming(lab: Lab, request: pytest.FixtureRequest) -> Function:
    """A function that streams, with an extension that listens to everything."""
    name = f"streaming-{request.param}"
    files = {"app.py": PYTHON, "index.mjs": JAVASCRIPT}
    ours = {"python": (RUNTIME, "app.handler"), "nodejs": ("nodejs22.x", "index.handler")}[request.param]
    function = deploy_files(lab, name, files, Runtime=ours[0], Handler=ours[1], Timeout=60, MemorySize=256,
                            Layers=[layer(lab, name, EXTENSION)])  # fmt: skip
    answered(function, "/")
    return function


def streamed(function: Function, path: str) -> tuple[str, bytes, dict[str, Any]]:
    """Request id, the parts together, and how the answer ended."""
    cloud = lambda_client(function.lab.endpoint)
    answer = cloud.invoke_with_response_stream(FunctionName=function.name, Payload=json.dumps(path))
    frames = list(answer["EventStream"])
    parts = b"".join(frame["PayloadChunk"]["Payload"] for frame in frames if "PayloadChunk" in frame)
    return answer["ResponseMetadata"]["RequestId"], parts, frames[-1]["InvokeComplete"]


def test_parts_and_errors_after_them_arrive_and_are_told_of(streaming: Function) -> None:
    error = "LookupError" if "python" in streaming.name else "RangeError"
    for path, body, code in (("/", b"first,second", None), ("/late", b"first,", error), ("/early", b"", error)):
        request_id, parts, ending = streamed(streaming, path)
        assert parts.rpartition(b"\0" * 8)[2] == body
        assert ending.get("ErrorCode") == code
        lines = said_with(streaming, "platform.report", request_id)
        told = [line["event"]["record"] for line in lines
                if line["extension"] == "telemetry" and line["event"]["type"] == "platform.runtimeDone"]  # fmt: skip
        (done,) = [record for record in told if record["requestId"] == request_id]
        assert (done["status"], done.get("errorType")) == ("success" if code is None else "error", code)
        ended = len(ending["ErrorDetails"].encode()) if code else 0
        assert done["metrics"]["producedBytes"] == len(parts) + ended
        said_with(streaming, '"eventType": "INVOKE"', request_id)


def test_a_url_passes_them_on_and_a_slow_client_slows_the_handler(streaming: Function) -> None:
    cloud, lab = lambda_client(streaming.lab.endpoint), streaming.lab
    url = cloud.create_function_url_config(FunctionName=streaming.name, AuthType="NONE", InvokeMode="RESPONSE_STREAM")
    parts = urlsplit(url["FunctionUrl"])

    def written(at_least: int = 0) -> int:
        deadline = time.monotonic() + FOUND_WITHIN_S
        while (count := counted()) < at_least:
            assert time.monotonic() < deadline, f"{count} parts are written, and no more"
            time.sleep(0.1)
        return count

    def counted() -> int:
        return sum(record.text.endswith("one more") for record in lab.client.logs(streaming.name))

    answer = httpx.get(lab.endpoint, headers={"host": parts.netloc}, timeout=FOUND_WITHIN_S)
    assert (answer.status_code, answer.headers["x-tea"], answer.text) == (201, "green", "first,second")
    with socket.create_connection(("127.0.0.1", urlsplit(lab.endpoint).port or 80), FOUND_WITHIN_S) as client:
        client.sendall(f"GET /much HTTP/1.1\r\nhost: {parts.netloc}\r\n\r\n".encode())
        assert client.recv(100)
        settled = 0
        while settled != (settled := written(at_least=1)):
            time.sleep(0.3)
        assert settled < 32, "the handler goes on although nobody takes anything"
        taken = 0
        while taken < 40 * 1024 * 1024:
            part = client.recv(1024 * 1024)
            assert part, "the answer ends before its end"
            taken += len(part)
        written(at_least=settled + 1)
    assert written(at_least=48) == 48, "its client has gone"
