"""A program that speaks the Runtime API as compiled runtimes do, over one connection that stays open.

What it sends is what AWS's client for Go sends: every answer in chunks, with no word of streams, trailers named
beforehand for the error that a body may end in, and after a panic an error and then exit status 1.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from samovar.invocation import Outcome
from tests.end_to_end.lab import Function, Lab, lambda_client
from tests.end_to_end.programs import deploy_files

CALLERS = 32
PROGRAM = r"""
    #!/usr/bin/python3
    import base64, json, os, socket, sys, time

    host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
    wire = socket.create_connection((host, int(port)))
    said = wire.makefile("rb")
    ROOT = "/2018-06-01/runtime/invocation/"
    JSON, BYTES = "application/json", "application/vnd.awslambda.http-integration-response"

    def answer():
        status = int(said.readline().split()[1])
        headers = {}
        while (line := said.readline().strip()):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return status, headers, said.read(int(headers["content-length"]))

    def head(method, path, *more):
        lines = [f"{method} {ROOT}{path} HTTP/1.1", f"Host: {host}:{port}", "User-Agent: go-like", *more, "", ""]
        wire.sendall("\r\n".join(lines).encode())

    def post(path, content_type, parts, error=None):
        names = [f"Lambda-Runtime-Function-Error-{word}" for word in ("Type", "Body")]
        head("POST", path, "Transfer-Encoding: chunked", "Trailer: " + ",".join(names),
             f"Content-Type: {content_type}", "Accept-Encoding: gzip")
        for part in parts:
            wire.sendall(b"%x\r\n%s\r\n" % (len(part), part))
        values = () if error is None else (error["errorType"], base64.b64encode(json.dumps(error).encode()).decode())
        wire.sendall(("0\r\n" + "".join(f"{n}: {v}\r\n" for n, v in zip(names, values)) + "\r\n").encode())
        status = answer()[0]
        if status != 202:
            sys.exit(f"{path} was answered with {status}")

    def streamed(slowly):
        yield json.dumps({"statusCode": 201, "headers": {"x-tea": "green"}, "cookies": ["a=b"]}).encode() + b"\0" * 8
        yield b"first,"
        time.sleep(0.2)
        if slowly:
            yield b"second"

    BOOM = {"errorMessage": "boom", "errorType": "boom"}
    while True:
        head("GET", "next")
        status, headers, event = answer()
        given, request_id = json.loads(event), headers["lambda-runtime-aws-request-id"]
        do = given.get("rawPath", "").strip("/") or given.get("do")
        if do == "fail":
            post(f"{request_id}/error", JSON, [json.dumps(BOOM).encode()])
        elif do == "panic":
            print("panic: aaah", file=sys.stderr, flush=True)
            told = {"errorMessage": "aaah", "errorType": "string", "stackTrace": [{"path": "main.go", "line": 1}]}
            post(f"{request_id}/error", JSON, [json.dumps(told).encode()])
            sys.exit(1)
        elif do in ("stream", "break"):
            post(f"{request_id}/response", BYTES, streamed(do == "stream"), None if do == "stream" else BOOM)
        elif do == "never":
            post(f"{request_id}/response", BYTES, [], BOOM)
        else:
            found = {"event": given, "pid": os.getpid()}
            post(f"{request_id}/response", JSON, [json.dumps(found).encode()])
"""


@pytest.fixture(scope="module")
def program(lab: Lab) -> Function:
    return deploy_files(lab, "compiled", {"bootstrap": PROGRAM}, Runtime="provided.al2023", Handler="bootstrap")


def test_results_and_errors_pass_over_one_connection(program: Function) -> None:
    first = program.value({"n": 1})
    assert program.error({"do": "fail"}) == {"errorMessage": "boom", "errorType": "boom"}
    assert program.value({"n": 2}) == {"event": {"n": 2}, "pid": first["pid"]}


def test_a_panic_is_told_and_costs_the_process(program: Function) -> None:
    before = program.value({})["pid"]
    answered = program.invoke({"do": "panic"})
    assert json.loads(answered.payload)["errorMessage"] == "aaah"
    assert "panic: aaah\n" in answered.log
    assert program.readings()[-1].outcome is Outcome.ERROR
    assert program.value({})["pid"] != before


def frames(lab: Lab, event: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """The parts of an answer together, and how it ended."""
    cloud = lambda_client(lab.endpoint)
    told = list(cloud.invoke_with_response_stream(FunctionName="compiled", Payload=json.dumps(event))["EventStream"])
    parts = b"".join(frame["PayloadChunk"]["Payload"] for frame in told if "PayloadChunk" in frame)
    return parts.rpartition(b"\0" * 8)[2], told[-1]["InvokeComplete"]


def test_what_it_streams_and_how_that_ends_is_in_its_trailers(lab: Lab, program: Function) -> None:
    assert frames(lab, {"do": "stream"}) == (b"first,second", {})
    for do, body in (("break", b"first,"), ("never", b"")):
        parts, ending = frames(lab, {"do": do})
        assert (parts, json.loads(ending["ErrorDetails"])) == (body, {"errorMessage": "boom", "errorType": "boom"})
        assert program.error({"do": do})["errorMessage"] == "boom"
    assert json.loads(frames(lab, {"n": 1})[0])["event"] == {"n": 1}


def test_a_url_streams_it_or_sends_it_whole(lab: Lab, program: Function) -> None:
    cloud = lambda_client(lab.endpoint)
    url = cloud.create_function_url_config(FunctionName="compiled", AuthType="NONE", InvokeMode="RESPONSE_STREAM")
    host = {"host": urlsplit(url["FunctionUrl"]).netloc}
    with httpx.stream("GET", f"{lab.endpoint}/stream", headers=host) as answer:
        assert (answer.status_code, answer.headers["x-tea"], answer.headers["set-cookie"]) == (201, "green", "a=b")
        assert answer.read() == b"first,second"
    with httpx.stream("GET", f"{lab.endpoint}/break", headers=host) as answer, pytest.raises(httpx.RemoteProtocolError):
        answer.read()
    cloud.update_function_url_config(FunctionName="compiled", InvokeMode="BUFFERED")
    whole = httpx.get(f"{lab.endpoint}/stream", headers=host)
    assert (whole.status_code, whole.headers["x-tea"], whole.content) == (201, "green", b"first,second")
    for path in ("fail", "panic", "never"):
        assert httpx.get(f"{lab.endpoint}/{path}", headers=host).status_code == 502


def test_many_callers_at_once_get_their_own_answers(program: Function) -> None:
    with ThreadPoolExecutor(CALLERS) as callers:
        answers = list(callers.map(program.value, [{"n": n} for n in range(4 * CALLERS)]))
    assert [answer["event"]["n"] for answer in answers] == list(range(4 * CALLERS))
