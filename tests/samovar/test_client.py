"""The client's errors and its wire, over real HTTP."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from starlette.responses import PlainTextResponse, Response

from samovar.clients.platform import Client
from samovar.errors import (
    CallerError,
    EnvironmentFailure,
    InvalidParameterValue,
    ResourceNotFound,
    SamovarError,
    ServiceFailure,
    ServiceUnavailable,
    TooManyRequests,
)
from tests.samovar.fake_platform import FakePlatform, refusal, serving

PARAMETERS = {"FunctionName": "tea", "Role": "r", "Handler": "a.b", "Runtime": "python3.11"}


@pytest.fixture(scope="module")
def platform() -> FakePlatform:
    return FakePlatform()


@pytest.fixture(scope="module")
def client(platform: FakePlatform) -> Iterator[Client]:
    with serving(platform) as address, Client(address) as client:
        yield client


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (refusal(400, "InvalidParameterValueException", "bad"), InvalidParameterValue, "bad"),
        (refusal(502, "ServiceException", "no box"), EnvironmentFailure, "no box"),
        (refusal(500, "ServiceException", "oops"), ServiceFailure, "oops"),
        (refusal(503, "ServiceUnavailableException", "redis"), ServiceUnavailable, "redis"),
        (refusal(418, "TeapotException", "short"), CallerError, "short"),
        (PlainTextResponse("Bad Gateway", 502), ServiceFailure, "Bad Gateway"),
        (Response(status_code=504), ServiceFailure, "HTTP 504 Gateway Timeout"),
    ],
)
def test_an_error_answer_raises_its_class(
    platform: FakePlatform, client: Client, answer: Response, kind: type[SamovarError], message: str
) -> None:
    platform.refusal = answer
    with pytest.raises(SamovarError) as raised:
        client.create_function(PARAMETERS, b"")
    assert (type(raised.value), raised.value.message) == (kind, message)
    platform.refusal = None


def test_a_throttle_keeps_its_reason_and_wait(platform: FakePlatform, client: Client) -> None:
    platform.refusal = refusal(429, "TooManyRequestsException", "Rate Exceeded.", **{"Retry-After": "2"})
    with pytest.raises(TooManyRequests) as raised:
        client.create_function(PARAMETERS, b"")
    assert raised.value.retry_after == 2.0
    platform.refusal = None


def test_an_upload_tells_its_progress(platform: FakePlatform, client: Client) -> None:
    told: list[tuple[int, int]] = []
    client.create_function(PARAMETERS, bytes(2**20), lambda done, total: told.append((done, total)))
    assert platform.functions["tea"].code == bytes(2**20)
    assert len(told) > 2
    assert told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_names_are_quoted_in_paths(platform: FakePlatform, client: Client) -> None:
    with pytest.raises(ResourceNotFound):
        client.get_function("a?b#c d")
    assert platform.calls[-1] == "GET /2015-03-31/functions/a%3Fb%23c d"


def test_health_is_a_yes_or_no(platform: FakePlatform, client: Client) -> None:
    assert client.healthy()
    platform.well = False
    assert not client.healthy()


def test_readings_are_read_back(platform: FakePlatform, client: Client) -> None:
    client.create_function(PARAMETERS, b"")
    assert client.invocation("r7").request_id == "r7"
    assert [each.request_id for each in client.invocations("tea", limit=2)] == ["r0", "r1"]
    with pytest.raises(ResourceNotFound):
        client.invocations("nope", limit=1)


@pytest.mark.parametrize("endpoint", ["localhost:9000", "ftp://localhost", "http://"])
def test_an_address_that_is_none_is_told(endpoint: str) -> None:
    with Client(endpoint) as client, pytest.raises(ServiceUnavailable):
        client.get_function("tea")


def test_a_connection_that_breaks_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with Client(address) as client, pytest.raises(ServiceUnavailable, match="start it with `samovar up`"):
        client.status()
