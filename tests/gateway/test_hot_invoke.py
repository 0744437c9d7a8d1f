"""Invoke on the warm path: the Lambda API's rules for one synchronous call."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from gateway import lineage
from samovar.invocation import AnswerHead, Outcome
from tests.gateway.fake_invoker import answering
from tests.gateway.functions import gateway

ARN = "arn:aws:lambda:us-east-1:123456789012:function"
INVOKE = "/2015-03-31/functions/orders/invocations"


@pytest.mark.parametrize("event", [b'{"a":1}', b"[1]", b'"text"', b"3", b"1.5", b"true", b"null", '"ü"'.encode()])
async def test_any_json_is_an_event_and_the_result_comes_back_as_it_is(tmp_path: Path, event: bytes) -> None:
    async with gateway(tmp_path) as served:
        response = await served.client.post(INVOKE, content=event)
    assert (response.status_code, response.content) == (200, event)
    assert response.headers["x-amz-executed-version"] == "$LATEST"
    assert response.headers["content-type"] == "application/json"
    assert "x-amz-function-error" not in response.headers
    head, body = served.invoker.calls[0]
    assert (head.request_id, head.trigger) == (response.headers["x-amzn-requestid"], "invoke")
    assert body == event


async def test_no_payload_is_an_empty_object(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        assert (await served.client.post(INVOKE)).content == b"{}"


@pytest.mark.parametrize("payload", [b"{", b"{'a': 1}", b"[1,]", b"NaN", b'"\xff"', b"{} {}", b"[" * 60_000])
async def test_what_is_no_json_is_refused(tmp_path: Path, payload: bytes) -> None:
    async with gateway(tmp_path) as served:
        response = await served.client.post(INVOKE, content=payload)
    assert response.status_code == 400
    assert response.headers["x-amzn-errortype"] == "InvalidRequestContentException"
    assert response.json()["Message"].startswith("Could not parse request body into json: ")
    assert served.invoker.calls == []


@pytest.mark.parametrize(
    ("kind", "payload", "status", "error"),
    [
        ("text/plain;charset=UTF-8", b"{}", 200, None),  # what `fetch` says of any text
        ("application/x-www-form-urlencoded", b"{}", 200, None),  # what curl says of any body
        ("application/xml", b"<tea/>", 415, "UnsupportedMediaTypeException"),
        ("application/x-www-form-urlencoded", b"a=1", 415, "UnsupportedMediaTypeException"),
        ("application/octet-stream", b"tea", 400, "InvalidRequestContentException"),
        ("application/json; charset=utf-8", b"tea", 400, "InvalidRequestContentException"),
    ],
)
async def test_the_content_type_matters_to_what_is_no_json(
    tmp_path: Path, kind: str, payload: bytes, status: int, error: str | None
) -> None:
    async with gateway(tmp_path) as served:
        response = await served.client.post(INVOKE, content=payload, headers={"content-type": kind})
    assert (response.status_code, response.headers.get("x-amzn-errortype")) == (status, error)


async def test_a_function_error_is_a_success_of_the_platform(tmp_path: Path) -> None:
    head = AnswerHead(outcome=Outcome.TIMEOUT, version="$LATEST", log_tail="bG9n")
    async with gateway(tmp_path, run=answering(b'{"errorType":"Sandbox.Timedout"}', head)) as served:
        response = await served.client.post(INVOKE, headers={"x-amz-log-type": "Tail"})
    assert response.status_code == 200
    assert response.headers["x-amz-function-error"] == "Unhandled"
    assert response.headers["x-amz-log-result"] == "bG9n"
    assert served.invoker.calls[0][0].tail is True


@pytest.mark.parametrize(
    "name",
    [
        "orders:$LATEST",
        f"{ARN}:orders",
        f"{ARN}:orders:%24LATEST",
        "123456789012:function:orders",
        f"{ARN}:orders".replace(":", "%3A"),
    ],
)
async def test_every_form_of_a_function_name(tmp_path: Path, name: str) -> None:
    async with gateway(tmp_path) as served:
        response = await served.client.post(f"/2015-03-31/functions/{name}/invocations")
    assert response.status_code == 200
    assert len(served.invoker.calls) == 1


async def test_the_qualifier_may_be_a_parameter(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        assert (await served.client.post(INVOKE, params={"Qualifier": "$LATEST"})).status_code == 200
        assert (await served.client.post(INVOKE, params={"Qualifier": "live"})).status_code == 404


async def test_a_qualifier_that_cannot_be_is_told_in_awss_words(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        response = await served.client.post(INVOKE, params={"Qualifier": "no such"})
    assert (response.status_code, response.headers["x-amzn-errortype"]) == (400, "ValidationException")
    assert response.json()["Message"].startswith(
        "1 validation error detected: Value 'no such' at 'qualifier' failed to satisfy constraint: Member must satisfy"
    )


async def test_functions_of_other_regions_and_accounts_cannot_be_reached(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        other = await served.client.post("/2015-03-31/functions/999999999999:function:orders/invocations")
        far = await served.client.post(f"/2015-03-31/functions/{ARN.replace('us-east', 'eu-west')}:orders/invocations")
        signed = {
            "Authorization": "AWS4-HMAC-SHA256 Credential=KEY/20261123/eu-west-1/lambda/aws4_request, Signature=0"
        }
        there = await served.client.post(INVOKE, headers=signed)
    assert (other.status_code, other.headers["x-amzn-errortype"]) == (403, "AccessDeniedException")
    assert (far.status_code, far.json()["Message"]) == (
        404,
        "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
    )
    assert there.json()["Message"] == f"Function not found: {ARN.replace('us-east', 'eu-west')}:orders:$LATEST"


@pytest.mark.parametrize(
    ("name", "arn"),
    [
        ("nobody", f"{ARN}:nobody:$LATEST"),
        ("orders:live", f"{ARN}:orders:live"),
        (f"{ARN}:orders:7", f"{ARN}:orders:7"),
    ],
)
async def test_unknown_functions_and_qualifiers_are_named_in_full(tmp_path: Path, name: str, arn: str) -> None:
    async with gateway(tmp_path) as served:
        response = await served.client.post(f"/2015-03-31/functions/{name}/invocations")
    assert response.status_code == 404
    assert response.headers["x-amzn-errortype"] == "ResourceNotFoundException"
    assert response.json()["Message"] == f"Function not found: {arn}"


@pytest.mark.parametrize(
    ("path", "headers", "error", "message"),
    [
        ("/2015-03-31/functions/bad%20name/invocations", {}, "ValidationException", "'functionName'"),
        (INVOKE, {"x-amz-invocation-type": "Later"}, "ValidationException", "'invocationType'"),
        (INVOKE, {"x-amz-log-type": "Head"}, "ValidationException", "'logType'"),
        (INVOKE, {"x-amz-client-context": "a" * 3584}, "InvalidRequestContentException", "3583 bytes"),
        (INVOKE, {"x-amz-client-context": "!"}, "InvalidRequestContentException", "Base64"),
        (INVOKE, {"x-amz-client-context": "W10="}, "InvalidRequestContentException", "JSON object"),
        (
            "/2015-03-31/functions/orders:a/invocations?Qualifier=b",
            {},
            "InvalidParameterValueException",
            "does not match",
        ),
    ],
)
async def test_bad_parameters(tmp_path: Path, path: str, headers: dict[str, str], error: str, message: str) -> None:
    async with gateway(tmp_path) as served:
        response = await served.client.post(path, headers=headers)
    assert response.status_code == 400
    assert response.headers["x-amzn-errortype"] == error
    assert message in response.json()["Message"]
    assert response.headers["x-amzn-requestid"]
    assert served.invoker.calls == []


async def test_a_dry_run_runs_nothing(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        response = await served.client.post(INVOKE, headers={"x-amz-invocation-type": "DryRun"})
    assert (response.status_code, response.content) == (204, b"")
    assert "x-amz-executed-version" not in response.headers
    assert served.invoker.calls == []


async def test_client_context_and_trace_travel_with_the_call(tmp_path: Path) -> None:
    context = base64.b64encode(b'{"custom":{"a":"b"}}').decode()
    headers = {"x-amz-client-context": context, "x-amzn-trace-id": "Root=1-2-3"}
    async with gateway(tmp_path) as served:
        await served.client.post(INVOKE, headers=headers)
    head, _ = served.invoker.calls[0]
    assert (head.client_context, lineage.root(head.trace_id or "")) == (context, "Root=1-2-3")


async def test_a_chain_of_calls_is_counted_and_cut(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        trace, answers = None, []
        for _ in range(17):
            headers: dict[str, str] = {} if trace is None else {"x-amzn-trace-id": trace}
            answers.append(await served.client.post(INVOKE, headers=headers))
            trace = served.invoker.calls[-1][0].trace_id
    assert [answer.status_code for answer in answers] == [200] * 16 + [400]
    assert answers[-1].headers["x-amzn-errortype"] == "RecursiveInvocationException"
    assert len(served.invoker.calls) == 16


async def test_get_on_the_invoke_path_is_left_to_control(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        assert (await served.client.get(INVOKE)).text == "control"


async def test_over_the_links_bound_calls_are_throttled(tmp_path: Path) -> None:
    async with gateway(tmp_path, calls=0) as served:
        response = await served.client.post(INVOKE)
    assert response.status_code == 429
    assert response.json()["Reason"] == "ConcurrentInvocationLimitExceeded"
    assert response.headers["retry-after"] == "1"
