"""Samovar's own API, called by its own description: whatever is sent, the answer is a described one, never a fault.

Schemathesis makes requests from the description: valid ones, and ones that break it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode

from tests.compatibility.aws import HANDLER, create, lambda_client
from tests.platform import Platform
from tests.signing import Signing, key_for

pytestmark = pytest.mark.component("bubblewrap", "valkey")

V1: Final = "/samovar/v1"
REQUESTS: Final = {GenerationMode.POSITIVE: 12, GenerationMode.NEGATIVE: 5}
"""Of each kind, to each operation; those that break the description take longer to think of."""
OPERATIONS: Final = {GenerationMode.POSITIVE: 20, GenerationMode.NEGATIVE: 10}
"""At least so many operations are called; most take nothing that could be broken."""
FUNCTION: Final = "described"
"""It exists; two of three requests for a function are for it."""
ENDLESS: Final = "/functions/{name}/logs"
"""With `follow` its answer has no end; only its head is read."""


@pytest.fixture(scope="module")
def described(platform: Platform) -> Iterator[tuple[httpx.Client, dict[str, Any]]]:
    """A signing client, and the description; there is one function."""
    with lambda_client(platform.endpoint) as aws:
        create(aws, FUNCTION, HANDLER)
        yield from _described(platform)


def _described(platform: Platform) -> Iterator[tuple[httpx.Client, dict[str, Any]]]:
    auth = Signing(key_for(platform.endpoint))
    with httpx.Client(base_url=platform.endpoint, auth=auth, timeout=30, follow_redirects=False) as client:
        yield client, client.get(f"{V1}/openapi.json").json()


def sent(client: httpx.Client, case: Any) -> httpx.Response:
    """The answer to a case, as far as it is whole."""
    parts = case.as_transport_kwargs(base_url=str(client.base_url))
    parts.pop("cookies", None)
    headers = {name: str(value) for name, value in parts.pop("headers", {}).items() if name.lower() != "user-agent"}
    request = client.build_request(
        parts["method"], parts["url"], params=parts.get("params"), headers=headers, json=parts.get("json"),
        content=parts.get("data"),
    )  # fmt: skip
    response = client.send(request, stream=True)
    try:
        if case.operation.path.removeprefix(V1) != ENDLESS or response.is_error:
            response.read()
    finally:
        response.close()
    return response


def problem(case: Any, response: httpx.Response) -> str:
    """What is wrong with an answer; empty when nothing is."""
    if response.status_code >= 500:
        return "a fault"
    if response.status_code >= 400 and "x-amzn-errortype" not in response.headers:
        return "an error without a name"
    if response.status_code >= 400 and not {"Type", "Message"} <= response.json().keys():
        return "an error without a message"
    return ""


def operations(document: dict[str, Any]) -> Iterator[Any]:
    schema = schemathesis.openapi.from_dict(document)
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        yield found.ok()


def takes_more_than_a_path(operation: Any) -> bool:
    """Whether there is anything to break: any text may stand in a path, and looking for what may not takes long."""
    return bool(list(operation.query) or list(operation.body))


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_is_answered_with_a_fault(
    described: tuple[httpx.Client, dict[str, Any]], mode: GenerationMode
) -> None:
    client, document = described
    wrong: list[str] = []
    answered: Counter[str] = Counter()

    def call(operation: Any) -> None:
        cases = operation.as_strategy(generation_mode=mode)

        @settings(
            max_examples=REQUESTS[mode], derandomize=True, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=cases)
        def one(case: Any) -> None:
            if "name" in case.path_parameters and answered[operation.label] % 3:
                case.path_parameters["name"] = FUNCTION
            response = sent(client, case)
            answered[operation.label] += 1
            if told := problem(case, response):
                wrong.append(f"{operation.label}: {told}: {response.request.url} {response.status_code}")

        one()

    for operation in operations(document):
        if mode is GenerationMode.POSITIVE or takes_more_than_a_path(operation):
            call(operation)
    assert not wrong, "\n".join(sorted(set(wrong)))
    assert len(answered) >= OPERATIONS[mode]
