"""Logs: the last lines of many files, and lines that are still to come."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import msgspec
import pytest

from gateway.log_reader import Selection, follow, read_on, tail
from gateway.services import Services
from samovar.answers import LogRecord
from samovar.logs.lines import Position, folder_of, format_line, segment_path
from tests.gateway.builders import creation

PATH = "/samovar/v1/functions/hello/logs"


def write(folder: Path, segment: int, *lines: tuple[int, str, str]) -> None:
    """Append (epoch ms, request id, text) to a file of a log."""
    folder.mkdir(parents=True, exist_ok=True)
    with segment_path(folder, segment).open("ab") as file:
        for epoch_ms, request_id, text in lines:
            file.write(format_line(epoch_ms, request_id, "stream", text.encode()))


def texts(folder: Path, **selection: int | str) -> list[str]:
    return [line.text for line in tail(folder, msgspec.convert(selection, Selection))[0]]


def test_the_last_lines_come_oldest_first_over_several_files(tmp_path: Path) -> None:
    write(tmp_path, 1, (1, "a", "one"), (2, "b", "two"))
    write(tmp_path, 2, (3, "a", "three"))
    write(tmp_path, 3, (4, "b", "four"))
    assert texts(tmp_path) == ["one", "two", "three", "four"]
    assert texts(tmp_path, limit=2) == ["three", "four"]
    assert texts(tmp_path, limit=3) == ["two", "three", "four"]
    assert texts(tmp_path, request_id="a") == ["one", "three"]
    assert texts(tmp_path, since_ms=2) == ["two", "three", "four"]
    assert texts(tmp_path, since_ms=9) == []


async def test_lines_come_from_the_group_the_function_names(api: httpx.AsyncClient, services: Services) -> None:
    config = {"LogGroup": "/shop/all"}
    assert (await api.post("/2015-03-31/functions", json=creation(LoggingConfig=config))).status_code == 201
    folder = folder_of(services.settings.logs_dir, "us-east-1", "@,shop,all")
    folder.mkdir(parents=True)
    lines = [(f"2026/11/23/{name}[$LATEST]{'0' * 32}", name) for name in ("hello", "other", "hello-too")]
    with segment_path(folder, 1).open("ab") as file:
        file.writelines(format_line(1, "a", stream, name.encode()) for stream, name in lines)
    answer = await api.get(PATH)
    assert [msgspec.json.decode(line, type=LogRecord).text for line in answer.content.splitlines()] == ["hello"]


def test_a_line_in_the_making_waits(tmp_path: Path) -> None:
    write(tmp_path, 1, (1, "a", "whole"))
    with segment_path(tmp_path, 1).open("ab") as file:
        file.write(b"2\ta\tstream\tha")
    lines, position = tail(tmp_path, Selection())
    assert [line.text for line in lines] == ["whole"]
    with segment_path(tmp_path, 1).open("ab") as file:
        file.write(b"lf\n")
    assert [line.text for line in read_on(tmp_path, position, Selection())[0]] == ["half"]


def test_reading_on_passes_into_the_next_file_in_portions(tmp_path: Path) -> None:
    write(tmp_path, 1, (1, "a", "first"))
    _, position = tail(tmp_path, Selection())
    write(tmp_path, 1, *((2, "a", str(n)) for n in range(700)))
    write(tmp_path, 2, *((2, "a", str(n)) for n in range(700, 1400)))
    some, position = read_on(tmp_path, position, Selection())
    more, position = read_on(tmp_path, position, Selection())
    assert [line.text for line in some + more] == [str(n) for n in range(1400)]
    assert read_on(tmp_path, position, Selection()) == ([], position)


async def test_following_starts_with_the_tail_and_goes_on(tmp_path: Path) -> None:
    write(tmp_path, 1, (1, "a", "old"), (2, "a", "last"))
    lines = follow(tmp_path, Selection(limit=1, request_id="a"), asyncio.Event(), interval_s=0.001)
    assert [line.text for line in await anext(lines)] == ["last"]
    write(tmp_path, 1, (3, "b", "not mine"), (3, "a", "new"))
    assert [line.text for line in await anext(lines)] == ["new"]
    write(tmp_path, 2, (4, "a", "newer"))
    assert [line.text for line in await anext(lines)] == ["newer"]
    await lines.aclose()  # type: ignore[attr-defined]


async def test_a_log_that_does_not_exist_yet_can_be_followed(tmp_path: Path) -> None:
    assert tail(tmp_path / "none", Selection()) == ([], Position())
    lines = follow(tmp_path / "none", Selection(), asyncio.Event(), interval_s=0.001)
    assert await anext(lines) == []
    write(tmp_path / "none", 1, (1, "a", "born"))
    assert [line.text for line in await anext(lines)] == ["born"]
    await lines.aclose()  # type: ignore[attr-defined]


async def test_following_ends_when_the_server_stops(tmp_path: Path) -> None:
    stopping = asyncio.Event()
    lines = follow(tmp_path, Selection(), stopping, interval_s=60)
    assert await anext(lines) == []
    waiting = asyncio.ensure_future(anext(lines, None))
    await asyncio.sleep(0)
    stopping.set()
    assert await asyncio.wait_for(waiting, 5) is None


@pytest.mark.component("valkey")
async def test_logs_are_lines_of_json(api: httpx.AsyncClient, services: Services) -> None:
    folder = folder_of(services.settings.logs_dir, "us-east-1", "hello")
    write(folder, 1, (1, "a", "grüß"), (2, "b", "dich"))
    answer = await api.get(PATH, params={"limit": 1})
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [msgspec.json.decode(line, type=LogRecord) for line in answer.text.splitlines()] == [
        LogRecord(2, "b", "stream", "dich")
    ]
    assert len((await api.get(PATH, params={"request_id": "a"})).text.splitlines()) == 1


@pytest.mark.component("valkey")
async def test_a_function_without_a_log_has_no_lines_and_an_unknown_one_no_log(api: httpx.AsyncClient) -> None:
    assert (await api.get(PATH)).status_code == 404
    await api.post("/2015-03-31/functions", json=creation())
    assert (await api.get(PATH)).content == b""
    assert (await api.get(PATH, params={"limit": 0})).status_code == 400
