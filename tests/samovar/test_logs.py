"""Log lines are read back as they were written, also while they are being written."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from samovar import logs
from samovar.logs import LogLine, Position


@given(st.text().filter(lambda text: "\n" not in text), st.integers(0, 2**42))
def test_a_line_survives_the_file(text: str, stamp: int) -> None:
    encoded = text.encode("utf-8", "surrogatepass")
    raw = logs.format_line(stamp, "request", "2026/11/23/[1]abc", encoded)
    assert logs.parse_line(raw) == LogLine(stamp, "request", "2026/11/23/[1]abc", encoded.decode(errors="replace"))


def test_bytes_that_are_not_utf8_do_not_break_reading() -> None:
    assert logs.parse_line(logs.format_line(1, "r", "s", b"\xff\tx")).text == "�\tx"


def write(folder: Path, segment: int, data: bytes) -> None:
    folder.mkdir(exist_ok=True)
    with logs.segment_path(folder, segment).open("ab") as file:
        file.write(data)


def texts(folder: Path, position: Position) -> list[str]:
    return [line.text for _, line in logs.read_from(folder, position)]


def test_reading_goes_on_where_it_stopped_and_over_segments(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    write(folder, 1, logs.format_line(1, "r", "s", b"one") + logs.format_line(2, "r", "s", b"two"))
    (first, _), *_ = logs.read_from(folder, Position())
    write(folder, 2, logs.format_line(3, "r", "s", b"three"))
    assert texts(folder, first) == ["two", "three"]
    assert texts(folder, logs.end_of(folder)) == []


def test_a_line_being_written_is_left_for_the_next_look(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    line = logs.format_line(1, "r", "s", b"whole")
    write(folder, 1, line + line[:-3])
    assert texts(folder, Position()) == ["whole"]
    write(folder, 1, line[-3:])
    assert texts(folder, Position()) == ["whole", "whole"]


def test_a_line_damaged_on_the_disk_does_not_hide_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    first, second = logs.format_line(1, "r", "s", b"first"), logs.format_line(2, "r", "s", b"second")
    for damaged in (b"\0" * 40, b"1\tr", b"1\t\xff\ts\tx", b""):
        write(folder, 1, first + damaged + b"\n" + second)
    (_, seen), (after, _), *_ = logs.read_from(folder, Position())
    assert seen.text == "first"
    assert texts(folder, Position()) == ["first", "second"] * 4
    assert texts(folder, after) == ["first", "second"] * 3


def test_a_function_that_never_logged_has_an_empty_log(tmp_path: Path) -> None:
    assert texts(tmp_path / "nothing", Position()) == []
    assert logs.end_of(tmp_path / "nothing") == Position()
