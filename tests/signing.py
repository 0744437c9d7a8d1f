"""Signed requests for tests: by httpx, and by AWS's own clients with the key of a platform."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path

import httpx

from samovar.access.credentials import find, path_of, read
from samovar.access.sigv4 import Credentials, Signed, sign
from samovar.settings import Settings


class Signing(httpx.Auth):
    """`httpx.get(url, auth=Signing(key))`: the request with the host and its body signed."""

    requires_request_body = True

    def __init__(self, key: Credentials, service: str = "lambda") -> None:
        self._key = key
        self._service = service

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """httpx: sign one request."""
        path, _, query = request.url.raw_path.partition(b"?")
        signed = Signed(request.method, path, query, {b"host": request.headers["host"].encode()})
        request.headers.update(sign(signed, request.content, self._key, time.time(), self._service))
        yield request


def root_key(data_dir: Path) -> Credentials:
    """The root key of the platform on a data directory."""
    found = read(path_of(Settings(data_dir=str(data_dir))))
    assert found is not None
    return found


def key_for(endpoint: str) -> Credentials:
    """The key the command line finds for a platform of this machine."""
    found = find(endpoint, {})
    assert found is not None, f"no key is noted for {endpoint}"
    return found
