"""The Docker engine behind bounded threads and deadlines.

The docker SDK blocks, so every call runs in one of a few threads; more calls than threads wait their turn,
and the wait counts against the call's deadline. What the SDK raises leaves here as `EnvironmentFailure`
with the engine's own words.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from docker import APIClient
from docker.errors import APIError, DockerException
from docker.utils import kwargs_from_env
from requests.exceptions import RequestException

from samovar.errors import EnvironmentFailure

T = TypeVar("T")

THREADS = 16
CONNECT_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What an engine says of itself (Engine API, `SystemInfo`)."""

    version: str
    cpus: int
    cgroup_version: str
    cgroup_driver: str
    runtimes: dict[str, tuple[str, ...]]
    """Name of each OCI runtime → the arguments it is always given."""
    has_seccomp: bool = True
    """Whether it filters system calls, by its own profile or by one that it is given."""

    @classmethod
    def read(cls, client: APIClient) -> EngineFacts:
        """Ask the engine."""
        info: dict[str, Any] = client.info()
        return cls(
            version=info["ServerVersion"],
            cpus=info["NCPU"],
            cgroup_version=info.get("CgroupVersion") or "1",
            cgroup_driver=info.get("CgroupDriver", "none"),
            runtimes={
                name: tuple(runtime.get("runtimeArgs") or ()) for name, runtime in sorted(info["Runtimes"].items())
            },
            has_seccomp=any(option.startswith("name=seccomp") for option in info.get("SecurityOptions") or ()),
        )


class Engine:
    """One Docker engine. Connects on first use and again by itself after the engine was away."""

    def __init__(self, base_url: str | None = None, deadline_s: float = 60.0) -> None:
        """`base_url` is the engine's socket; `None` follows `DOCKER_HOST` as every Docker client does."""
        self._address: dict[str, Any] = {"base_url": base_url} if base_url else dict(kwargs_from_env())
        self._deadline_s = deadline_s
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="docker")
        self._connecting = threading.Lock()
        self._client: APIClient | None = None
        self._facts: EngineFacts | None = None

    async def call(self, doing: str, action: Callable[[APIClient], T], deadline_s: float | None = None) -> T:
        """Run `action` in a thread. `doing` completes "the Docker engine refused …".

        Raises `EnvironmentFailure` when the engine refuses, does not answer, or is too slow. After a deadline
        or a cancellation the action may still take effect: callers undo what they can name.
        """
        limit = deadline_s or self._deadline_s
        try:
            async with asyncio.timeout(limit):
                return await asyncio.get_running_loop().run_in_executor(self._threads, self._perform, doing, action)
        except TimeoutError as error:
            raise EnvironmentFailure(
                f"the Docker engine took longer than {limit:.0f} s for {doing}; the host may be overloaded"
            ) from error

    async def facts(self, *, fresh: bool = False) -> EngineFacts:
        """What the engine offers; read once unless a `fresh` answer is asked for."""
        if self._facts is None or fresh:
            self._facts = await self.call("describing itself", EngineFacts.read, CONNECT_TIMEOUT_S)
        return self._facts

    def close(self) -> None:
        """Close the connections; calls that are still queued are dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    def _perform(self, doing: str, action: Callable[[APIClient], T]) -> T:
        try:
            return action(self._connected())
        except APIError as error:
            raise EnvironmentFailure(f"the Docker engine refused {doing}: {error.explanation or error}") from error
        except (DockerException, RequestException) as error:
            raise EnvironmentFailure(_no_answer(doing, error)) from error

    def _connected(self) -> APIClient:
        with self._connecting:
            if self._client is None:
                self._client = APIClient(
                    version="auto", timeout=int(self._deadline_s), max_pool_size=THREADS, **self._address
                )
            return self._client


def _no_answer(doing: str, error: Exception) -> str:
    """What an engine that cannot be reached, or not by this user, means to whoever runs Samovar."""
    if "PermissionError" in str(error):  # requests has wrapped it more than once
        return (
            "this user may not use the Docker engine; `sudo usermod -aG docker $USER` and a new login let it, "
            "and make it as powerful as root"
        )
    return f"the Docker engine does not answer ({doing}): {error}; see that it runs with `docker version`"
