"""The embedded store as it really runs: reachable by its owner alone, and losing nothing that was acknowledged."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

import pytest
import redis

from samovar.errors import StartRefused
from samovar.settings import Settings
from samovar.supervisor import data_dir
from samovar.supervisor.readiness import external_store_answers, store_answers
from samovar.supervisor.store import store_command, store_socket

pytestmark = pytest.mark.component("valkey")


@pytest.fixture
def settings() -> Iterator[Settings]:
    """A data directory with a path short enough for a socket in it."""
    with TemporaryDirectory(prefix="store-") as folder:
        settings = Settings(data_dir=folder)
        data_dir.prepare(settings)
        yield settings


@contextmanager
def _running(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(store_command(settings), stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def _client(settings: Settings) -> redis.Redis:
    return redis.Redis.from_url(settings.store_url)


async def test_it_answers_on_a_socket_of_its_owner_and_on_no_port(settings: Settings) -> None:
    with _running(settings):
        await store_answers(store_socket(settings))
        assert store_socket(settings).stat().st_mode & 0o777 == 0o700
        with _client(settings) as client:
            options = client.config_get("*")
    expected = {
        "port": "0",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "save": "",
    }
    assert {name: options[name] for name in expected} == expected


async def test_what_it_acknowledged_survives_its_kill(settings: Settings) -> None:
    with _running(settings) as process:
        await store_answers(store_socket(settings))
        with _client(settings) as client:
            for number in range(100):
                client.rpush("events", number)
            process.kill()
    with _running(settings):
        await store_answers(store_socket(settings))
        with _client(settings) as client:
            assert client.llen("events") == 100


async def test_a_last_entry_cut_in_half_is_dropped_not_fatal(settings: Settings) -> None:
    with _running(settings) as process:
        await store_answers(store_socket(settings))
        with _client(settings) as client:
            client.set("whole", "1")
            client.set("half", "2")
        process.terminate()
        process.wait()
    tail = next((data_dir.store_dir(settings) / "appendonlydir").glob("*.incr.aof"))
    tail.write_bytes(tail.read_bytes()[:-5])
    with _running(settings):
        await store_answers(store_socket(settings))
        with _client(settings) as client:
            assert client.get("whole") == b"1"
            assert client.get("half") is None


async def test_an_external_store_is_waited_for(settings: Settings) -> None:
    with _running(settings):
        await external_store_answers(settings.store_url)


async def test_an_external_store_that_stays_away_is_named_without_its_password() -> None:
    with pytest.raises(StartRefused) as refusal:
        await external_store_answers("redis://:secret@127.0.0.1:1/0", patience_s=0.05)
    assert "redis://:***@127.0.0.1:1/0 did not answer within" in refusal.value.message
    assert "secret" not in refusal.value.message


async def test_a_wrong_password_is_the_reason_given(settings: Settings) -> None:
    with _running(settings):
        await store_answers(store_socket(settings))
        with _client(settings) as client:
            client.config_set("requirepass", "right")
        with pytest.raises(StartRefused, match="invalid username-password pair"):
            await external_store_answers(f"unix://:wrong@{store_socket(settings)}", patience_s=2)
