"""The runtime's own frame codec and `samovar.link.wire` are one format: each reads what the other writes."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from runtimes.python import bootstrap
from samovar.link import wire

kinds = st.integers(0, 255)
streams = st.integers(0, 2**32 - 1)
heads = st.binary(max_size=300)
bodies = st.binary(max_size=300) | st.integers(0, 3 * wire.CHUNK_SIZE + 1).map(lambda size: b"\xab" * size)
steps = st.integers(64, 2 * wire.CHUNK_SIZE)
"""Bytes that a connection delivers at once."""


@given(kinds, streams, heads, bodies)
def test_both_write_the_same_bytes(kind: int, stream: int, head: bytes, body: bytes) -> None:
    assert b"".join(bootstrap.encode(kind, stream, head, body)) == b"".join(
        wire.encode_message(kind, stream, head, body)
    )


@given(st.lists(st.tuples(kinds, streams, heads, bodies), max_size=3), steps)
def test_both_read_the_same_frames(messages: list[tuple[int, int, bytes, bytes]], step: int) -> None:
    data = b"".join(part for message in messages for part in wire.encode_message(*message))
    ours, theirs = wire.Decoder(), bootstrap.Decoder()
    for start in range(0, len(data), step):
        part = data[start : start + step]
        assert [msgspec.structs.astuple(frame) for frame in ours.feed(part)] == theirs.feed(part)


@given(st.integers(wire.MAX_FRAME + 1, 2**32 - 1), streams)
def test_both_refuse_a_frame_that_is_too_long(length: int, stream: int) -> None:
    data = wire.HEADER.pack(length, stream, 0, wire.EVENT, wire.END)
    refused = 0
    for feed, error in ((wire.Decoder().feed, wire.ProtocolError), (bootstrap.Decoder().feed, ValueError)):
        try:
            feed(data)
        except error:
            refused += 1
    assert refused == 2


def test_kinds_and_bounds_have_the_same_numbers() -> None:
    names = ["CHUNK", "HELLO", "SPAWN", "KILL", "EXITED", "FORK", "BIND", "CHUNK_SIZE", "MAX_FRAME", "END"]
    assert [getattr(bootstrap, name) for name in names] == [getattr(wire, name) for name in names]
    for module, names in (
        ("samovar_worker", ["CHUNK", "HELLO", "READY", "EVENT", "RESULT"]),
        ("samovar_streaming", ["CHUNK", "RESULT"]),
    ):
        own = bootstrap.runtime_module(module)
        assert [getattr(own, name) for name in names] == [getattr(wire, name) for name in names]
    assert bootstrap.HEADER.format == wire.HEADER.format
