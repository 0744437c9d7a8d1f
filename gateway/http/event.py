"""From an HTTP request to the event of payload format 2.0, as JSON bytes ready to be sent. No I/O happens here.

Amazon API Gateway developer guide, "Working with AWS Lambda proxy integrations for HTTP APIs", and AWS Lambda
developer guide, "Invoking Lambda function URLs".
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec

_encode = msgspec.json.Encoder().encode
_HOP_BY_HOP = frozenset(
    {"connection", "expect", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Endpoint(NamedTuple):
    """What is the same for every request that reaches a function under one host name."""

    api_id: str
    domain: str
    prefix: str
    """The first label of the domain."""


Iam = Mapping[str, str | None]
"""Who signed a request, as the event tells it."""


class HttpCall(msgspec.Struct, frozen=True):
    """One request, as far as its event depends on it."""

    scope: Mapping[str, Any]
    """The ASGI HTTP scope."""
    path: bytes
    """The path the function sees, percent-encoded as the client sent it."""
    body: bytes
    endpoint: Endpoint
    request_id: str
    trace_id: str
    epoch: float
    caller: Iam | None = None


@lru_cache(maxsize=1024)
def endpoint(api_id: str, host: bytes) -> Endpoint:
    """The endpoint of a function behind a Host header."""
    domain = host.decode("latin-1").lower()
    if not domain.endswith("]"):
        domain = domain.rpartition(":")[0] or domain
    return Endpoint(api_id, domain, domain.partition(".")[0])


def encode_event(call: HttpCall) -> bytes:
    """The event of a request, as JSON."""
    return _encode(event_of(call))


def event_of(call: HttpCall) -> dict[str, Any]:
    """The event of a request."""
    scope = call.scope
    headers, cookies = _headers(scope["headers"])
    client = scope.get("client")
    source_ip = client[0] if client else "127.0.0.1"
    _add_forwarding(headers, scope, source_ip)
    headers["x-amzn-trace-id"] = call.trace_id
    path = call.path.decode("latin-1")
    query: bytes = scope["query_string"]
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query.decode("latin-1"),
    }
    if cookies:
        event["cookies"] = cookies
    event["headers"] = headers
    if query:
        event["queryStringParameters"] = _parameters(query)
    event["requestContext"] = {
        "accountId": "anonymous" if call.caller is None else call.caller["accountId"],
        "apiId": call.endpoint.api_id,
        **({} if call.caller is None else {"authentication": None, "authorizer": {"iam": call.caller}}),
        "domainName": call.endpoint.domain,
        "domainPrefix": call.endpoint.prefix,
        "http": {
            "method": scope["method"],
            "path": path,
            "protocol": "HTTP/" + scope["http_version"],
            "sourceIp": source_ip,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": call.request_id,
        "routeKey": "$default",
        "stage": "$default",
        "time": _time_text(int(call.epoch)),
        "timeEpoch": int(call.epoch * 1000),
    }
    if call.body:
        event["body"], event["isBase64Encoded"] = _body(call.body, headers.get("content-type", ""))
    else:
        event["isBase64Encoded"] = False
    return event


def _headers(raw: list[tuple[bytes, bytes]]) -> tuple[dict[str, str], list[str]]:
    """Lower-case headers with repeats joined by commas, and the cookies one by one."""
    headers: dict[str, str] = {}
    cookies: list[str] = []
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name in _HOP_BY_HOP:
            continue
        if name == "cookie":
            cookies += [part for cookie in value.split(";") if (part := cookie.strip())]
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    if cookies:
        headers["cookie"] = "; ".join(cookies)
    return headers, cookies


def _add_forwarding(headers: dict[str, str], scope: Mapping[str, Any], source_ip: str) -> None:
    before = headers.get("x-forwarded-for")
    headers["x-forwarded-for"] = f"{before}, {source_ip}" if before else source_ip
    server = scope.get("server")
    headers["x-forwarded-port"] = str(server[1]) if server else "80"
    headers["x-forwarded-proto"] = scope["scheme"]


def _parameters(query: bytes) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    return parameters


def _body(body: bytes, content_type: str) -> tuple[str, bool]:
    """The body as text when it is text, else as Base64; with whether it is Base64."""
    text = _decoded(body) if _is_text(content_type) else None
    if text is not None:
        return text, False
    return base64.b64encode(body).decode(), True


def _decoded(body: bytes) -> str | None:
    """The body as text; `None` when it is compressed or in another charset than UTF-8."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


@lru_cache(maxsize=256)
def _is_text(content_type: str) -> bool:
    """Whether AWS hands bodies of this type over as text. Forms are not among them."""
    media = content_type.partition(";")[0].strip().lower()
    return (
        media.startswith("text/")
        or media.endswith(("+json", "+xml"))
        or media in ("application/json", "application/xml", "application/javascript")
    )


@lru_cache(maxsize=4)
def _time_text(second: int) -> str:
    """E.g. `12/Mar/2020:19:03:58 +0000`; months are spelled here because `strftime` follows the locale."""
    now = time.gmtime(second)
    day = f"{now.tm_mday:02d}/{_MONTHS[now.tm_mon - 1]}/{now.tm_year}"
    return f"{day}:{now.tm_hour:02d}:{now.tm_min:02d}:{now.tm_sec:02d} +0000"
