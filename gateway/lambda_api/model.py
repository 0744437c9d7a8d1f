"""AWS's own models of its APIs, as botocore ships them: which operations there are, where, and what they take.

Only the file is read. Importing botocore would take longer than everything else a gateway does at its start, and ten
times the memory; what is kept here is names, paths and the shapes of requests. The shapes are read with the first
request that is checked, so that a platform nobody deploys to does not hold them.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

import msgspec

from gateway.lambda_api.wording import worded

Api = Literal["lambda", "logs", "scheduler", "sqs"]
_FILES: Final[dict[Api, str]] = {
    "lambda": "data/lambda/2015-03-31/service-2.json.gz",
    "logs": "data/logs/2014-03-28/service-2.json.gz",
    "scheduler": "data/scheduler/2021-06-30/service-2.json.gz",
    "sqs": "data/sqs/2012-11-05/service-2.json.gz",
}


class Member(msgspec.Struct, frozen=True, rename="camel"):
    """One member of a structure, a list or a map."""

    shape: str
    location: str | None = None
    """`uri`, `querystring` or `header`; `None` is the body."""
    location_name: str | None = None


class Shape(msgspec.Struct, frozen=True):
    """A type, with its constraints."""

    type: str
    members: dict[str, Member] = {}
    required: tuple[str, ...] = ()
    member: Member | None = None
    key: Member | None = None
    value: Member | None = None
    min: float | None = None
    max: float | None = None
    pattern: str | None = None
    enum: tuple[str, ...] = ()
    payload: str | None = None
    """The member whose value is the body as it is."""
    sensitive: bool = False
    """Whether values must not be shown."""
    said_enum: str | None = None
    """The values as AWS's messages list them, where that is not `enum`; of these three see `wording`."""
    said_pattern: str | None = None
    said_of_items: str | None = None


class Operation(msgspec.Struct, frozen=True):
    """One action of the API."""

    name: str
    method: str
    path: str
    """With its members in braces."""
    query: str
    """What the query must hold for the request to mean this operation; mostly empty."""
    input: str | None
    """Name of the request's shape."""


class _Http(msgspec.Struct, rename="camel"):
    method: str
    request_uri: str


class _Named(msgspec.Struct):
    shape: str


class _Operation(msgspec.Struct):
    name: str
    http: _Http
    input: _Named | None = None


class _Operations(msgspec.Struct):
    operations: dict[str, _Operation]


class _Shapes(msgspec.Struct):
    shapes: dict[str, Shape]


@cache
def operations(api: Api = "lambda") -> dict[str, Operation]:
    """Every operation of the API by its name, offered here or not."""
    read = msgspec.json.decode(_text(api), type=_Operations).operations
    return {name: _compact(operation) for name, operation in read.items()}


def shape(name: str, api: Api = "lambda") -> Shape:
    """A shape some request is made of."""
    return _shapes(api)[name]


@cache
def _shapes(api: Api) -> dict[str, Shape]:
    every = msgspec.json.decode(_text(api), type=_Shapes).shapes
    found = _reachable(every, (operation.input for operation in operations(api).values() if operation.input))
    return {name: worded(name, one) for name, one in found.items()} if api == "lambda" else found


def _reachable(every: dict[str, Shape], roots: Iterable[str]) -> dict[str, Shape]:
    """The shapes that requests are made of: a third of all."""
    found: dict[str, Shape] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = one = every[name]
            parts = (*one.members.values(), one.member, one.key, one.value)
            waiting += [part.shape for part in parts if part is not None]
    return found


def _compact(read: _Operation) -> Operation:
    path, _, query = read.http.request_uri.partition("?")
    return Operation(read.name, read.http.method, path, query, read.input.shape if read.input else None)


def _text(api: Api) -> bytes:
    found = find_spec("botocore")
    assert found is not None, "botocore is a dependency"
    assert found.submodule_search_locations, "and a package"
    return gzip.decompress((Path(found.submodule_search_locations[0]) / _FILES[api]).read_bytes())
