"""What every client of the platform begins and ends with: an address, a key, and connections that are closed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import httpx

from samovar.access import credentials
from samovar.access.sigv4 import Credentials
from samovar.errors import ServiceUnavailable
from samovar.settings import Settings

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 60.0
"""How long anything but an invocation may take; an upload is unpacked and stored within it."""


class Connected:
    """A client of one platform. Use it as a context manager, so that its connections are closed."""

    def __init__(self, endpoint: str, key: Credentials | None = None, answer_s: float = ANSWER_TIMEOUT_S) -> None:
        """`key` signs every request; without one, the key that `samovar.access.credentials.find` finds."""
        self.endpoint = endpoint.rstrip("/")
        self._key = key or credentials.find(self.endpoint, os.environ)
        self._http = httpx.Client(
            base_url=self.endpoint,
            timeout=httpx.Timeout(answer_s, connect=CONNECT_TIMEOUT_S),
            verify=not self.endpoint.startswith("http:"),  # the authorities' certificates take 30 ms to load
            trust_env=False,  # a proxy for the internet is no way to the platform on this box
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    @property
    def region(self) -> str:
        """The region that requests mean."""
        return self._key.region if self._key is not None else Settings().region

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Say in our own words why the platform could not be reached."""
        try:
            yield
        except httpx.ConnectError as error:
            raise ServiceUnavailable(f"no Samovar answers at {self.endpoint}; start it with `samovar up`") from error
        except httpx.TimeoutException as error:
            raise ServiceUnavailable(f"Samovar at {self.endpoint} did not answer in time") from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise ServiceUnavailable(f"{self.endpoint!r} is no http:// address of a Samovar: {error}") from error
        except httpx.TransportError as error:
            raise ServiceUnavailable(f"the connection to Samovar at {self.endpoint} broke: {error}") from error
