"""What is special about boxes in a real Docker engine; what every isolation promises is in tests/contracts."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import shutil
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from docker import APIClient

from invoker.environments.runtimes import Runtime, runtime
from invoker.isolation.contract import INVOKER_SOCKET, BoxSpec
from invoker.isolation.docker import DockerIsolation
from invoker.isolation.docker_box import DockerBox
from invoker.isolation.docker_engine import Engine
from invoker.isolation.docker_exits import ExitWatch
from invoker.isolation.docker_images import Images
from samovar.errors import EnvironmentFailure
from samovar.function import Limits, Network

pytestmark = pytest.mark.component("docker")

# The docker SDK leaves a socket to the garbage collector when it cannot connect it.
sdk_leaks_sockets = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

BASE_IMAGE = "samovar-base:bookworm"
ENGINE_SOCKET = "/var/run/docker.sock"


class EngineProxy:
    """A socket in front of the engine's that can go away and come back, as the engine itself would."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []

    @property
    def url(self) -> str:
        """What a client connects to."""
        return f"unix://{self._path}"

    def up(self) -> None:
        """Accept connections."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def down(self) -> None:
        """Break all connections and refuse new ones."""
        self._path.unlink(missing_ok=True)
        for connection in [self._listener, *self._open]:
            if connection is not None:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()
        self._listener, self._open = None, []

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(ENGINE_SOCKET)
                self._open += [client, server]
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=_copy, args=(source, target), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def instance() -> str:
    return f"test{os.urandom(4).hex()}"


@pytest.fixture
def engine() -> Iterator[APIClient]:
    client = APIClient(version="auto")
    yield client
    client.close()


@pytest.fixture
def own_engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


@pytest.fixture
async def isolation(instance: str) -> AsyncIterator[DockerIsolation]:
    isolation = DockerIsolation(instance, base_image=BASE_IMAGE)
    yield isolation
    await isolation.sweep()
    await isolation.close()


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[EngineProxy]:
    proxy = EngineProxy(tmp_path / "docker.sock")
    proxy.up()
    yield proxy
    proxy.down()
    gc.collect()  # while the leak below is expected


@pytest.fixture
def sockets(tmp_path: Path) -> Iterator[Path]:
    """A folder with an invoker's socket that accepts and never answers: the keeper waits for ever."""
    folder = tmp_path / "sockets"
    folder.mkdir(mode=0o755)
    tmp_path.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / INVOKER_SOCKET))
        (folder / INVOKER_SOCKET).chmod(0o666)
        listener.listen()
        yield folder


def spec(sockets: Path, network: Network = "none") -> BoxSpec:
    """A small box whose keeper stays."""
    return BoxSpec(
        id=os.urandom(8).hex(),
        runtime="python3.11",
        code_dir=sockets,
        socket_dir=sockets,
        limits=Limits(),
        network=network,
        labels={"samovar.function": "orders"},
    )


def containers(engine: APIClient, instance: str) -> list[dict[str, Any]]:
    """All containers of an instance, running or not."""
    found: list[dict[str, Any]] = engine.containers(all=True, filters={"label": f"samovar.instance={instance}"})
    return found


def networks(engine: APIClient, instance: str) -> list[dict[str, Any]]:
    """The networks of an instance."""
    found: list[dict[str, Any]] = engine.networks(filters={"label": f"samovar.instance={instance}"})
    return found


async def test_a_person_finds_the_owner_of_a_container_by_its_labels(
    isolation: DockerIsolation, engine: APIClient, instance: str, sockets: Path
) -> None:
    box = await isolation.start(spec(sockets))
    (container,) = containers(engine, instance)
    assert container["Labels"]["samovar.function"] == "orders"
    assert container["Labels"]["samovar.box"] == box.id
    await box.destroy("test")
    assert containers(engine, instance) == []


async def test_a_sweep_removes_what_a_former_invoker_left_and_nothing_else(
    isolation: DockerIsolation, engine: APIClient, instance: str, sockets: Path
) -> None:
    former = DockerIsolation(instance, base_image=BASE_IMAGE)
    abandoned = await former.start(spec(sockets, "bridge"))
    ours = await isolation.start(spec(sockets))
    assert await isolation.sweep() == 1
    (left,) = containers(engine, instance)
    assert left["Labels"]["samovar.box"] == ours.id
    assert "removed" in await abandoned.wait() or "SIGKILL" in await abandoned.wait()
    await ours.destroy("test")
    await former.close()
    assert networks(engine, instance) == []


async def test_boxes_on_the_bridge_share_one_network_that_lets_them_not_reach_each_other(
    isolation: DockerIsolation, engine: APIClient, instance: str, sockets: Path
) -> None:
    boxes = await asyncio.gather(*(isolation.start(spec(sockets, "bridge")) for _ in range(3)))
    (network,) = networks(engine, instance)
    assert network["Options"]["com.docker.network.bridge.enable_icc"] == "false"
    await asyncio.gather(*(box.destroy("test") for box in boxes))


async def test_a_cancelled_start_leaves_no_container(engine: APIClient, instance: str, sockets: Path) -> None:
    isolation = DockerIsolation(instance, base_image=BASE_IMAGE)
    await isolation.prepare("python3.11")
    starting = asyncio.create_task(isolation.start(spec(sockets)))
    async with asyncio.timeout(20):
        await asyncio.to_thread(_await_container, engine, instance)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        await isolation.close()
    assert containers(engine, instance) == []


def _await_container(engine: APIClient, instance: str) -> None:
    for event in engine.events(filters={"label": f"samovar.instance={instance}"}, since=0):
        if event:
            return


@sdk_leaks_sockets
async def test_an_engine_that_is_away_is_named_and_used_again_when_it_is_back(
    proxy: EngineProxy, engine: APIClient, instance: str, sockets: Path
) -> None:
    isolation = DockerIsolation(instance, base_image=BASE_IMAGE, base_url=proxy.url)
    box = await isolation.start(spec(sockets))
    proxy.down()
    with pytest.raises(EnvironmentFailure, match="Docker engine does not answer"):
        await isolation.start(spec(sockets))
    assert (await isolation.status()).available is False
    with pytest.raises(EnvironmentFailure, match="Docker engine does not answer"):
        await box.destroy("while the engine is away")
    assert "not known" in await box.wait(), "its processes are killed even so"

    proxy.up()
    second = await isolation.start(spec(sockets))
    assert (await isolation.status()).available is True
    await asyncio.gather(box.destroy("again"), second.destroy("test"))
    assert containers(engine, instance) == []
    await isolation.close()


@sdk_leaks_sockets
async def test_starts_under_load_fail_cleanly_when_the_engine_stops(
    proxy: EngineProxy, engine: APIClient, instance: str, sockets: Path
) -> None:
    isolation = DockerIsolation(instance, base_image=BASE_IMAGE, base_url=proxy.url)
    await isolation.prepare("python3.11")
    starts = [asyncio.create_task(isolation.start(spec(sockets))) for _ in range(6)]
    await asyncio.wait(starts, return_when=asyncio.FIRST_COMPLETED)
    proxy.down()
    outcomes = await asyncio.gather(*starts, return_exceptions=True)
    assert all(isinstance(outcome, EnvironmentFailure | DockerBox) for outcome in outcomes)
    assert any(isinstance(outcome, EnvironmentFailure) for outcome in outcomes)

    proxy.up()
    survivors = [outcome for outcome in outcomes if isinstance(outcome, DockerBox)]
    survivors.append(await isolation.start(spec(sockets)))
    await asyncio.gather(*(box.destroy("test") for box in survivors))
    await isolation.sweep()
    assert containers(engine, instance) == []
    await isolation.close()


async def test_an_image_is_built_once_for_all_who_wait_for_it(
    tmp_path: Path, engine: APIClient, own_engine: Engine
) -> None:
    images, wanted = Images(own_engine), _copy_of_runtime(tmp_path)
    try:
        tags = await asyncio.gather(*(images.ensure(wanted, BASE_IMAGE) for _ in range(4)))
        assert len(set(tags)) == 1
        assert engine.images(tags[0], quiet=True)
    finally:
        for image in engine.images(wanted.image, quiet=True):
            engine.remove_image(image, force=True)


async def test_a_base_image_nobody_has_is_named_with_the_setting_to_change(tmp_path: Path, own_engine: Engine) -> None:
    with pytest.raises(EnvironmentFailure, match=r"localhost:1/no-such-image.*SAMOVAR_BASE_IMAGE"):
        await Images(own_engine).ensure(_copy_of_runtime(tmp_path), "localhost:1/no-such-image")


def _copy_of_runtime(tmp_path: Path) -> Runtime:
    """The Python runtime under a name of its own, so that its image is sure to be missing."""
    real = runtime("python3.11")
    folder = tmp_path / "runtime"
    shutil.copytree(real.folder, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "Dockerfile").write_text(f"ARG BASE_IMAGE\nFROM ${{BASE_IMAGE}}\nLABEL test={tmp_path.name}\n")
    changed: Runtime = msgspec.structs.replace(
        real, image=f"samovar/test-{os.urandom(4).hex()}", folder=folder, dockerfile=folder / "Dockerfile"
    )
    return changed


async def test_the_end_of_a_container_is_seen_without_its_process(
    isolation: DockerIsolation, engine: APIClient, instance: str, sockets: Path, own_engine: Engine
) -> None:
    watch = ExitWatch(own_engine, instance, poll_s=0.05)
    box = await isolation.start(spec(sockets))
    (container,) = containers(engine, instance)
    ended = asyncio.create_task(watch.container_ended(container["Id"]))
    done, _ = await asyncio.wait([ended], timeout=0.3)
    assert not done
    await box.destroy("test")
    await asyncio.wait_for(ended, 10)
    await watch.close()
