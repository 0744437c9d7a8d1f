"""The frame format: what goes in comes out, however the bytes are cut, and nonsense is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.link import wire
from samovar.link.wire import CHUNK, CHUNK_SIZE, END, HEADER, MAX_FRAME, REQUEST, Decoder, Frame, ProtocolError

messages = st.lists(
    st.tuples(st.integers(0, 255), st.integers(0, 2**32 - 1), st.binary(max_size=200), st.binary(max_size=2000)),
    max_size=8,
)


@given(messages=messages, cuts=st.lists(st.integers(1, 700), min_size=1, max_size=30))
def test_frames_survive_any_cutting_of_the_stream(
    messages: list[tuple[int, int, bytes, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(wire.encode(kind, number, head, body) for kind, number, head, body in messages)
    frames = list(whole(fed(stream, cuts)))
    assert [(one.kind, one.stream, one.head, one.body) for one in frames] == messages


def fed(stream: bytes, cuts: list[int]) -> Iterator[Frame]:
    """The frames in a stream that arrives in pieces."""
    decoder, position = Decoder(), 0
    while position < len(stream):
        for cut in cuts:
            yield from decoder.feed(stream[position : position + cut])
            position += cut


def whole(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Chunks as they were sent, of the parts in which they arrived; here each chunk ends its message."""
    parts: list[bytes] = []
    for frame in frames:
        parts.append(frame.body)
        if frame.kind == CHUNK and not frame.ends_message:
            continue
        yield msgspec.structs.replace(frame, body=b"".join(parts))
        parts.clear()


@given(size=st.integers(0, 3000), cuts=st.lists(st.integers(1, 700), min_size=1, max_size=30))
def test_a_chunk_is_handed_out_as_it_arrives(size: int, cuts: list[int]) -> None:
    body = bytes(range(256)) * 12
    parts = list(fed(wire.encode(CHUNK, 7, b"", body[:size]) + wire.encode(REQUEST, 8), cuts))
    assert b"".join(one.body for one in parts[:-1]) == body[:size]
    assert [one.ends_message for one in parts[:-1]] == [False] * (len(parts) - 2) + [True]
    assert {(one.kind, one.stream) for one in parts[:-1]} == {(CHUNK, 7)}
    assert (parts[-1].kind, parts[-1].stream) == (REQUEST, 8)
    assert size == 0 or all(one.body for one in parts[:-1])


@pytest.mark.parametrize("size", [0, 1, CHUNK_SIZE, CHUNK_SIZE + 1, 6 * 1024 * 1024])
def test_a_message_of_any_size_is_whole_again(size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    frames = Decoder().feed(b"".join(wire.encode_message(REQUEST, 7, b"head", body[:size])))
    assert b"".join(one.body for one in frames) == body[:size]
    assert [one.kind for one in frames] == [REQUEST] + [CHUNK] * (len(frames) - 1)
    assert [one.ends_message for one in frames] == [False] * (len(frames) - 1) + [True]
    assert frames[0].head == b"head"


def test_a_frame_that_is_too_long_is_refused_before_it_is_stored() -> None:
    with pytest.raises(ProtocolError, match="frame of"):
        Decoder().feed(HEADER.pack(MAX_FRAME + 1, 0, 0, REQUEST, END))


def test_a_head_longer_than_its_frame_is_refused() -> None:
    with pytest.raises(ProtocolError, match="a head of 5 bytes"):
        Decoder().feed(HEADER.pack(4, 0, 5, REQUEST, END) + b"abcd")
