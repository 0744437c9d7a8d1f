"""CloudWatch Logs' protocol and bounds, on files this test has written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.logs_api import reading
from gateway.services import Services
from samovar.clock import ManualClock
from samovar.logs import groups as log_groups
from samovar.logs.groups import DAY_MS, LogGroup
from samovar.logs.lines import LogLine, Position, folder_of, format_line, segment_path
from tests.gateway.builders import RecordingLink

GROUP = "/aws/lambda/tea"


@pytest.fixture
def folder(services: Services) -> Path:
    found = folder_of(services.settings.logs_dir, "us-east-1", "tea")
    found.mkdir(parents=True)
    return found


def write(folder: Path, segment: int, *lines: tuple[int, str, str]) -> None:
    """Append (epoch ms, stream, text) to a file of a log."""
    with segment_path(folder, segment).open("ab") as file:
        for epoch_ms, stream, text in lines:
            file.write(format_line(epoch_ms, "r", stream, text.encode()))


async def call(api: httpx.AsyncClient, operation: str, **members: Any) -> httpx.Response:
    return await api.post("/", json=members, headers={"X-Amz-Target": f"Logs_20140328.{operation}"})


async def texts(api: httpx.AsyncClient, **members: Any) -> list[str]:
    answer = (await call(api, "FilterLogEvents", logGroupName=GROUP, **members)).json()
    return [event["message"] for event in answer["events"]]


async def test_errors_have_the_shape_of_the_protocol(api: httpx.AsyncClient, folder: Path) -> None:
    missing = await call(api, "FilterLogEvents", logGroupName="/aws/lambda/coffee")
    assert missing.status_code == 400
    assert missing.headers["content-type"] == "application/x-amz-json-1.1"
    assert missing.headers["x-amzn-requestid"]
    assert missing.json() == {
        "__type": "ResourceNotFoundException",
        "message": "The specified log group does not exist.",
    }
    for name in ("other", "/aws/lambda/../tea", "/aws/lambda/", "arn:aws:logs:eu-west-1:123456789012:log-group:x"):
        named = {"logGroupIdentifier": name} if name.startswith("arn:") else {"logGroupName": name}
        answer = await call(api, "DescribeLogStreams", **named)
        assert answer.json()["__type"] == "ResourceNotFoundException", name
    for operation, members in (
        ("FilterLogEvents", {}),
        ("FilterLogEvents", {"logGroupName": GROUP, "logGroupIdentifier": GROUP}),
        ("FilterLogEvents", {"logGroupName": GROUP, "logStreamNames": ["a"], "logStreamNamePrefix": "b"}),
        ("DescribeLogStreams", {"logGroupName": GROUP, "orderBy": "LastEventTime", "logStreamNamePrefix": "b"}),
        ("CreateLogGroup", {"logGroupName": "/other/" + "g" * 506}),
    ):
        answer = await call(api, operation, **members)
        assert (answer.status_code, answer.json()["__type"]) == (400, "InvalidParameterException"), members
    words = (await call(api, "FilterLogEvents", logGroupName="", limit=0)).json()
    assert words == {
        "__type": "InvalidParameterException",
        "message": "3 validation errors detected: "
        "Value '' at 'logGroupName' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1; "
        "Value '' at 'logGroupName' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+; "
        "Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1",
    }
    typed = await call(api, "FilterLogEvents", logGroupName=GROUP, startTime="yesterday")
    assert typed.json()["__type"] == "SerializationException"
    assert (await call(api, "StartQuery")).json()["__type"] == "UnknownOperationException"
    broken = await api.post("/", content=b"{", headers={"X-Amz-Target": "Logs_20140328.DescribeLogGroups"})
    assert (broken.status_code, broken.json()["__type"]) == (400, "SerializationException")
    assert (await api.post("/", json={})).status_code == 404


async def test_an_invoker_that_is_away_is_said_so(api: httpx.AsyncClient, folder: Path, link: RecordingLink) -> None:
    link.away = True
    answer = await call(api, "DeleteLogGroup", logGroupName=GROUP)
    assert (answer.status_code, answer.json()["__type"]) == (503, "ServiceUnavailableException")


async def test_what_is_older_than_the_retention_is_not_shown(
    api: httpx.AsyncClient, folder: Path, clock: ManualClock
) -> None:
    now = int(clock.epoch() * 1000)
    log_groups.write(folder, LogGroup(created_ms=1, retention_days=1))
    write(folder, 1, (now - DAY_MS - 1, "old", "too old"), (now - DAY_MS, "new", "just old"), (now, "new", "young"))
    assert await texts(api) == ["just old\n", "young\n"]
    streams = (await call(api, "DescribeLogStreams", logGroupName=GROUP)).json()["logStreams"]
    assert [stream["logStreamName"] for stream in streams] == ["new"]
    gone = await call(api, "GetLogEvents", logGroupName=GROUP, logStreamName="old")
    assert gone.json()["__type"] == "ResourceNotFoundException"


async def test_times_are_bounds_as_each_operation_has_them(api: httpx.AsyncClient, folder: Path) -> None:
    write(folder, 1, *((stamp * 1000, "s", str(stamp)) for stamp in range(5)))
    assert await texts(api, startTime=1000, endTime=3000) == ["1\n", "2\n", "3\n"]
    bounds = {"startTime": 1000, "endTime": 3000, "startFromHead": True}
    got = (await call(api, "GetLogEvents", logGroupName=GROUP, logStreamName="s", **bounds)).json()
    assert [event["message"] for event in got["events"]] == ["1\n", "2\n"]
    assert await texts(api, startFromHead=False, limit=2) == ["4\n", "3\n"]


async def test_events_keep_their_ids_when_more_are_written(api: httpx.AsyncClient, folder: Path) -> None:
    write(folder, 1, (1, "s", "same"), (1, "s", "same"))
    before = (await call(api, "FilterLogEvents", logGroupName=GROUP)).json()["events"]
    write(folder, 1, (1, "t", "same"))
    write(folder, 2, (1, "s", "same"))
    after = (await call(api, "FilterLogEvents", logGroupName=GROUP)).json()["events"]
    assert after[:2] == before
    ids = [event["eventId"] for event in after]
    assert len(set(ids)) == 4
    assert ids == sorted(ids)
    assert all(len(each) == 56 and each.isdigit() for each in ids)


async def test_a_stream_index_follows_what_is_written_and_rotated(api: httpx.AsyncClient, folder: Path) -> None:
    async def streams() -> dict[str, tuple[int, int]]:
        answer = (await call(api, "DescribeLogStreams", logGroupName=GROUP)).json()["logStreams"]
        return {each["logStreamName"]: (each["firstEventTimestamp"], each["lastEventTimestamp"]) for each in answer}

    write(folder, 1, (1, "a", "x"), (2, "b", "x"))
    assert await streams() == {"a": (1, 1), "b": (2, 2)}
    write(folder, 2, (3, "b", "x"), (4, "c", "x"))
    assert await streams() == {"a": (1, 1), "b": (2, 3), "c": (4, 4)}
    segment_path(folder, 1).unlink()
    assert await streams() == {"b": (3, 3), "c": (4, 4)}


def test_a_page_ends_at_a_megabyte_or_after_so_many_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def takes(line: LogLine) -> bool:
        return line.stream == "s"

    wanted = reading.Wanted(0, reading.FOR_EVER, takes)
    write(tmp_path, 1, *((number, "s", "x" * 200_000) for number in range(8)))
    first = reading.forwards(tmp_path, Position(), wanted)
    rest = reading.forwards(tmp_path, first.position, wanted)
    assert [len(first.events), len(rest.events)] == [5, 3]
    assert [first.is_last, rest.is_last] == [False, True]
    newest = reading.backwards(tmp_path, reading.LAST, wanted)
    older = reading.backwards(tmp_path, newest.position, wanted)
    assert [event.line.epoch_ms for event in (*newest.events, *older.events)] == [7, 6, 5, 4, 3, 2, 1, 0]

    monkeypatch.setattr(reading, "MOST_LINES", 3)
    write(tmp_path, 2, *((number, "t", "x") for number in range(8)), (9, "s", "last"))
    found: list[reading.Event] = []
    at = rest.position
    for _ in range(4):
        page = reading.forwards(tmp_path, at, wanted)
        at, found = page.position, [*found, *page.events]
    assert [event.line.text for event in found] == ["last"]
    assert page.is_last
