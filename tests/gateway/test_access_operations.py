"""What each operation needs, held to AWS's own model and to the routes there are."""

from __future__ import annotations

import re
from collections.abc import Iterator

import botocore.session  # type: ignore[import-untyped]  # it ships no types
import pytest
from fastapi.routing import APIRoute

from gateway.access import operations
from gateway.access.operations import Asked
from gateway.control import V1, create_control_app
from gateway.services import Services
from samovar.access.roles import GRANTS, AccessKey, Role

MODEL = botocore.session.get_session().get_service_model("lambda")


def asked(method: str, path: str, query: bytes = b"", **headers: str) -> Asked:
    given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return operations.of(method, path, given, query)


@pytest.mark.parametrize("name", MODEL.operation_names)
def test_every_operation_of_the_api_is_found_by_its_path(name: str) -> None:
    stated = MODEL.operation_model(name).http
    path, _, query = stated["requestUri"].partition("?")
    found = asked(stated["method"], re.sub(r"\{\w+\+?\}", "x", path), query.encode())
    assert found.operation.name == name
    reads = name.startswith(("Get", "List"))
    needed = "invoke" if name.startswith("Invoke") else "read" if reads else "deploy"
    assert (found.operation.service, found.operation.needs) == ("lambda", needed)
    assert (stated["method"] == "GET") == reads
    if "{FunctionName}" in path:
        assert found.function == "x"


def routes_of(services: Services) -> Iterator[tuple[str, str]]:
    """Method and path of each; routers know their paths without what they were included under."""
    for included in create_control_app(services).routes:
        for route in included.original_router.routes if hasattr(included, "original_router") else ():
            assert isinstance(route, APIRoute)
            for method in route.methods or ():
                is_aws = re.match(r"/20\d\d-", route.path) or route.name.startswith("scheduler:")
                yield method, route.path if is_aws else f"{V1}{route.path}"


@pytest.mark.parametrize(
    ("method", "path", "name", "needed"),
    [
        ("POST", "/schedules/nightly", "CreateSchedule", "deploy"),
        ("GET", "/schedules/nightly", "GetSchedule", "read"),
        ("GET", "/schedules", "ListSchedules", "read"),
        ("DELETE", "/schedule-groups/reports", "DeleteScheduleGroup", "deploy"),
    ],
)
def test_schedules_are_another_service(method: str, path: str, name: str, needed: str) -> None:
    found = asked(method, path).operation
    assert (found.service, found.name, found.needs) == ("scheduler", name, needed)


@pytest.mark.component("valkey")
def test_every_route_of_the_gateway_is_an_operation_that_is_known(services: Services) -> None:
    routes = list(routes_of(services))
    assert len(routes) > 30
    for method, path in routes:
        found = asked(method, re.sub(r"\{\w+(:path)?\}", "x", path), b"find=LayerVersion").operation
        assert (method, path) in operations.OPEN or " " not in found.name, f"{method} {path}"


@pytest.mark.parametrize(
    ("target", "service", "needed"),
    [
        ("Logs_20140328.FilterLogEvents", "logs", "read"),
        ("Logs_20140328.StartLiveTail", "logs", "read"),
        ("Logs_20140328.DeleteLogGroup", "logs", "deploy"),
        ("Logs_20140328.PutRetentionPolicy", "logs", "deploy"),
    ],
)
def test_operations_named_by_a_header(target: str, service: str, needed: str) -> None:
    found = asked("POST", "/", x_amz_target=target).operation
    assert (found.service, found.name, found.needs) == (service, target.partition(".")[2], needed)
    assert found.protocol == "json"


def test_what_is_found_nowhere_needs_the_most() -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        assert asked(method, "/samovar/v1/nothing").operation.needs == "admin"


@pytest.mark.parametrize(
    ("method", "path", "headers", "needed"),
    [
        ("POST", "/samovar/v1/keys//", {}, "admin"),
        ("POST", "/samovar/v1/keys/", {}, "admin"),
        ("POST", "/2015-03-31/functions", {"x_amz_target": "Logs_20140328.GetLogEvents"}, "deploy"),
        ("POST", "/samovar/v1/keys", {"x_amz_target": "Logs_20140328.GetLogEvents"}, "admin"),
        ("POST", "/samovar/v1/keys", {"content_type": "application/x-www-form-urlencoded"}, "admin"),
        ("DELETE", "/2017-03-31/tags/arn:aws:x/../../samovar/v1/keys/a", {}, "deploy"),
    ],
)
def test_no_spelling_of_a_request_needs_less(method: str, path: str, headers: dict[str, str], needed: str) -> None:
    assert asked(method, path, b"Action=GetCallerIdentity", **headers).operation.needs == needed


@pytest.mark.parametrize(
    ("role", "can"),
    [("admin", "admin deploy invoke read"), ("deploy", "deploy invoke read"), ("invoke", "invoke"), ("read", "read")],
)
def test_roles(role: Role, can: str) -> None:
    key = AccessKey(key_id="AKIA", name="ada", role=role)
    assert {needed for needed in GRANTS if key.may(needed)} == set(can.split())


def test_a_key_may_be_limited_to_functions() -> None:
    key = AccessKey(key_id="AKIA", name="ada", role="invoke", functions=("orders",))
    assert key.may_invoke("orders")
    assert not key.may_invoke("others")
    assert key.arn("123456789012") == "arn:aws:iam::123456789012:user/ada"
