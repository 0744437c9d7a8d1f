"""Frames are what the SDKs' own parser reads."""

from __future__ import annotations

import pytest
from botocore.eventstream import EventStreamBuffer  # type: ignore[import-untyped]  # it ships no types
from hypothesis import given
from hypothesis import strategies as st

from samovar.link import event_stream

pytestmark = pytest.mark.component("boto3")
headers = st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=40), max_size=4)


@given(st.lists(st.tuples(headers, st.binary(max_size=200)), max_size=4), st.integers(1, 64))
def test_frames_are_read_back_however_they_are_cut(messages: list[tuple[dict[str, str], bytes]], size: int) -> None:
    data = b"".join(event_stream.frame(*message) for message in messages)
    buffer = EventStreamBuffer()
    for start in range(0, len(data), size):
        buffer.add_data(data[start : start + size])
    assert [(read.headers, read.payload) for read in buffer] == messages


def test_events_and_exceptions_are_told_apart() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(event_stream.event("PayloadChunk", b"tea", "application/octet-stream"))
    buffer.add_data(event_stream.exception("SessionTimeoutException", b"{}", "application/json"))
    event, exception = (read.to_response_dict() for read in buffer)
    assert (event["status_code"], event["body"], event["headers"][":event-type"]) == (200, b"tea", "PayloadChunk")
    assert exception["status_code"] == 400
    assert exception["headers"][":exception-type"] == "SessionTimeoutException"


def test_a_payload_no_sdk_would_take_is_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        event_stream.frame({}, bytes(event_stream.MAX_PAYLOAD_BYTES + 1))
