"""What functions print is tied to the right invocation, whole, bounded and rotated."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from invoker.logs.output import EnvironmentLog, InvocationLog, LogFiles, OutputListener
from samovar.clock import ManualClock
from samovar.logs import lines as logs
from samovar.logs.lines import Position


@pytest.fixture
async def files(tmp_path: Path) -> LogFiles:
    return LogFiles(tmp_path, max_bytes=2000, max_files=3)


def lines(tmp_path: Path) -> list[tuple[str, str]]:
    folder = logs.folder_of(tmp_path, "eu", "f")
    return [(line.request_id, line.text) for _, line in logs.read_from(folder, Position())]


async def test_lines_belong_to_the_invocation_that_is_running(files: LogFiles, tmp_path: Path) -> None:
    log = EnvironmentLog(files, ManualClock(), "eu", "f", "stream")
    log.line(b"before")
    log.begin("one")
    log.line(b"in one")
    log.begin("two")
    log.line(b"in two")
    log.end()
    log.line(b"after")
    files.close()
    assert lines(tmp_path) == [("-", "before"), ("one", "in one"), ("two", "in two"), ("-", "after")]


def test_the_tail_is_the_last_four_kilobytes() -> None:
    log = InvocationLog(lambda prefix, texts: None, b"r", keep_tail=True)
    for number in range(2000):
        log.lines(b"line %d" % number)
    everything = b"".join(b"line %d\n" % number for number in range(2000))
    assert log.tail() == everything[-4096:]


def test_one_long_line_alone_makes_a_tail() -> None:
    log = InvocationLog(lambda prefix, texts: None, b"r", keep_tail=True)
    log.lines(b"x" * 10_000)
    assert log.tail() == b"x" * 4095 + b"\n"


async def test_full_files_are_rotated_and_the_oldest_deleted(files: LogFiles, tmp_path: Path) -> None:
    for number in range(100):
        files.append(("eu", "f"), [logs.format_line(number, "r", "s", b"x" * 90)])
        files.flush()
    files.close()
    kept = [line.epoch_ms for _, line in logs.read_from(logs.folder_of(tmp_path, "eu", "f"), Position())]
    assert len(logs.segments(logs.folder_of(tmp_path, "eu", "f"))) == 3
    assert kept == list(range(kept[0], 100))


async def test_a_successor_goes_on_in_the_same_file(files: LogFiles, tmp_path: Path) -> None:
    for text in (b"one", b"two"):
        writer = LogFiles(tmp_path, max_bytes=2000, max_files=3)
        writer.append(("eu", "f"), [logs.format_line(1, "r", "s", text)])
        writer.close()
    assert lines(tmp_path) == [("r", "one"), ("r", "two")]
    assert len(logs.segments(logs.folder_of(tmp_path, "eu", "f"))) == 1


async def test_drain_delivers_everything_written_before_it(tmp_path: Path) -> None:
    taken: list[bytes] = []
    listener = OutputListener(tmp_path / "output.sock", taken.append)
    with socket.socket(socket.AF_UNIX) as writer:
        writer.connect(str(tmp_path / "output.sock"))
        writer.sendall(b"first\nsecond\nunfini")
        listener.drain(newcomers=True)
        assert taken == [b"first", b"second", b"unfini"]
        writer.sendall(b"shed\n")
        listener.drain()
        assert taken[3:] == [b"shed"]
    listener.close()


async def test_last_words_arrive_after_the_writer_is_gone(tmp_path: Path) -> None:
    taken: list[bytes] = []
    listener = OutputListener(tmp_path / "output.sock", taken.append)
    with socket.socket(socket.AF_UNIX) as writer:
        writer.connect(str(tmp_path / "output.sock"))
        await asyncio.sleep(0)
        writer.sendall(b"goodbye")
    listener.drain(newcomers=True)
    assert taken == [b"goodbye"]
    listener.close()


async def test_an_endless_line_is_cut_instead_of_kept(tmp_path: Path) -> None:
    taken: list[bytes] = []
    listener = OutputListener(tmp_path / "output.sock", taken.append)
    with socket.socket(socket.AF_UNIX) as writer:
        writer.connect(str(tmp_path / "output.sock"))
        listener.drain(newcomers=True)
        for _ in range(40):
            writer.sendall(b"x" * 16384)
            await asyncio.sleep(0)
    listener.close()
    assert max(len(one) for one in taken) <= 256 * 1024
    assert sum(len(one) for one in taken) >= 40 * 16384 - 256 * 1024
