"""Log lines are read back as they were written, also while they are being written."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from samovar.logs import lines as logs
from samovar.logs.lines import LogLine, Position


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


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 400_000)), max_size=12), st.data())
def test_reading_back_is_reading_the_other_way_round(lines: list[tuple[int, int]], data: st.DataObject) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name) / "f"
        for number, (segment, size) in enumerate(sorted(lines, key=lambda line: line[0])):
            write(folder, segment, logs.format_line(number, "r", "s", b"x" * min(size, logs.MAX_LINE_BYTES)))
        forwards = [(place, line.epoch_ms) for place, line in logs.read_from(folder, Position())]
        cut = data.draw(st.integers(0, len(forwards)))
        before = forwards[cut - 1][0] if cut else Position()
        backwards = [(place, line.epoch_ms) for place, line in logs.read_back(folder, before)]
        assert backwards == forwards[:cut][::-1]


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 10**6)), max_size=30), st.integers(0, 2 * 10**6))
def test_a_time_is_found_without_reading_what_is_before_it(lines: list[tuple[int, int]], wanted: int) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name) / "f"
        for segment, stamp in sorted(lines):
            write(folder, segment, logs.format_line(stamp + segment * 10**6, "r", "s", b"x" * (stamp % 50)))
        found = [line.epoch_ms for _, line in logs.read_from(folder, logs.position_at(folder, wanted))]
        everything = [line.epoch_ms for _, line in logs.read_from(folder, Position())]
        assert found == [stamp for stamp in everything if stamp >= wanted - logs.CLOCK_SLACK_MS]


def test_erasing_a_stream_leaves_all_other_lines_where_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    for number in range(6):
        stream, other = ("gone", "kept") if number % 2 else ("kept", "gone")
        write(folder, 1 + number // 3, logs.format_line(number, "r", stream, f"{other} of {number}".encode()))
    kept = [found for found in logs.read_from(folder, Position()) if found[1].stream == "kept"]
    size = logs.size_of(folder)
    assert logs.erase(folder, "gone") == 3
    assert list(logs.read_from(folder, Position())) == kept
    assert list(logs.read_back(folder, Position(9))) == kept[::-1]
    assert logs.size_of(folder) == size
    assert b"kept of" not in b"".join(path.read_bytes() for path in folder.iterdir())
    assert logs.erase(folder, "gone") == 0
