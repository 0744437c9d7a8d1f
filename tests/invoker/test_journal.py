"""The journal keeps what it was given, whatever happens to the process."""

from __future__ import annotations

from pathlib import Path

import pytest

from invoker import journal as journal_module
from invoker.journal import Cursor, Journal
from samovar.invocation import Outcome, Reading


def reading(number: int) -> Reading:
    return Reading(
        request_id=f"request-{number}", arn="arn:f", version="$LATEST", trigger="invoke", started_ms=number,
        outcome=Outcome.OK, duration_ms=1.5, billed_ms=2, memory_mb=128, peak_mb=30,
    )  # fmt: skip


def test_what_was_appended_is_read_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "j")
    for number in range(5):
        journal.append([reading(number)])
    readings, behind = journal.read(journal.start, limit=3)
    rest, end = journal.read(behind, limit=10)
    assert [one.started_ms for one in readings + rest] == [0, 1, 2, 3, 4]
    assert end == journal.end


def test_a_successor_finds_what_its_predecessor_left(tmp_path: Path) -> None:
    Journal(tmp_path, "j").append([reading(1)])
    successor = Journal(tmp_path, "j")
    successor.append([reading(2)])
    readings, _ = successor.read(successor.start, limit=10)
    assert [one.started_ms for one in readings] == [1, 2]


def test_a_line_cut_short_is_counted_and_passed_over(tmp_path: Path) -> None:
    Journal(tmp_path, "j").append([reading(1)])
    segment = next(tmp_path.glob("*.readings"))
    segment.write_bytes(segment.read_bytes() + b'{"request_id":"tor')
    successor = Journal(tmp_path, "j")
    successor.append([reading(2)])
    readings, _ = successor.read(successor.start, limit=10)
    assert [one.started_ms for one in readings] == [1, 2]
    assert successor.unreadable_lines == 1


def test_segments_are_deleted_once_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_SEGMENT_BYTES", 400)
    journal = Journal(tmp_path, "j")
    for number in range(10):
        journal.append([reading(number)])
    assert len(list(tmp_path.glob("*.readings"))) > 2
    readings, behind = journal.read(journal.start, limit=100)
    journal.release(journal.end)
    assert len(readings) == 10
    assert len(list(tmp_path.glob("*.readings"))) == 1
    assert journal.start == Cursor(journal.end.segment, 0)
    assert behind <= journal.end


def test_cursors_order_as_places_do() -> None:
    assert Cursor.parse("2:0") > Cursor.parse("1:999") > Cursor.parse("1:5")
    assert str(Cursor(3, 7)) == "3:7"
