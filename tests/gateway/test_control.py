"""What holds for every request to the control app: ids, errors in AWS's form, nothing unexpected to the caller."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest

from gateway.control import create_control_app
from gateway.functions.registry import Registry
from gateway.services import Services
from tests.gateway.builders import creation

pytestmark = pytest.mark.component("valkey")


async def test_every_answer_has_its_own_request_id(api: httpx.AsyncClient) -> None:
    paths = ["/2015-03-31/functions", "/samovar/v1/health", "/no/such/path", "/2015-03-31/functions/none"]
    ids = [(await api.get(path)).headers.get_list("x-amzn-requestid") for path in paths]
    assert [len(each) for each in ids] == [1, 1, 1, 1]
    assert len({each[0] for each in ids}) == 4


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nothing", 404, "UnknownOperationException"),
        ("GET", "/", 405, "MethodNotAllowedException"),
        ("GET", "/2015-03-31/layers", 404, "UnknownOperationException"),
        ("PATCH", "/2015-03-31/functions", 405, "MethodNotAllowedException"),
    ],
)
async def test_what_is_no_operation_is_said_so(
    api: httpx.AsyncClient, method: str, path: str, status: int, kind: str
) -> None:
    answer = await api.request(method, path)
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (status, kind)
    assert answer.json()["Type"] == "User"
    assert f"{method} {path} is no operation" in answer.json()["Message"]


class Broken:
    """A registry with a bug."""

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError("a bug")


async def test_a_bug_is_logged_once_and_answered_without_its_details(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    broken = replace(services, registry=cast(Registry, Broken()))
    # `Functions` reads the registry when the app is made, so only reads reach the bug here.
    transport = httpx.ASGITransport(create_control_app(broken))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        with caplog.at_level(logging.WARNING):
            answer = await http.get("/2015-03-31/functions/hello")
    request_id = answer.headers["x-amzn-requestid"]
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (500, "ServiceException")
    assert request_id in answer.json()["Message"]
    assert "a bug" not in answer.text
    (logged,) = [entry for entry in caplog.records if request_id in entry.getMessage()]
    assert logged.exc_info is not None


async def test_a_body_over_the_limit_is_refused_without_being_kept(services: Services) -> None:
    small = replace(services, settings=type(services.settings)(max_upload_bytes=1024))
    transport = httpx.ASGITransport(create_control_app(small))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        body = creation(Description="x" * (2 * 1024 * 1024))
        answer = await http.post("/2015-03-31/functions", json=body)
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (413, "RequestEntityTooLargeException")
    assert "bytes for the CreateFunction operation" in answer.json()["Message"]
