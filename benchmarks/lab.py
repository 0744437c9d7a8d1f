"""A platform to measure: really isolated, metering on, with functions made from a folder."""

from __future__ import annotations

import io
import signal
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import msgspec
import redis

from benchmarks import calls
from benchmarks.calls import Call, Reply
from benchmarks.wrk import CannotMeasure
from samovar.clients.platform import Client
from samovar.deploy.manifest import Manifest
from samovar.settings import Settings
from samovar.supervisor import state
from tests.platform import Platform
from tests.signing import root_key

FUNCTIONS = Path(__file__).parent / "functions"


def end_in_order() -> None:
    """Have SIGTERM end this process as an exception does: the platform it has started is stopped first."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a run measures."""

    isolation: str
    quick: bool
    reference: str
    """URL of the bare server."""

    @property
    def repeats(self) -> int:
        """How often each figure is measured."""
        return 3 if self.quick else 5

    @property
    def seconds(self) -> int:
        """How long wrk loads a server in one repeat."""
        return 1 if self.quick else 2

    def size(self, whole: int, quick: int) -> int:
        """One of two sizes."""
        return quick if self.quick else whole


class Lab:
    """A running platform. Every function is warm or cold as the caller wants: each has a name of its own."""

    def __init__(self, platform: Platform, client: Client) -> None:
        self.platform = platform
        self.client = client
        self.endpoint = platform.endpoint
        self.key = root_key(platform.data_dir)
        self._runtime = client.invoker().default_runtime
        self._packages: dict[str, bytes] = {}
        self._settings = Settings(data_dir=str(platform.data_dir))
        self._made = 0

    @classmethod
    @contextmanager
    def running(cls, isolation: str, **settings: str | float) -> Iterator[Self]:
        """Start a platform on an empty folder, and remove all of it in the end."""
        generous = {"memory_budget_mb": 131_072}  # limits are summed up; what is used is far less
        with Platform(isolation, **(generous | settings)) as platform, Client(platform.endpoint) as client:
            yield cls(platform, client)

    @property
    def pid(self) -> int:
        """The supervisor's."""
        assert self.platform.process is not None
        return self.platform.process.pid

    def pids(self, *starts: str) -> list[int]:
        """Process ids of parts of the platform, by how their names start, such as `gateway`."""
        found = state.read(state.path_of(self._settings))
        assert found is not None
        return [part.pid for part in found.processes if part.name.startswith(starts) and part.pid is not None]

    @property
    def store_url(self) -> str:
        """Where the platform's store is."""
        return self._settings.store_url

    def store(self) -> redis.Redis:
        """A client of the platform's store."""
        return redis.Redis.from_url(self._settings.store_url)

    def named(self, name: str) -> Function:
        """A function that is deployed already."""
        return Function(self, name)

    def function(self, kind: str, **manifest: str | int) -> Function:
        """A new function, never called, from `benchmarks/functions/<kind>`; `manifest` as in function.toml."""
        self._made += 1
        name = f"{kind}-{self._made}"
        chosen = msgspec.convert({"name": name, "handler": "app.handler", "timeout": 30, **manifest}, Manifest)
        self.client.create_function({**chosen.configuration(self._runtime), "Tags": chosen.tags()}, self._package(kind))
        if chosen.concurrency is not None:
            self.client.put_concurrency(name, chosen.concurrency)
        return Function(self, name)

    def warm(self, kind: str, **manifest: str | int) -> Function:
        """A new function that has been called."""
        function = self.function(kind, **manifest)
        function.call()
        return function

    def _package(self, kind: str) -> bytes:
        if kind not in self._packages:
            self._packages[kind] = zipped((FUNCTIONS / kind / "app.py").read_text())
        return self._packages[kind]


class Function:
    """One deployed function."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.name = name
        self._lab = lab
        self.url = f"{lab.endpoint}/fn/{name}/"
        self.invoke_url = f"{lab.endpoint}/2015-03-31/functions/{name}/invocations"

    def asking(self, ms: float | None = None) -> Call:
        """A call over HTTP; `ms` is how long a handler that sleeps shall sleep."""
        return Call(self.url if ms is None else f"{self.url}?ms={ms:g}")

    def call(self, ms: float | None = None) -> Reply:
        """Call it once."""
        return calls.one(self.asking(ms))

    def cold_call(self) -> float:
        """Milliseconds to the first byte. Raises `CannotMeasure` when the call was not cold after all."""
        reply = self.call()
        self.must_have_been_cold(reply)
        return reply.first_byte_s * 1000

    def must_have_been_cold(self, reply: Reply) -> None:
        """Raises `CannotMeasure` unless the meter says that the call waited for a new environment."""
        if self._lab.client.invocation(reply.request_id).cold is None:
            raise CannotMeasure(f"a call of {self.name} that had to be cold was warm")

    def host(self) -> str:
        """The host name of its function URL, which it gets now."""
        return self._lab.client.create_url(self.name).function_url.removeprefix("http://").rstrip("/")

    def published(self, number: int) -> Function:
        """A new version of it; `number` tells it from the one before."""
        self._lab.client.update_configuration(self.name, {"Description": f"version {number}"})
        return Function(self._lab, f"{self.name}:{self._lab.client.publish_version(self.name).version}")

    def delete(self) -> None:
        """Remove it with all its environments."""
        self._lab.client.delete_function(self.name)


def zipped(source: str) -> bytes:
    """A deployment package of one file, `app.py`."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as package:
        package.writestr("app.py", source)
    return packed.getvalue()


def interleaved(repeats: int, *measures: Callable[[], float]) -> list[list[float]]:
    """Each measure's values, taken in turn, so that whatever the machine does meanwhile does it to all."""
    values: list[list[float]] = [[] for _ in measures]
    for _ in range(repeats):
        for collected, measure in zip(values, measures, strict=True):
            collected.append(measure())
    return values


@contextmanager
def body_file(content: bytes) -> Iterator[Path]:
    """A file for wrk to send."""
    with tempfile.NamedTemporaryFile(prefix="samovar-bench-", suffix=".json") as file:
        file.write(content)
        file.flush()
        yield Path(file.name)
