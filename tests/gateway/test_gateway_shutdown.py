"""A gateway process that is told to stop while somebody follows a log, which has no end of its own."""

from __future__ import annotations

from pathlib import Path

import httpx

from samovar.logs.lines import folder_of, format_line, segment_path
from samovar.settings import Settings
from tests.gateway.process import gateway_process
from tests.signing import Signing, root_key

STOPS_WITHIN_S = 60.0
"""Far below the time it gives running calls."""


def test_a_follower_does_not_hold_up_the_end(tmp_path: Path) -> None:
    folder = folder_of(Settings(data_dir=str(tmp_path)).logs_dir, "us-east-1", "orders")
    folder.mkdir(parents=True)
    segment_path(folder, 1).write_bytes(format_line(1, "r", "s", b"first"))
    with (
        gateway_process(tmp_path, drain_timeout_s="120") as (process, address),
        httpx.Client(base_url=address, auth=Signing(root_key(tmp_path)), timeout=30) as http,
        http.stream("GET", "/samovar/v1/functions/orders/logs?follow=true") as response,
    ):
        lines = response.iter_lines()
        assert "first" in next(lines)
        process.terminate()
        assert list(lines) == []
        assert process.wait(STOPS_WITHIN_S) == 0
