"""A channel's writes, over a real pair of sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

import pytest

from samovar.link.channel import FrameChannel
from samovar.link.wire import EVENT, Decoder, Frame


class Nobody:
    """An owner that hears nothing."""

    def frames_received(self, channel: FrameChannel, frames: Sequence[Frame]) -> None:
        raise AssertionError(f"nothing was sent, and {frames} arrived")

    def channel_lost(self, channel: FrameChannel, error: Exception | None) -> None:
        pass


@pytest.mark.parametrize(("sent", "at_once"), [(1, 0), (3, 0), (4, 4), (7, 4), (8, 8)])
async def test_four_frames_do_not_wait_for_the_rest_of_the_turn(sent: int, at_once: int) -> None:
    mine, peers = socket.socketpair()
    with mine, peers:
        peers.setblocking(False)
        loop = asyncio.get_running_loop()
        transport, channel = await loop.create_unix_connection(lambda: FrameChannel(Nobody()), sock=mine)
        decoder = Decoder()
        for number in range(sent):
            channel.send(EVENT, number + 1, b"", b"body")
        arrived = streams(decoder, peers)
        assert arrived == [*range(1, at_once + 1)]
        await asyncio.sleep(0)
        assert arrived + streams(decoder, peers) == [*range(1, sent + 1)]
        transport.abort()
        await asyncio.sleep(0)


def streams(decoder: Decoder, peer: socket.socket) -> list[int]:
    """The numbers of what has arrived by now."""
    try:
        return [frame.stream for frame in decoder.feed(peer.recv(65_536))]
    except BlockingIOError:
        return []
