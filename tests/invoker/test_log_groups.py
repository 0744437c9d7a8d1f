"""Log groups: their records, what is deleted of them, and what becomes too old."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from invoker.logs.log_groups import LogGroups
from invoker.logs.output import EnvironmentLog, LogFiles
from samovar.clock import ManualClock
from samovar.errors import ResourceAlreadyExists, ResourceNotFound
from samovar.logs import groups as log_groups
from samovar.logs import lines as logs
from samovar.logs.groups import DAY_MS, GroupChange, GroupSubject
from samovar.logs.lines import Position


class Kept:
    """A function's log, and orders about it."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.files = LogFiles(folder, max_bytes=9_000, max_files=3)
        self.groups = LogGroups(self.files, folder, self.clock)
        self.folder = logs.folder_of(folder, "eu", "f")

    def write(self, text: str, stream: str = "s") -> None:
        EnvironmentLog(self.files, self.clock, "eu", "f", stream).line(text.encode())
        self.files.flush()

    async def order(self, operation: str, **members: object) -> None:
        kind = GroupSubject if operation.startswith("delete") else GroupChange
        order = kind(region="eu", name="f", **members)  # type: ignore[arg-type]  # as the test gives them
        await self.groups.table()[operation](msgspec.json.encode(order))

    def texts(self) -> list[str]:
        return [line.text for _, line in logs.read_from(self.folder, Position())]


@pytest.fixture
async def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


async def test_the_first_line_makes_a_group(kept: Kept) -> None:
    assert log_groups.read(kept.folder) is None
    kept.write("one")
    made = log_groups.read(kept.folder)
    assert made is not None
    assert (made.created_ms, made.is_explicit) == (int(kept.clock.epoch() * 1000), False)
    with pytest.raises(ResourceAlreadyExists):
        await kept.order("create_log_group")


async def test_a_group_from_before_there_were_records_is_one_too(kept: Kept) -> None:
    kept.write("one")
    log_groups.remove(kept.folder)
    found = log_groups.read(kept.folder)
    assert found is not None
    assert found.created_ms == int(kept.clock.epoch() * 1000)
    await kept.order("change_log_group", add_tags={"a": "b"})
    changed = log_groups.read(kept.folder)
    assert changed is not None
    assert changed.tags == {"a": "b"}


async def test_changes_leave_what_they_do_not_name(kept: Kept) -> None:
    await kept.order("create_log_group", add_tags={"a": "1", "b": "2"})
    await kept.order("change_log_group", retention_days=7)
    await kept.order("change_log_group", add_tags={"b": "3"}, remove_tags=["a"])
    group = log_groups.read(kept.folder)
    assert group is not None
    assert (group.retention_days, group.tags) == (7, {"b": "3"})
    await kept.order("change_log_group", retention_days=None)
    group = log_groups.read(kept.folder)
    assert group is not None
    assert (group.retention_days, group.tags) == (None, {"b": "3"})


async def test_no_position_in_a_deleted_log_means_anything_in_the_next(kept: Kept) -> None:
    kept.write("secret")
    before = logs.end_of(kept.folder)
    await kept.order("delete_log_group")
    assert log_groups.read(kept.folder) is None
    assert not kept.folder.exists()
    kept.clock.advance(1)
    kept.write("a")
    assert [line.text for _, line in logs.read_from(kept.folder, before)] == ["a"]


async def test_what_does_not_exist_is_said_so(kept: Kept) -> None:
    for operation in ("change_log_group", "delete_log_group", "delete_log_stream"):
        with pytest.raises(ResourceNotFound, match="log group does not exist"):
            await kept.order(operation)
    kept.write("one")
    with pytest.raises(ResourceNotFound, match="log stream does not exist"):
        await kept.order("delete_log_stream", stream="other")


async def test_a_deleted_stream_is_gone_and_counted(kept: Kept) -> None:
    kept.write("one", "a")
    kept.write("two", "b")
    await kept.order("delete_log_stream", stream="a")
    assert kept.texts() == ["two"]
    group = log_groups.read(kept.folder)
    assert group is not None
    assert group.erasures == 1


async def test_old_files_go_and_writing_goes_on(kept: Kept) -> None:
    for number in range(3):
        kept.write(f"{number} {'x' * 9_000}")
        kept.clock.advance(60)
    await kept.order("change_log_group", retention_days=1)
    assert len(logs.segments(kept.folder)) == 3
    long_ago = kept.clock.epoch() - 2 * DAY_MS / 1000
    now = kept.clock.epoch()
    for number, written in zip(logs.segments(kept.folder), (long_ago, now, now), strict=True):
        os.utime(logs.segment_path(kept.folder, number), (written, written))
    await kept.order("change_log_group", retention_days=1)
    kept.write("later")
    assert [text[:1] for text in kept.texts()] == ["1", "2", "l"]
