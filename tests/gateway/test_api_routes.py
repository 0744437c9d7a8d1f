"""Routes below `/api/`: which function takes a request, what it gets, and what becomes of its answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.apis.table import ApiTable
from gateway.functions.record import FunctionRecord
from samovar.cors import Cors
from samovar.errors import InvalidParameterValue
from samovar.invocation import AnswerHead, Outcome
from samovar.stack import Payload, Route
from tests.gateway.fake_invoker import answering
from tests.gateway.functions import REGION, gateway, record


def route(path: str, method: Any = "ANY", payload: Payload = "2.0", **more: Any) -> Route:
    return Route(api="tea", method=method, path=path, payload=payload, **more)


def with_routes(*routes: Route, name: str = "orders") -> FunctionRecord:
    return msgspec.structs.replace(record(name), routes=routes)


def table(*paths: str) -> ApiTable:
    """A table whose routes are written `METHOD /path`."""
    made = ApiTable()
    made.follows(with_routes(*(route(path, method) for method, path in (text.split() for text in paths))))
    return made


@pytest.mark.parametrize(
    ("method", "path", "expected", "parameters"),
    [
        ("GET", "/", "GET /", {}),
        ("GET", "", "GET /", {}),
        ("GET", "/pots", "GET /pots", {}),
        ("GET", "/pots/", "GET /pots", {}),
        ("POST", "/pots", "ANY /pots", {}),
        ("GET", "/pots/7", "GET /pots/{id}", {"id": "7"}),
        ("GET", "/pots/a%20b", "GET /pots/{id}", {"id": "a b"}),
        ("GET", "/pots/a%2Fb", "GET /pots/{id}", {"id": "a/b"}),
        ("GET", "/pots/new", "GET /pots/new", {}),
        ("GET", "/pots/7/cups/3", "GET /pots/{id}/{rest+}", {"id": "7", "rest": "cups/3"}),
        ("DELETE", "/pots/7", "ANY $default", {}),
        ("GET", "/other", "ANY $default", {}),
    ],
)
def test_the_route_that_says_most_wins(method: str, path: str, expected: str, parameters: dict[str, str]) -> None:
    routes = table(
        "ANY $default", "GET /pots/{id}/{rest+}", "GET /pots/{id}", "GET /pots/new", "GET /pots", "ANY /pots", "GET /"
    )
    found = routes.find(REGION, "tea", method, path)
    assert found is not None
    assert (f"{found.route.method} {found.route.path}", found.parameters) == (expected, parameters)


def test_what_no_route_takes_is_nobodys() -> None:
    routes = table("GET /pots")
    assert routes.find(REGION, "tea", "POST", "/pots") is None
    assert routes.find(REGION, "tea", "GET", "/pots/7") is None
    assert routes.find(REGION, "coffee", "GET", "/pots") is None
    assert routes.find("eu-central-1", "tea", "GET", "/pots") is None


def test_routes_follow_their_function() -> None:
    routes = table("GET /pots")
    assert routes.find(REGION, "tea", "GET", "/cups") is None
    routes.follows(with_routes(route("/cups")))
    assert routes.find(REGION, "tea", "GET", "/pots") is None
    assert routes.find(REGION, "tea", "GET", "/cups") is not None
    routes.drop(record().arn)
    assert routes.find(REGION, "tea", "GET", "/cups") is None


@pytest.mark.parametrize("path", ["pots", "/a{b}", "/{a+}/b", "/{}", "/{a", "/}"])
def test_paths_that_mean_nothing_are_refused(path: str) -> None:
    with pytest.raises(InvalidParameterValue, match="is not allowed"):
        route(path)


@pytest.mark.parametrize("warm", [True, False])
async def test_an_http_api_hands_over_format_2(tmp_path: Path, warm: bool) -> None:
    async with gateway(tmp_path, with_routes(route("/pots/{id}", "GET")), warm=warm) as served:
        event = (await served.client.get("/api/tea/pots/a%20b?x=1&x=2")).json()
    assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "GET /pots/{id}", "/pots/a%20b")
    assert event["pathParameters"] == {"id": "a b"}
    assert event["queryStringParameters"] == {"x": "1,2"}
    context = event["requestContext"]
    assert (context["accountId"], context["apiId"], context["stage"]) == ("123456789012", "tea", "$default")


async def test_a_rest_api_hands_over_its_own_event(tmp_path: Path) -> None:
    made = with_routes(route("/pots/{proxy+}", "POST", "rest", stage="Prod"))
    async with gateway(tmp_path, made, run=answering(b'{"statusCode": 200}')) as served:
        await served.client.post(
            "/api/tea/pots/a/b?x=1&x=2",
            content=b'{"a": 1}',
            headers=[("content-type", "application/json"), ("x-a", "1"), ("x-a", "2")],
        )
        event = json.loads(served.invoker.calls[0][1])
    assert (event["resource"], event["path"], event["httpMethod"]) == ("/pots/{proxy+}", "/pots/a/b", "POST")
    assert event["pathParameters"] == {"proxy": "a/b"}
    assert (event["queryStringParameters"], event["multiValueQueryStringParameters"]) == ({"x": "2"}, {"x": ["1", "2"]})
    assert (event["headers"]["X-A"], event["multiValueHeaders"]["X-A"]) == ("2", ["1", "2"])
    assert (event["body"], event["isBase64Encoded"], event["stageVariables"]) == ('{"a": 1}', False, None)
    context = event["requestContext"]
    assert (context["stage"], context["path"], context["resourcePath"]) == ("Prod", "/Prod/pots/a/b", "/pots/{proxy+}")
    assert "version" not in event


@pytest.mark.parametrize(
    ("payload", "result", "status", "body"),
    [
        ("2.0", b'{"a": 1}', 200, b'{"a":1}'),
        ("2.0", b'{"statusCode": 201, "body": "x"}', 201, b"x"),
        ("2.0", b'{"statusCode": "no"}', 500, b'{"message":"Internal Server Error"}'),
        ("rest", b'{"statusCode": 201, "body": "x"}', 201, b"x"),
        ("rest", b'{"a": 1}', 502, b'{"message": "Internal server error"}'),
        ("rest", b'"text"', 502, b'{"message": "Internal server error"}'),
        ("1.0", b'{"a": 1}', 500, b'{"message":"Internal Server Error"}'),
    ],
)
async def test_answers_are_made_by_the_rules_of_the_api(
    tmp_path: Path, payload: Payload, result: bytes, status: int, body: bytes
) -> None:
    async with gateway(tmp_path, with_routes(route("/a", payload=payload)), run=answering(result)) as served:
        response = await served.client.get("/api/tea/a")
    assert (response.status_code, response.content) == (status, body)
    assert response.headers["x-amzn-requestid"]


async def test_headers_of_several_values_leave_as_such(tmp_path: Path) -> None:
    result = {"statusCode": 200, "headers": {"x-a": "0"}, "multiValueHeaders": {"X-A": ["1", "2"]}}
    made = with_routes(route("/a", payload="rest"))
    async with gateway(tmp_path, made, run=answering(json.dumps(result).encode())) as served:
        response = await served.client.get("/api/tea/a")
    assert response.headers.get_list("x-a") == ["1", "2"]


@pytest.mark.parametrize(("payload", "status"), [("2.0", 500), ("rest", 502)])
async def test_a_function_that_fails_is_the_apis_error(tmp_path: Path, payload: Payload, status: int) -> None:
    async with gateway(
        tmp_path, with_routes(route("/a", payload=payload)), run=answering(b"{}", AnswerHead(outcome=Outcome.ERROR))
    ) as served:
        assert (await served.client.get("/api/tea/a")).status_code == status


async def test_what_is_no_route_is_not_found(tmp_path: Path) -> None:
    async with gateway(tmp_path, with_routes(route("/a", "GET"))) as served:
        for path in ("/api/tea/b", "/api/coffee/a", "/api/tea", "/api/x%00/"):
            response = await served.client.get(path)
            assert (response.status_code, response.json()) == (404, {"message": "Not Found"}), path
        assert served.invoker.calls == []


RULES = Cors(allow_origins=("https://a.example",), allow_headers=("x-a",), expose_headers=("x-b",), max_age=60)
ASKING = {"origin": "https://a.example", "access-control-request-method": "GET"}


@pytest.mark.parametrize("path", ["/api/tea/a", "/api/tea/nowhere"])
async def test_an_http_api_with_rules_answers_browsers_that_ask_first(tmp_path: Path, path: str) -> None:
    made = with_routes(route("/a", "ANY", cors=RULES))
    async with gateway(tmp_path, made, run=answering(b"{}")) as served:
        asked = await served.client.options(path, headers=ASKING)
        assert served.invoker.calls == []
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == "https://a.example"
    assert (asked.headers["access-control-allow-headers"], asked.headers["access-control-max-age"]) == ("x-a", "60")


async def test_the_rules_of_an_http_api_stand_over_what_functions_answer(tmp_path: Path) -> None:
    result = {"statusCode": 200, "headers": {"access-control-allow-origin": "*", "x-b": "1"}}
    made = with_routes(route("/a", "GET", cors=RULES), route("/fail", "POST", cors=RULES))
    async with gateway(tmp_path, made, run=answering(json.dumps(result).encode())) as served:
        ours = await served.client.get("/api/tea/a", headers={"origin": "https://a.example"})
        theirs = await served.client.get("/api/tea/a", headers={"origin": "https://b.example"})
    assert ours.headers["access-control-allow-origin"] == "https://a.example"
    assert ours.headers["access-control-expose-headers"] == "x-b"
    assert "access-control-allow-origin" not in theirs.headers


async def test_a_rest_api_answers_for_the_methods_of_a_path_and_leaves_answers_alone(tmp_path: Path) -> None:
    result = {"statusCode": 200, "headers": {"access-control-allow-origin": "*"}}
    rules = msgspec.structs.replace(RULES, expose_headers=())
    made = with_routes(route("/a", "GET", "rest", cors=rules), route("/a", "PUT", "rest", cors=rules))
    async with gateway(tmp_path, made, run=answering(json.dumps(result).encode())) as served:
        asked = await served.client.options("/api/tea/a", headers=ASKING)
        elsewhere = await served.client.options("/api/tea/b", headers=ASKING)
        answered = await served.client.get("/api/tea/a", headers={"origin": "https://b.example"})
    assert asked.headers["access-control-allow-methods"] == "GET,PUT,OPTIONS"
    assert elsewhere.status_code == 404
    assert answered.headers["access-control-allow-origin"] == "*"


async def test_without_rules_or_with_a_route_of_its_own_a_function_answers_browsers(tmp_path: Path) -> None:
    made = with_routes(route("/a", "ANY", "rest"), route("/b", "OPTIONS", "rest", cors=RULES))
    async with gateway(tmp_path, made, run=answering(b'{"statusCode": 204}')) as served:
        for path in ("/api/tea/a", "/api/tea/b"):
            assert (await served.client.options(path, headers=ASKING)).status_code == 204
        assert len(served.invoker.calls) == 2
