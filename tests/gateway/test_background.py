"""The periodic sweeps against a real store, and the Celery app they run in."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
import redis.asyncio

from gateway.functions.store import Store, connect
from gateway.schedules.beat import StoredScheduler
from gateway.tasks import sweeps, worker
from gateway.tasks.background import app
from gateway.tasks.celery_app import broker_url, create_app
from gateway.tasks.periods import EVERY_S
from samovar import usage
from samovar.logs import lines as logs
from samovar.settings import Settings
from samovar.supervisor import data_dir
from samovar.supervisor.readiness import store_answers
from samovar.supervisor.store import store_command, store_socket

ARN = "arn:aws:lambda:us-east-1:123456789012:function:orders"


@pytest.fixture
async def client() -> AsyncIterator[redis.asyncio.Redis]:
    with TemporaryDirectory(prefix="sweep-") as folder:
        settings = Settings(data_dir=folder)
        data_dir.prepare(settings)
        process = await asyncio.create_subprocess_exec(*store_command(settings), stdout=asyncio.subprocess.DEVNULL)
        try:
            await store_answers(store_socket(settings))
            async with connect(settings.store_url) as client:
                yield client
        finally:
            process.kill()
            await process.wait()


@pytest.mark.component("valkey")
async def test_readings_older_than_the_retention_leave_the_index(client: redis.asyncio.Redis) -> None:
    await client.zadd(usage.readings_key(ARN), {"old": 1000, "edge": 2000, "new": 3000})
    await client.set(usage.reading_key("new"), b"{}")
    assert await sweeps.trim_readings(client, before_ms=2000) == 1
    assert await client.zrange(usage.readings_key(ARN), 0, -1) == [b"edge", b"new"]
    assert await sweeps.trim_readings(client, before_ms=2000) == 0
    assert await client.exists(usage.reading_key("new"))


def _logged(logs_dir: Path, name: str, written: float) -> Path:
    folder = logs.folder_of(logs_dir, "us-east-1", name)
    folder.mkdir(parents=True)
    segment = logs.segment_path(folder, 1)
    segment.write_bytes(b"")
    os.utime(segment, (written, written))
    return folder


@pytest.mark.component("valkey")
async def test_logs_go_when_their_function_is_gone_and_nothing_was_written_lately(
    client: redis.asyncio.Redis, tmp_path: Path
) -> None:
    long_gone, just_gone = _logged(tmp_path, "long-gone", 100), _logged(tmp_path, "just-gone", 300)
    store = Store(client, "123456789012", "us-east-1")
    assert await sweeps.sweep_logs(store, tmp_path, before=200) == ["long-gone"]
    assert (long_gone.exists(), just_gone.exists()) == (False, True)
    assert await sweeps.sweep_logs(store, tmp_path, before=200) == []


@pytest.mark.parametrize(
    ("store", "broker"),
    [
        ("unix:///run/store.sock", "redis+socket:///run/store.sock?virtual_host=0"),
        ("unix:///run/store.sock?db=3", "redis+socket:///run/store.sock?virtual_host=3"),
        ("valkey://box:6379/1", "redis://box:6379/1"),
        ("valkeys://box", "rediss://box"),
        ("redis://:pw@box/0", "redis://:pw@box/0"),
    ],
)
def test_the_store_is_the_broker(store: str, broker: str) -> None:
    assert broker_url(store) == broker


def test_every_scheduled_task_exists_and_is_acknowledged_when_it_is_done() -> None:
    scheduled = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert scheduled == {f"samovar.{name}" for name in EVERY_S}
    assert all(app.tasks[name].acks_late and app.tasks[name].ignore_result for name in scheduled)


def test_a_broker_with_tls_must_prove_who_it_is() -> None:
    assert create_app(Settings(redis_url="rediss://box")).conf.broker_use_ssl["ssl_cert_reqs"]


def test_a_worker_with_a_setting_that_is_not_allowed_says_which_and_is_not_started_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAMOVAR_ACCOUNT", "mine")
    assert worker.main([]) == worker.EX_CONFIG
    assert "account = 'mine'" in capsys.readouterr().err


@pytest.mark.parametrize("runs", [True, False])
def test_only_a_worker_that_is_told_to_runs_the_beat(runs: bool) -> None:
    beat = StoredScheduler.use(None, lambda now: None) if runs else None
    assert worker.BeatThread(SimpleNamespace(), scheduler=beat).enabled is runs
