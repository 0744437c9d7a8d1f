"""What a handler gets, and what becomes of what it returns."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import pytest

from tests.runtimes.conftest import Launch
from tests.runtimes.peer import ARN, Peer

ECHO = "def handler(event, context): return event"


@pytest.mark.parametrize(
    "event",
    [{"a": [1, {"b": None}]}, [], "text", 7, 1.5, True, None, 10**60, "žluťoučký 🐎 \ud800", {"": ""}],
    ids=repr,
)
def test_every_json_value_goes_in_and_comes_out(launch: Launch, event: Any) -> None:
    assert launch(ECHO).call(event).json() == event


def test_an_event_arrives_as_the_python_type_of_its_json(launch: Launch) -> None:
    worker = launch("def handler(event, context): return type(event).__name__")
    events = [{}, [], "", 1, 1.0, False, None]
    assert [worker.call(event).json() for event in events] == [type(event).__name__ for event in events]


def test_six_megabytes_go_both_ways(launch: Launch) -> None:
    event = "ž" * (1024 * 1024) + "x" * (4 * 1024 * 1024 - 2)
    worker = launch("def handler(event, context): return event.replace('ž', 'zz')")
    assert worker.call(event).json() == event.replace("ž", "zz")
    assert worker.call("small").json() == "small"


def test_non_ascii_text_is_escaped_before_python_3_12_and_not_after(launch: Launch) -> None:
    body = launch(ECHO).call("é").body
    assert body == ("é".encode() and b'"\xc3\xa9"' if sys.version_info >= (3, 12) else b'"\\u00e9"')


def test_nan_and_infinity_are_written_as_python_does(launch: Launch) -> None:
    worker = launch("def handler(event, context): return [float('nan'), float('inf'), -float('inf')]")
    assert worker.call().body == b"[NaN, Infinity, -Infinity]"


def test_nan_is_taken_as_python_reads_it(launch: Launch) -> None:
    assert launch(ECHO).call_raw(b"[NaN]").body == b"[NaN]"


def test_decimals_keep_their_digits(launch: Launch) -> None:
    text = (
        "from decimal import Decimal as D\n"
        "def handler(event, context): return {'a': D('1.10'), 'b': [D('NaN'), D('12345678901234567890.123456789')]}"
    )
    assert launch(text).call().body == b'{"a": 1.10, "b": [NaN, 12345678901234567890.123456789]}'


def test_bytes_are_the_payload_itself(launch: Launch) -> None:
    message = launch("def handler(event, context): return b'\\x00\\xff'").call()
    assert message.body == b"\x00\xff"
    assert message.head == {"content_type": "application/unknown"}


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("{1, 2}", "Object of type set is not JSON serializable"),
        ("{'body': b'x'}", "Object of type bytes is not JSON serializable"),
        ("(a := [], a.append(a))[0]", "Circular reference detected"),
        ("object()", "Object of type object is not JSON serializable"),
        ("{(1, 2): 3}", "keys must be str, int, float, bool or None, not tuple"),
        ("map(str, ())", "Object of type map is not JSON serializable"),
        ("__import__('datetime').date(2020, 1, 1)", "Object of type date is not JSON serializable"),
    ],
)
def test_a_result_that_is_no_json_is_a_marshal_error(launch: Launch, expression: str, words: str) -> None:
    worker = launch(f"def handler(event, context): return {expression}")
    message = worker.call()
    assert message.head == {"error": "Runtime.MarshalError"}
    assert message.json() == {
        "errorMessage": f"Unable to marshal response: {words}",
        "errorType": "Runtime.MarshalError",
        "requestId": "request-1",
        "stackTrace": [],
    }
    assert worker.log().startswith(f"[ERROR] Runtime.MarshalError: Unable to marshal response: {words}\r")


def test_an_async_handler_is_told_what_to_do(launch: Launch) -> None:
    worker = launch("async def handler(event, context): return 1")
    error = worker.call().json()
    assert error["errorType"] == "Runtime.MarshalError"
    assert "Object of type coroutine is not JSON serializable" in error["errorMessage"]
    assert "asyncio.run()" in error["errorMessage"]
    assert "never awaited" not in worker.log()


def test_a_result_may_be_as_large_as_the_order_says_and_no_larger(peer: Peer, code: Any) -> None:
    worker = peer.spawn("app.handler", code("def handler(event, context): return 'x' * event"), max_response_bytes=100)
    worker.wait_ready()
    assert len(worker.call(98).body) == 100
    message = worker.call(99)
    assert message.head == {"error": "Function.ResponseSizeTooLarge"}
    assert message.json() == {
        "errorMessage": "Response payload size exceeded maximum allowed payload size (100 bytes).",
        "errorType": "Function.ResponseSizeTooLarge",
    }


def test_an_event_that_is_no_json_is_an_unmarshal_error(launch: Launch) -> None:
    error = launch(ECHO).call_raw(b"{").json()
    assert error["errorType"] == "Runtime.UnmarshalError"
    assert error["errorMessage"].startswith("Unable to unmarshal input: ")


CONTEXT = """
def handler(event, context):
    names = ["function_name", "function_version", "invoked_function_arn", "memory_limit_in_mb", "aws_request_id",
             "log_group_name", "log_stream_name", "tenant_id", "client_context"]
    found = {name: getattr(context, name) for name in names}
    found["identity"] = [context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id]
    found["w3c"] = context.w3c()
    found["remaining"] = context.get_remaining_time_in_millis()
    return found
"""


def test_the_context_has_every_attribute(launch: Launch) -> None:
    worker = launch(CONTEXT)
    found = worker.call(deadline_ms=int(time.time() * 1000) + 60_000).json()
    assert 0 < found.pop("remaining") <= 60_000
    assert found == {
        "function_name": "orders",
        "function_version": "$LATEST",
        "invoked_function_arn": ARN,
        "memory_limit_in_mb": "128",
        "aws_request_id": "request-1",
        "log_group_name": "/aws/lambda/orders",
        "log_stream_name": "2026/01/01/[$LATEST]00000000000000000000000000000000",
        "tenant_id": None,
        "client_context": None,
        "identity": [None, None],
        "w3c": {},
    }
    past = worker.call(deadline_ms=1000).json()
    assert past["remaining"] == 0
    assert past["aws_request_id"] == "request-2"


def test_the_client_context_has_its_three_parts(launch: Launch) -> None:
    worker = launch(
        "def handler(event, context):\n"
        "    c = context.client_context\n"
        "    return [c.client.app_title, c.client.installation_id, c.custom, c.env, context.w3c()]"
    )
    given = {"client": {"app_title": "shop"}, "custom": {"k": 1}, "w3c": {"traceparent": "00-1", "other": "x"}}
    assert worker.call(client_context=json.dumps(given)).json() == [
        "shop",
        None,
        {"k": 1},
        None,
        {"traceparent": "00-1"},
    ]
    assert worker.call(client_context="{").json()["errorType"] == "Runtime.LambdaContextUnmarshalError"


def test_the_trace_id_is_the_one_of_the_invocation(launch: Launch) -> None:
    worker = launch("import os\ndef handler(event, context): return os.environ.get('_X_AMZN_TRACE_ID')")
    assert worker.call(trace_id="Root=1-2-3").json() == "Root=1-2-3"
    assert worker.call().json() is None
