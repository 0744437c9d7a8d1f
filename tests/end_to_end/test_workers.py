"""Workers apart from the platform: on the same host, and on another one that has nothing but the broker's URL."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import redis
from amqp.exceptions import AMQPError
from celery import Celery
from kombu import Connection

from gateway.events import keys
from samovar.clients import events as event_client
from samovar.names import function_arn
from tests.end_to_end.lab import Function, laboratory
from tests.end_to_end.platform_box import until
from tests.platform import SAMOVAR
from tests.ports import free_port
from tests.valkey import BINARY

pytestmark = pytest.mark.component("bubblewrap", "valkey", "celery")

SLOW = "import time\ndef handler(event, context): time.sleep(0.05)"


@contextmanager
def network() -> Iterator[tuple[str, str]]:
    """Another host, as far as the network goes: its namespace's name, and this host's address as seen from it."""
    name, number = f"sv{secrets.token_hex(3)}", secrets.randbelow(200) + 20
    here, there = f"10.213.{number}.1", f"10.213.{number}.2"

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True, timeout=20)

    ip("netns", "add", name)
    try:
        ip("link", "add", name, "type", "veth", "peer", "name", f"{name}p")
        ip("link", "set", f"{name}p", "netns", name)
        ip("addr", "add", f"{here}/24", "dev", name)
        ip("link", "set", name, "up")
        ip("-n", name, "addr", "add", f"{there}/24", "dev", f"{name}p")
        ip("-n", name, "link", "set", f"{name}p", "up")
        yield name, here
    finally:
        subprocess.run(["ip", "link", "del", name], check=False, capture_output=True, timeout=20)
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True, timeout=20)


@contextmanager
def store(address: str) -> Iterator[str]:
    """A store with a password, for other hosts."""
    port, password = free_port(), secrets.token_hex(8)
    with TemporaryDirectory(prefix="store-") as folder:
        options = ["--port", str(port), "--bind", address, "--requirepass", password, "--dir", folder, "--save", ""]
        with subprocess.Popen([BINARY, *options, "--appendonly", "yes"], stdout=subprocess.DEVNULL) as process:
            url = f"redis://:{password}@{address}:{port}/0"
            try:
                until(lambda: _pings(url), "the store answers")
                yield url
            finally:
                process.kill()


def _pings(url: str) -> bool:
    try:
        with redis.Redis.from_url(url) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


@contextmanager
def worker(*words: str, prefix: tuple[str, ...] = (), **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """`samovar worker`, ended in the end."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SAMOVAR_")}
    with subprocess.Popen([*prefix, SAMOVAR, "worker", *words], env=inherited | variables) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def nodes(broker: str) -> set[str]:
    """The workers that answer `celery inspect ping`."""
    app = Celery("asking", broker=broker)
    try:
        return set(app.control.inspect(timeout=2).ping() or {})
    finally:
        app.close()


def said(broker: str, what: str) -> dict[str, Any]:
    """What `celery inspect` shows of each worker, by its name."""
    app = Celery("asking", broker=broker)
    try:
        return getattr(app.control.inspect(timeout=5), what)() or {}
    finally:
        app.close()


def later(function: Function, count: int) -> list[str]:
    return [
        function.lab.client.invoke_later(function.name, json.dumps({"n": number}).encode()) for number in range(count)
    ]


def all_succeeded(function: Function, count: int) -> bool:
    return event_client.events(function.lab.client, function.name, limit=1).counts.succeeded == count


def drainers(url: str, functions: list[Function]) -> set[str]:
    """The worker processes that are at the functions' lines now."""
    lines = [keys.drain(function_arn("123456789012", "us-east-1", function.name)) for function in functions]
    with redis.Redis.from_url(url) as client:
        return {value.decode() for value in client.mget(lines) if value not in (None, b"asked")}


@pytest.mark.skipif(os.geteuid() != 0, reason="another network needs root")
def test_a_worker_on_another_host_joins_by_the_broker_alone_and_takes_its_share() -> None:
    with network() as (name, address), store(address) as url, TemporaryDirectory() as elsewhere:
        settings: dict[str, Any] = {"redis_url": url, "host": "0.0.0.0", "workers": 0}
        with laboratory("sandbox", **settings) as lab:
            functions = [lab.deploy(SLOW) for _ in range(6)]
            for function in functions:
                function.value()
            there = ("nsenter", f"--net=/run/netns/{name}")
            home = str(lab.platform.data_dir)
            with (
                worker("--broker", url, prefix=there, SAMOVAR_DATA_DIR=elsewhere),
                worker("--redis-url", url, SAMOVAR_DATA_DIR=home),
            ):
                until(lambda: len(nodes(url)) == 2, "both workers answer")
                until(lambda: len(said(url, "registered")) == 2, "both say what they can do")
                assert all("samovar.sweep_events" in tasks for tasks in said(url, "registered").values())
                until(lambda: len(said(url, "stats")) == 2, "both say how they are")
                seen: set[str] = set()
                accepted = 0
                deadline = time.monotonic() + 60
                while len(seen) < 2 and time.monotonic() < deadline:
                    for function in functions:
                        later(function, 10)
                    accepted += 10
                    until(lambda total=accepted: all(all_succeeded(one, total) for one in functions), "all have run")  # type: ignore[misc] # mypy cannot infer the default
                    seen |= drainers(url, functions)
                assert len(seen) == 2, "both took lines"
            for function in functions:
                assert len(function.readings()) == 1 + accepted


def test_the_worker_may_run_beside_the_platform_and_finds_what_was_accepted_before() -> None:
    with laboratory("sandbox", workers=0) as lab:
        function = lab.deploy(SLOW)
        function.value()
        assert "worker" not in lab.pids()
        later(function, 5)
        with worker("--data-dir", str(lab.platform.data_dir)):
            until(lambda: all_succeeded(function, 5), "the events have run")


@contextmanager
def rabbitmq() -> Iterator[str]:
    """A RabbitMQ of the test's own; its URL."""
    port, names = free_port(), free_port()
    program = next(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))
    with TemporaryDirectory(prefix="rabbit-") as folder:
        settings = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "ERL_EPMD_PORT": str(names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"sv{secrets.token_hex(4)}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
        }
        # Else Erlang starts a name server that outlives it.
        with (
            subprocess.Popen(["epmd"], env=settings) as name_server,
            subprocess.Popen([program], env=settings, stdout=subprocess.DEVNULL, start_new_session=True) as server,
        ):
            url = f"amqp://guest:guest@127.0.0.1:{port}//"
            try:
                until(lambda: _accepts(url), "RabbitMQ answers")
                yield url
            finally:
                os.killpg(server.pid, signal.SIGKILL)
                name_server.kill()


def _accepts(url: str) -> bool:
    try:
        with Connection(url, connect_timeout=2) as connection:
            connection.connect()
    except (OSError, AMQPError):
        return False
    return True


@pytest.mark.component("rabbitmq")
def test_rabbitmq_may_be_the_broker_in_place_of_the_store() -> None:
    with rabbitmq() as url, laboratory("sandbox", broker_url=url) as lab:
        function = lab.deploy(SLOW)
        function.value()
        later(function, 20)
        until(lambda: all_succeeded(function, 20), "the events have run")
        assert len(nodes(url)) == 1
