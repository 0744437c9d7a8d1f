"""From a request to the event of a route, in the format the route has. No I/O happens here.

API Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP APIs" (formats 2.0 and 1.0) and "Input
format of a Lambda function for proxy integration" (REST APIs).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from gateway.apis.table import Found
from gateway.http.event import HttpCall, event_of
from samovar.stack import DEFAULT


def of_route(call: HttpCall, found: Found, account: str) -> dict[str, Any]:
    """The event a function gets."""
    event = event_of(call)
    if found.route.payload == "2.0":
        return _format_2(event, found, account)
    return _format_1(event, call, found, account)


def _format_2(event: dict[str, Any], found: Found, account: str) -> dict[str, Any]:
    route = found.route
    key = DEFAULT if route.path == DEFAULT else f"{route.method} {route.path}"
    event["routeKey"] = key
    if found.parameters:
        event["pathParameters"] = found.parameters
    event["requestContext"] |= {"accountId": account, "routeKey": key, "stage": route.stage}
    return event


def _format_1(event: dict[str, Any], call: HttpCall, found: Found, account: str) -> dict[str, Any]:
    route, context = found.route, event["requestContext"]
    http = context["http"]
    pairs = parse_qsl(event["rawQueryString"], keep_blank_values=True)
    headers = _headers(call, event["headers"], cased=route.payload == "rest")
    versioned = {} if route.payload == "rest" else {"version": "1.0"}
    prefix = "" if route.stage == DEFAULT else f"/{route.stage}"
    return {
        **versioned,
        "resource": route.path,
        "path": event["rawPath"],
        "httpMethod": http["method"],
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": dict(pairs) or None,
        "multiValueQueryStringParameters": _gathered(pairs) or None,
        "pathParameters": found.parameters or None,
        "stageVariables": None,
        "requestContext": {
            "accountId": account,
            "apiId": context["apiId"],
            "domainName": context["domainName"],
            "domainPrefix": context["domainPrefix"],
            "extendedRequestId": context["requestId"],
            "httpMethod": http["method"],
            "identity": {"sourceIp": http["sourceIp"], "userAgent": http["userAgent"], "user": None},
            "path": prefix + event["rawPath"],
            "protocol": http["protocol"],
            "requestId": context["requestId"],
            "requestTime": context["time"],
            "requestTimeEpoch": context["timeEpoch"],
            "resourceId": route.path if route.payload == "1.0" else route.path.strip("/") or "/",
            "resourcePath": route.path,
            "stage": route.stage,
        },
        "body": event.get("body"),
        "isBase64Encoded": event["isBase64Encoded"],
    }


def _headers(call: HttpCall, joined: dict[str, str], *, cased: bool) -> dict[str, list[str]]:
    """Each header with all its values. REST APIs write names as browsers do; the server has made them lower-case."""
    repeated = _gathered([(name.decode("latin-1"), value.decode("latin-1")) for name, value in call.scope["headers"]])
    found = {
        name: repeated.get(name, [value]) if name != "x-forwarded-for" else [value] for name, value in joined.items()
    }
    return {name.title(): values for name, values in found.items()} if cased else found


def _gathered(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found
