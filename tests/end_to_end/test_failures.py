"""What the platform leans on goes away: the store, the disk, the Docker engine, the caller. And comes back."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from samovar.access.sigv4 import Signed, sign
from samovar.errors import EnvironmentFailure, SamovarError, ServiceFailure, ServiceUnavailable
from samovar.settings import Settings
from tests.end_to_end.conftest import SANDBOX
from tests.end_to_end.engine_line import EngineLine
from tests.end_to_end.lab import Function, Lab, laboratory, zipped
from tests.end_to_end.load import load
from tests.end_to_end.platform_box import until
from tests.end_to_end.remains import containers, instance_of
from tests.end_to_end.test_chaos import SHORT_WORK, assert_metered_once
from tests.platform import Platform
from tests.signing import key_for
from tests.valkey import Valkey

FINE = "def handler(event, context): return 'fine'"
ONLY_SANDBOX = pytest.mark.parametrize("lab", [SANDBOX], indirect=True)


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    server = Valkey()
    server.start()
    yield server
    server.close()


@pytest.mark.component("valkey", "bubblewrap")
def test_the_store_goes_away_and_comes_back(valkey: Valkey) -> None:
    with laboratory("sandbox", redis_url=valkey.url) as lab:
        function = lab.deploy(SHORT_WORK)
        with load(function) as seen:
            seen.goes_on()
            valkey.stop()
            seen.goes_on(50)
            unknown = httpx.get(f"{lab.endpoint}/fn/nobody/")
            assert unknown.status_code == 503
            assert unknown.headers["x-amzn-errortype"] == "ServiceUnavailableException"
            assert int(unknown.headers["retry-after"]) >= 1
            with pytest.raises(ServiceUnavailable, match="store"):
                lab.deploy(FINE)
            with pytest.raises(ServiceUnavailable, match="store"):
                function.update(FINE)
            assert not lab.is_healthy()
            assert lab.client.invoker().journal_pending > 0
            valkey.start()
            until(lab.is_healthy, "the platform finds the store again")
            seen.goes_on()
        assert seen.bad == []
        assert_metered_once(function, seen)
        assert lab.deploy(FINE).value() == "fine"
        function.update(FINE)
        assert function.value() == "fine"


@pytest.mark.component("valkey", "bubblewrap")
def test_a_restart_of_gateway_and_invoker_without_a_store(valkey: Valkey) -> None:
    """What they hold in memory is lost, so calls fail with 503 until the store is back; no reading is lost."""
    with laboratory("sandbox", redis_url=valkey.url) as lab:
        function = lab.deploy(SHORT_WORK)
        with load(function) as seen:
            seen.goes_on()
            valkey.stop()
            seen.goes_on()
            before = lab.pids()
            for name in ("gateway", "invoker"):
                os.kill(before[name], 9)
            until(lambda: seen.answers[-1].status == 503, "calls are refused")
            assert seen.answers[-1].error == "ServiceUnavailableException"
            valkey.start()
            seen.goes_on()
        assert {answer.status for answer in seen.bad} <= {0, 502, 503}
        assert_metered_once(function, seen)


@contextmanager
def small_disk(platform: Platform, name: str, megabytes: int) -> Iterator[None]:
    """A file system of its own on a folder of the data directory; the last to let go of that directory."""
    folder = platform.data_dir / name
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0711", "samovar-test", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        platform.remove()


def fill(folder: Path) -> Path:
    """Take all the room there is."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file, suppress(OSError):
        for size in (1 << 20, 4096, 1):
            with suppress(OSError):
                while file.write(b"x" * size):
                    pass
    return path


@pytest.mark.component("bubblewrap", "valkey")
def test_no_room_for_code(request: pytest.FixtureRequest) -> None:
    with ExitStack() as held:

        def prepare(platform: Platform) -> None:
            held.enter_context(small_disk(platform, "code", 4))

        with laboratory("sandbox", prepare) as lab:
            function = lab.deploy(FINE)
            assert function.value() == "fine"
            large = zipped({"app.py": FINE, "ballast": os.urandom(5 * 1024 * 1024)})
            with pytest.raises(ServiceFailure, match="no space is left"):
                lab.client.update_code(function.name, large)
            failed = lab.platform.cli("deploy", _folder(lab, large), fails_with=3)
            assert "no space is left" in failed.stderr
            assert function.value() == "fine"
            assert not list((lab.platform.data_dir / "code").glob(".new-*"))
            function.update("def handler(event, context): return 'smaller'")
            assert function.value() == "smaller"


def _folder(lab: Lab, package: bytes) -> Path:
    folder = lab.platform.data_dir / "source"
    folder.mkdir()
    shutil.unpack_archive(_file(folder.with_suffix(".zip"), package), folder)
    (folder / "function.toml").write_text('name = "large"\nhandler = "app.handler"\nruntime = "python3.11"\n')
    return folder


def _file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.component("bubblewrap", "valkey")
def test_a_full_disk(request: pytest.FixtureRequest) -> None:
    """Nothing is promised on a full disk but this: no answer without its reading, and no need for a restart."""
    with ExitStack() as held:

        def prepare(platform: Platform) -> None:
            held.enter_context(small_disk(platform, "", 48))

        with laboratory("sandbox", prepare) as lab:
            function, cold = lab.deploy(SHORT_WORK), lab.deploy(SHORT_WORK)
            with load(function, callers=2) as seen:
                seen.goes_on()
                filler = fill(lab.platform.data_dir)
                until(lambda: len(seen.answers) > 40, "calls are answered, well or not")
                with suppress(SamovarError):
                    cold.value()
                with pytest.raises(SamovarError):
                    function.update(FINE + "\n#" + os.urandom(40_000).hex())
                filler.unlink()
                until(lab.is_healthy, "it recovers by itself")
                seen.goes_on()
            assert {answer.status for answer in seen.bad} <= {503}
            assert {answer.error for answer in seen.bad} <= {"ServiceUnavailableException"}
            assert_metered_once(function, seen)
            assert cold.value() == "done"
            function.update(FINE)
            assert function.value() == "fine"


@pytest.mark.component("docker", "valkey")
def test_the_docker_engine_goes_away_under_load() -> None:
    with EngineLine() as line:

        def prepare(platform: Platform) -> None:
            platform.environment["DOCKER_HOST"] = line.url

        with laboratory("docker", prepare) as lab:
            function, other = lab.deploy(SHORT_WORK), lab.deploy(SHORT_WORK)
            instance = instance_of(lab.platform.data_dir)
            with load(function, callers=3) as seen:
                seen.goes_on()
                line.cut()
                seen.goes_on(20)
                with pytest.raises(EnvironmentFailure, match="Docker engine does not answer"):
                    other.value()
                lab.client.delete_function(other.name)
                seen.goes_on()
                _kill_containers(instance)  # what a stopping engine does to them
                until(lambda: seen.bad, "calls notice")
                line.mend()
                seen.goes_on()
            assert {answer.status for answer in seen.bad} <= {200, 429, 502}, "429: waited for too long"
            assert {answer.error for answer in seen.bad} <= {
                "ServiceException",
                "TooManyRequestsException",
                "Unhandled",
            }
            assert_metered_once(function, seen)
            names = {f"samovar-{one}" for one in function.environments()}
            stem_cells = Settings().stem_cells
            until(lambda: len(containers(instance) - names) <= stem_cells, "what died is removed")
        assert containers(instance) == set()


def _kill_containers(instance: str) -> None:
    """Those that run; others are being removed at this moment, and cannot be killed."""
    subprocess.run(["docker", "kill", *containers(instance)], check=False, capture_output=True, timeout=60)


def _request(function: Function, event: object, length: int | None = None) -> socket.socket:
    """A connection on which an Invoke has been sent, with a Content-Length of our choice."""
    body = json.dumps(event).encode()
    address = urlsplit(function.url)
    connection = socket.create_connection((address.hostname or "", address.port or 0), timeout=30)
    path = f"/2015-03-31/functions/{function.name}/invocations"
    signed = sign(Signed("POST", path.encode(), b"", {b"host": b"h"}), body, key_for(function.url), time.time())
    head = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "h", **signed}.items())
    connection.sendall(f"POST {path} HTTP/1.1\r\n{head}Content-Length: {length or len(body)}\r\n\r\n".encode() + body)
    return connection


@ONLY_SANDBOX
def test_a_caller_that_hangs_up_while_its_call_runs(lab: Lab) -> None:
    function = lab.deploy()
    lab.client.put_concurrency(function.name, 1)
    function.run("result = 1")
    with _request(function, {"run": "import time; time.sleep(0.3); open('/tmp/ran', 'w').close()"}):
        until(lambda: any(view.state == "busy" for view in lab.client.environments()), "it runs")
    assert function.run("import os, time\nresult = os.path.exists('/tmp/ran')") is True
    assert len(function.environments()) == 1
    assert [reading.outcome for reading in function.readings()] == ["ok"] * 3


@ONLY_SANDBOX
def test_a_caller_that_hangs_up_before_it_has_sent_all(lab: Lab, anything: Function) -> None:
    anything.run("result = 1")
    before = len(anything.readings())
    with _request(anything, {"run": "result = 1"}, length=5_000_000):
        pass
    with _request(anything, {"run": "result = 1"}, length=5_000_000) as waiting:
        waiting.shutdown(socket.SHUT_WR)
        assert b" 200 " not in waiting.recv(100)
    assert anything.run("result = 2") == 2
    assert len(anything.readings()) == before + 1


@ONLY_SANDBOX
def test_many_callers_that_hang_up_leave_nothing_behind(lab: Lab) -> None:
    function = lab.deploy("import time\ndef handler(event, context): time.sleep(event)")
    function.value(0)
    for _ in range(40):
        _request(function, 0.05).close()
    until(lambda: not [view for view in lab.client.environments() if view.state == "busy"], "all end")
    assert function.value(0) is None
    invoker = lab.client.invoker()
    assert (invoker.busy, invoker.waiting) == (0, 0)


@ONLY_SANDBOX
def test_a_slow_reader_holds_nobody_up(lab: Lab, anything: Function) -> None:
    with _request(anything, {"run": "result = 'x' * 6_000_000"}) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        for _ in range(20):
            began = time.monotonic()
            assert anything.run("result = 1") == 1
            assert time.monotonic() - began < 2
        received = b""
        while b"\r\n\r\n" not in received or len(received.partition(b"\r\n\r\n")[2]) < 6_000_002:
            part = slow.recv(1 << 20)
            assert part
            received += part
    assert received.startswith(b"HTTP/1.1 200")
