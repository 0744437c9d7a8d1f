"""Functions on a real platform: deployed from a few lines of source, called by every door, with what was metered."""

from __future__ import annotations

import io
import json
import secrets
import textwrap
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import boto3  # type: ignore[import-untyped] # it has no types
import httpx
import redis
from botocore.config import Config  # type: ignore[import-untyped] # as above

from samovar.answers import Answered
from samovar.clients.platform import Client
from samovar.invocation import Reading
from samovar.names import function_arn
from samovar.settings import Settings
from samovar.supervisor import state
from samovar.usage import Rollup, reading_key, readings_key, rollup_key
from tests.platform import Platform
from tests.signing import Signing, key_for, root_key

ROLE = "arn:aws:iam::123456789012:role/samovar"
RUNTIME = "python3.11"
RUN_WHAT_IS_ASKED = """
    import os, sys

    def handler(event, context):
        names = {"event": event, "context": context}
        exec(event["run"], names)
        return names.get("result")
"""
"""A function that runs the lines it is sent and answers with what they call `result`."""


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    """A deployment package."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in files.items():
            package.writestr(name, content)
    return packed.getvalue()


def package(source: str) -> bytes:
    """A deployment package of one module, `app`."""
    return zipped({"app.py": textwrap.dedent(source)})


def lambda_client(endpoint: str) -> Any:
    """boto3's client of AWS Lambda. It tries once and checks nothing, so that a test sees every failure."""
    key = key_for(endpoint)
    return boto3.client(
        "lambda",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=key.key_id,
        aws_secret_access_key=key.secret,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=60, parameter_validation=False),
    )


class Metered(NamedTuple):
    """What the store has of one function."""

    ids: set[str]
    """Request ids of its single readings."""
    counted: int
    """Invocations in its roll-up by days."""


class Function:
    """One deployed function."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab = lab
        self.name = name
        self.url = f"{lab.endpoint}/fn/{name}/"

    def invoke(self, event: Any = None) -> Answered:
        """Invoke with the log's tail; function errors are in the answer."""
        return self.lab.client.invoke(self.name, json.dumps(event).encode(), tail=True)

    def value(self, event: Any = None) -> Any:
        """What it returns."""
        answered = self.invoke(event)
        assert answered.function_error is None, answered.payload
        return json.loads(answered.payload)

    def run(self, lines: str, **event: Any) -> Any:
        """The `result` of some lines, in a function that runs what is asked."""
        return self.value({"run": textwrap.dedent(lines), **event})

    def attempt(self, lines: str, **event: Any) -> Answered:
        """As `run`, but the answer as it is."""
        return self.invoke({"run": textwrap.dedent(lines), **event})

    def error(self, event: Any = None) -> dict[str, Any]:
        """The error it fails with."""
        answered = self.invoke(event)
        assert answered.function_error == "Unhandled", answered.payload
        told: dict[str, Any] = json.loads(answered.payload)
        return told

    def update(self, source: str) -> None:
        """New code."""
        self.lab.client.update_code(self.name, package(source))

    def readings(self) -> list[Reading]:
        """Its meter readings, oldest first."""
        return self.lab.client.invocations(self.name, limit=1000)[::-1]

    def environments(self) -> list[str]:
        """Ids of its execution environments."""
        return [one.id for one in self.lab.client.environments() if one.arn.endswith(f":{self.name}")]


class Lab:
    """A platform to put functions on."""

    def __init__(self, platform: Platform, client: Client) -> None:
        self.platform = platform
        self.client = client

    @property
    def endpoint(self) -> str:
        """Where the platform answers now; another port after a restart."""
        return self.platform.endpoint

    def deploy(self, source: str = RUN_WHAT_IS_ASKED, name: str = "", **parameters: Any) -> Function:
        """A new function from one module's source. `parameters` are those of CreateFunction."""
        name = name or f"f-{secrets.token_hex(4)}"
        usual = {
            "FunctionName": name,
            "Role": ROLE,
            "Runtime": RUNTIME,
            "Handler": "app.handler",
            "Timeout": 10,
        }
        self.client.create_function(usual | parameters, package(source))
        return Function(self, name)

    @property
    def signing(self) -> Signing:
        """Signs what httpx sends to the API."""
        return Signing(root_key(self.platform.data_dir))

    def pids(self) -> dict[str, int]:
        """The platform's processes by name."""
        found = state.read(state.path_of(Settings(data_dir=str(self.platform.data_dir))))
        return {process.name: process.pid for process in found.processes if process.pid} if found else {}

    def metered(self, function: Function) -> Metered:
        """What the store holds, read past the gateway."""
        arn = function_arn("123456789012", "us-east-1", function.name)
        settings = Settings(data_dir=str(self.platform.data_dir))
        url = self.platform.environment.get("SAMOVAR_REDIS_URL") or settings.store_url
        with redis.Redis.from_url(url) as store:
            ids = {each.decode() for each in store.zrange(readings_key(arn), 0, -1)}
            days = [Rollup(_counters(store.hgetall(key))) for key in store.keys(rollup_key(arn, "d", 0)[:-1] + "*")]
            assert all(store.exists(reading_key(one)) for one in ids)
        return Metered(ids, sum(day.invocations for day in days))

    def is_healthy(self) -> bool:
        """Whether it can serve calls."""
        try:
            return httpx.get(f"{self.endpoint}/samovar/v1/health", timeout=10).status_code == 200
        except httpx.TransportError:
            return False


def _counters(raw: Any) -> dict[str, int]:
    return {name.decode(): int(count) for name, count in raw.items()}


@contextmanager
def laboratory(
    isolation: str, prepare: Callable[[Platform], None] = lambda platform: None, **settings: str | float
) -> Iterator[Lab]:
    """A lab on a platform of its own. `prepare` is called before the platform is started."""
    platform = Platform(isolation, **settings)
    prepare(platform)
    with platform, Client(platform.endpoint) as client:
        yield Lab(platform, client)
