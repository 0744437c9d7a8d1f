"""Who is let in: the whole gateway in front of a real store, asked with signatures of botocore's."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from typing import Any

import botocore.auth  # type: ignore[import-untyped]  # it ships no types
import httpx
import pytest
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]  # as above
from botocore.credentials import Credentials as BotoCredentials  # type: ignore[import-untyped]  # as above
from msgspec.structs import replace

from gateway.app import create_app
from gateway.services import Services
from samovar.access import sigv4
from samovar.access.sigv4 import Credentials
from samovar.clock import ManualClock
from tests.gateway.builders import ROOT, creation

pytestmark = pytest.mark.component("valkey")

BASE = "http://127.0.0.1:9000"
FUNCTIONS = "/2015-03-31/functions"
KEYS = "/samovar/v1/keys"
ACCOUNT = "123456789012"
STRANGER = Credentials("AKIASTRANGERSTRANGER", "x" * 40)


class Caller:
    """Calls the gateway; each request is signed by botocore, as if made by a client of AWS's."""

    def __init__(self, http: httpx.AsyncClient, clock: ManualClock) -> None:
        self._http = http
        self._clock = clock

    async def __call__(self, method: str, path: str, key: Credentials | None = ROOT, **how: Any) -> httpx.Response:
        body: bytes = how.get("body", b"")
        headers = {"host": "127.0.0.1:9000", **how.get("headers", {})}
        if key is not None:
            moment = sigv4.compact(self._clock.epoch() + how.get("skew_s", 0))
            request = AWSRequest(method=method, url=BASE + path, headers=headers, data=body)
            request.context["timestamp"] = moment
            request.headers["X-Amz-Date"] = moment
            signer = botocore.auth.SigV4Auth(
                BotoCredentials(key.key_id, key.secret), how.get("service", "lambda"), "us-east-1"
            )
            text = signer.string_to_sign(request, signer.canonical_request(request))
            signed = signer.signature(text, request)
            names = signer.signed_headers(signer.headers_to_sign(request))
            headers |= {
                "x-amz-date": moment,
                "authorization": f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={names}, "
                f"Signature={signed}",
            }
        sent = how.get("sent", body)
        if callable(sent):
            sent = sent(headers["authorization"].rpartition("=")[2])
        return await self._http.request(method, path, content=sent, headers=headers)

    async def create(self, role: str, *functions: str, **given: str) -> Credentials:
        """A new key."""
        asked = {"role": role, "name": role, "functions": list(functions), **given}
        answer = await self("POST", KEYS, body=httpx.Request("POST", BASE, json=asked).content)
        assert answer.status_code == 200, answer.text
        return Credentials(answer.json()["key"]["key_id"], answer.json()["secret"])


@pytest.fixture
async def call(services: Services, clock: ManualClock) -> AsyncIterator[Caller]:
    """The gateway."""
    transport = httpx.ASGITransport(create_app(services))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as http:
        yield Caller(http, clock)


def fault(answer: httpx.Response) -> tuple[int, str, str]:
    return answer.status_code, answer.headers["x-amzn-errortype"], answer.json()["message"]


UNKNOWN = (403, "UnrecognizedClientException", "The security token included in the request is invalid.")
MISMATCH = (403, "InvalidSignatureException", sigv4.MISMATCH)


@pytest.mark.parametrize("path", [FUNCTIONS, "/samovar/v1/status", "/samovar/v1/keys", "/nothing"])
async def test_nobody_comes_in_without_a_signature(call: Caller, path: str) -> None:
    missing = (403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    assert fault(await call("GET", path, None)) == missing
    assert fault(await call("GET", path, STRANGER)) == UNKNOWN
    assert fault(await call("GET", path, ROOT._replace(secret="guessed"))) == MISMATCH
    assert fault(await call("GET", path, headers={"x-amz-security-token": "session"})) == UNKNOWN
    assert (await call("GET", path)).status_code in (200, 404, 503)


@pytest.mark.parametrize("path", ["/samovar/v1/health", "/samovar/v1/openapi.json"])
async def test_what_tells_nothing_of_anybody_is_open(call: Caller, path: str) -> None:
    assert (await call("GET", path, None)).status_code == 200


async def test_late_early_and_for_another_service(call: Caller, clock: ManualClock) -> None:
    now = clock.epoch()
    late, early = await call("GET", FUNCTIONS, skew_s=-301), await call("GET", FUNCTIONS, skew_s=301)
    assert fault(late)[:2] == fault(early)[:2] == (403, "InvalidSignatureException")
    assert fault(late)[2] == (
        f"Signature expired: {sigv4.compact(now - 301)} is now earlier than {sigv4.compact(now - 300)} "
        f"({sigv4.compact(now)} - 5 min.)"
    )
    assert fault(early)[2].startswith(f"Signature not yet current: {sigv4.compact(now + 301)} is still later than")
    assert fault(await call("GET", FUNCTIONS, service="ec2"))[2] == (
        "Credential should be scoped to correct service: 'lambda'. "
    )


async def test_a_service_that_is_not_offered_is_named(call: Caller) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    topics = await call("POST", "/", body=b"Action=ListTopics&Version=2010-03-31", headers=form, service="sns")
    assert topics.status_code == 404
    assert "<Code>UnknownOperation</Code>" in topics.text
    assert "does not offer AWS's service 'sns'; it has lambda, logs, " in topics.text
    target = {"x-amz-target": "AmazonSSM.GetParameter", "content-type": "application/x-amz-json-1.1"}
    parameter = await call("POST", "/", body=b"{}", headers=target, service="ssm")
    assert (parameter.status_code, parameter.json()["__type"]) == (400, "UnknownOperationException")
    assert "'ssm'" in parameter.json()["message"]


async def test_the_body_is_what_was_signed(call: Caller) -> None:
    body = httpx.Request("POST", BASE, json=creation()).content
    assert fault(await call("POST", FUNCTIONS, body=body, sent=body + b" ")) == MISMATCH
    assert (await call("GET", f"{FUNCTIONS}/hello")).status_code == 404
    assert (await call("POST", FUNCTIONS, body=body)).status_code == 201
    assert (await call("POST", FUNCTIONS, body=body)).status_code == 409  # AWS tells no replay apart, nor do we
    tampered = await call("POST", f"{FUNCTIONS}/hello/invocations", body=b"{}", sent=b"[]")
    assert fault(tampered) == MISMATCH


async def test_a_body_may_be_signed_in_chunks_and_not_left_unsigned(
    call: Caller, services: Services, clock: ManualClock
) -> None:
    body = httpx.Request("POST", BASE, json=creation()).content
    unsigned = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    assert fault(await call("POST", FUNCTIONS, body=body, headers=unsigned)) == MISMATCH
    assert (await call("POST", FUNCTIONS, body=body)).status_code == 201
    trailing = {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
    sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    assert fault(await call("POST", FUNCTIONS, sent=sent, headers=trailing))[:2] == (409, "ResourceConflictException")

    def chunks(last: bytes) -> Callable[[str], bytes]:
        """What is sent after a signature, with two chunks signed after it."""

        def sign(seed: str) -> bytes:
            moment = sigv4.compact(clock.epoch())
            key = sigv4.signing_key(ROOT.secret, moment[:8], "us-east-1", "lambda")
            said, before = b"", seed
            for data in (body, b""):
                text = "\n".join(
                    (
                        "AWS4-HMAC-SHA256-PAYLOAD",
                        moment,
                        f"{moment[:8]}/us-east-1/lambda/aws4_request",
                        before,
                        sigv4.EMPTY_SHA256,
                        hashlib.sha256(data).hexdigest(),
                    )
                )
                before = hmac.digest(key, text.encode(), "sha256").hex()
                said += b"%x;chunk-signature=%s\r\n%s\r\n" % (len(data), before.encode(), data)
            return said.replace(b"app.handler", last)

        return sign

    stated = {"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}
    again = await call("POST", FUNCTIONS, sent=chunks(b"app.handler"), headers=stated)
    assert fault(again)[1] == "ResourceConflictException"
    assert fault(await call("POST", FUNCTIONS, sent=chunks(b"app.another"), headers=stated)) == MISMATCH


async def test_each_role_may_do_its_own(call: Caller) -> None:
    body = httpx.Request("POST", BASE, json=creation()).content
    assert (await call("POST", FUNCTIONS, body=body)).status_code == 201
    keys = {role: await call.create(role) for role in ("admin", "deploy", "invoke", "read")}
    asks: dict[str, tuple[str, str, bytes]] = {
        "admin": ("GET", KEYS, b""),
        "deploy": ("PUT", f"{FUNCTIONS}/hello/configuration", b'{"Timeout": 5}'),
        "invoke": ("POST", f"{FUNCTIONS}/hello/invocations", b"{}"),
        "read": ("GET", FUNCTIONS, b""),
    }
    allowed = {
        (role, needed)
        for role, key in keys.items()
        for needed, (method, path, sent) in asks.items()
        if (await call(method, path, key, body=sent)).headers.get("x-amzn-errortype") != "AccessDeniedException"
    }
    admin = {("admin", needed) for needed in asks}
    deploy = {("deploy", "deploy"), ("deploy", "invoke"), ("deploy", "read")}
    assert allowed == admin | deploy | {("invoke", "invoke"), ("read", "read")}
    arn = f"arn:aws:iam::{ACCOUNT}:user/read"
    function = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:hello"
    assert fault(await call("DELETE", f"{FUNCTIONS}/hello", keys["read"])) == (
        403,
        "AccessDeniedException",
        f"User: {arn} is not authorized to perform: lambda:DeleteFunction on resource: {function} because no "
        "identity-based policy allows the lambda:DeleteFunction action",
    )


async def test_a_key_for_one_function_invokes_no_other(call: Caller) -> None:
    key = await call.create("invoke", "orders")
    orders = await call("POST", f"{FUNCTIONS}/orders/invocations", key, body=b"{}")
    assert orders.headers["x-amzn-errortype"] == "ResourceNotFoundException"  # it came as far as the look-up
    for other in ("others", f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:others", "123456789012:others"):
        refused = await call("POST", f"{FUNCTIONS}/{other}/invocations", key, body=b"{}")
        assert fault(refused)[1] == "AccessDeniedException", refused.text
        assert "lambda:InvokeFunction on resource: arn:aws:lambda:us-east-1:" in fault(refused)[2]


async def test_keys_are_imported_listed_and_revoked(call: Caller) -> None:
    key = await call.create("read", key_id="test", secret="test")
    assert key == Credentials("test", "test")
    assert (await call("GET", FUNCTIONS, key)).status_code == 200
    listed = (await call("GET", KEYS)).json()
    assert [(one["key_id"], one["role"], one["root"]) for one in listed] == [
        (ROOT.key_id, "admin", True),
        ("test", "read", False),
    ]
    assert "secret" not in (await call("GET", KEYS)).text
    assert (await call("DELETE", f"{KEYS}/test")).status_code == 204
    assert fault(await call("GET", FUNCTIONS, key)) == UNKNOWN
    assert fault(await call("DELETE", f"{KEYS}/test"))[0] == 404


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"role": "king"},
        {"role": "read", "functions": ["orders"]},
        {"role": "invoke", "functions": ["not a name"]},
        {"role": "read", "key_id": "AKIAONLYTHEIDOFAKEY1"},
        {"role": "read", "key_id": "a b", "secret": "secret"},
        {"role": "read", "key_id": "test", "secret": "white space"},
    ],
)
async def test_keys_that_cannot_be(call: Caller, asked: dict[str, Any]) -> None:
    answer = await call("POST", KEYS, body=httpx.Request("POST", BASE, json=asked).content)
    assert answer.status_code == 400
    assert "white space" not in answer.text


async def test_the_callers_identity(call: Caller) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    answer = await call("POST", "/", body=body, headers=form, service="sts")
    assert f"<Arn>arn:aws:iam::{ACCOUNT}:root</Arn>" in answer.text
    reader = await call.create("read")
    assert ":user/read</Arn>" in (await call("POST", "/", reader, body=body, headers=form, service="sts")).text
    for key, code in ((None, "MissingAuthenticationToken"), (STRANGER, "InvalidClientTokenId")):
        refused = await call("POST", "/", key, body=body, headers=form, service="sts")
        assert refused.status_code == 403
        assert f"<Code>{code}</Code>" in refused.text
    other = await call("POST", "/", body=b"Action=AssumeRole", headers=form, service="sts")
    assert "<Code>InvalidAction</Code>" in other.text


async def test_refusals_of_json_services_have_their_form(call: Caller) -> None:
    target = {"x-amz-target": "Logs_20140328.DescribeLogGroups"}
    refused = await call("POST", "/", None, headers=target)
    assert (refused.status_code, refused.json()["__type"]) == (400, "MissingAuthenticationTokenException")
    reader = await call.create("invoke")
    denied = await call("POST", "/", reader, headers=target, service="logs")
    assert (denied.status_code, denied.json()["__type"]) == (400, "AccessDeniedException")


async def test_where_nobody_needs_a_key_everybody_is_root(services: Services) -> None:
    opened = dataclasses.replace(services, settings=replace(services.settings, auth="none"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(opened)), base_url=BASE) as http:
        assert (await http.get(FUNCTIONS)).status_code == 200


async def test_a_link_to_code_needs_no_key(call: Caller) -> None:
    body = httpx.Request("POST", BASE, json=creation()).content
    await call("POST", FUNCTIONS, body=body)
    link = (await call("GET", f"{FUNCTIONS}/hello")).json()["Code"]["Location"]
    assert (await call("GET", link.removeprefix(BASE), None)).status_code == 200
    assert fault(await call("GET", link.removeprefix(BASE).replace("code/", "code/0"), None)) == MISMATCH
