"""Answers in parts: what a generator yields and what is written to a `response_stream`, streamed and collected."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from samovar.link import wire
from tests.runtimes.conftest import Launch
from tests.runtimes.peer import Message, Worker

HTTP_TYPE = "application/vnd.awslambda.http-integration-response"
HTTP_EVENT = {"version": "2.0", "requestContext": {"http": {"method": "GET"}}}
COUNT = """
    def handler(event, context):
        for number in range(event):
            yield f"{number},"
"""


class Streamed:
    """One answer, put together from its frames."""

    def __init__(self, worker: Worker, event: Any) -> None:
        worker.send(json.dumps(event).encode(), streaming=True)
        self.frames: list[wire.Frame] = []
        while not self.frames or not self.frames[-1].ends_message:
            self.frames.append(worker.receive_frame())
        first, *_, last = self.frames
        assert first.kind == wire.RESULT
        self.head = json.loads(first.head or b"{}")
        self.parts = [frame.body for frame in self.frames[:-1]]
        self.error: dict[str, Any] = json.loads(last.body) if last.head else {}
        self.body = b"".join(self.parts)


def dedented(text: str) -> str:
    lines = text.splitlines()
    return "\n".join(line[4:] for line in lines)


@pytest.mark.parametrize(
    "text",
    [
        COUNT,
        """
    import asyncio
    async def handler(event, context):
        for number in range(event):
            await asyncio.sleep(0)
            yield f"{number},"
    """,
        """
    def handler(event, response_stream, context):
        for number in range(event):
            response_stream.write(f"{number},")
    """,
        """
    class ResponseStream: pass
    async def handler(event, context, out: ResponseStream):
        for number in range(event):
            print(number, file=out, end=",", flush=True)
    """,
    ],
    ids=["generator", "async generator", "argument", "annotation"],
)
def test_every_kind_of_handler_streams_and_is_collected(launch: Launch, text: str) -> None:
    worker = launch(dedented(text))
    answer = Streamed(worker, 3)
    assert answer.head == {"streaming": True, "content_type": "application/octet-stream"}
    assert (answer.body, answer.error) == (b"0,1,2,", {})
    assert worker.call(3).body == b"0,1,2,"
    assert Streamed(worker, 0).body == b""
    assert worker.call(0).body == b""


def test_each_part_leaves_when_it_is_yielded(launch: Launch, tmp_path: Any) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    worker = launch(f"def handler(event, context):\n    yield 'now'\n    open({str(gate)!r}).read()\n    yield 'later'")
    worker.send(b"{}", streaming=True)
    assert worker.receive_frame().body == b"now"
    gate.write_bytes(b"go on")
    assert worker.receive_frame().body == b"later"
    assert worker.receive_frame().ends_message


def test_status_headers_and_cookies_come_first(launch: Launch) -> None:
    worker = launch(
        dedented("""
    def handler(event, context):
        yield {"statusCode": 201, "headers": {"x-tea": "green"}, "cookies": ["a=b"]}
        yield "brewed"
        yield {"cups": 2}
    """)
    )
    answer = Streamed(worker, {})
    assert answer.head["content_type"] == HTTP_TYPE
    prelude, _, body = answer.body.partition(bytes(8))
    assert json.loads(prelude) == {"statusCode": 201, "headers": {"x-tea": "green"}, "cookies": ["a=b"]}
    assert body == b'brewed{"cups": 2}'
    assert worker.call({}).json() == {
        "statusCode": 201,
        "headers": {"x-tea": "green"},
        "cookies": ["a=b"],
        "body": 'brewed{"cups": 2}',
    }


def test_a_stream_is_started_once_and_before_everything_else(launch: Launch) -> None:
    worker = launch(
        dedented("""
    def handler(event, response_stream):
        response_stream.content_type = "text/plain"
        if event == "start":
            response_stream.start(204, {"x": "y"})
        response_stream.write(b"\\xff")
        if event == "late":
            response_stream.start(200)
        if event == "closed":
            response_stream.close()
            response_stream.write("more")
    """)
    )
    assert Streamed(worker, "start").body.endswith(bytes(8) + b"\xff")
    plain = Streamed(worker, "plain")
    assert (plain.head["content_type"], plain.body) == ("text/plain", b"\xff")
    for event in ("late", "closed"):
        answer = Streamed(worker, event)
        assert answer.error["errorType"] == "ValueError"
    assert worker.call(HTTP_EVENT).json() == {
        "statusCode": 200,
        "headers": {"content-type": "text/plain"},
        "body": "/w==",
        "isBase64Encoded": True,
    }


def test_an_error_in_the_middle_ends_the_stream_with_it(launch: Launch) -> None:
    worker = launch(
        dedented("""
    def handler(event, context):
        if event == "at once":
            raise KeyError("early")
        yield "some"
        raise KeyError("no more tea")
    """)
    )
    answer = Streamed(worker, {})
    assert answer.body == b"some"
    assert answer.error["errorType"] == "KeyError"
    assert answer.error["errorMessage"] == "'no more tea'"
    assert "no more tea" in answer.error["stackTrace"][0]
    assert len(answer.error["stackTrace"]) == 1
    worker.send(b'"at once"', streaming=True)
    early = worker.receive()
    assert isinstance(early, Message)
    assert (early.kind, early.head) == (wire.RESULT, {"error": "KeyError"})
    assert worker.call({}).head == {"error": "KeyError"}


def test_large_parts_are_cut_and_too_much_cannot_be_collected(launch: Launch) -> None:
    worker = launch("def handler(event, context):\n    for _ in range(8):\n        yield b'x' * (1024 * 1024)")
    answer = Streamed(worker, {})
    assert len(answer.body) == 8 * 1024 * 1024
    assert max(map(len, answer.parts)) <= wire.CHUNK_SIZE
    assert worker.call({}).head == {"error": "Function.ResponseSizeTooLarge"}


def test_other_handlers_answer_as_ever(launch: Launch) -> None:
    worker = launch("def handler(event, context=None, *more): return [event, context.function_name]")
    worker.send(b"1", streaming=True)
    answer = worker.receive()
    assert answer is not None
    assert answer.json() == [1, "orders"]
