"""What callers get wrong, over real HTTP: a clear error each, and a platform that goes on serving."""

from __future__ import annotations

import contextlib
import io
import socket
import stat
import zipfile
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped] # it has no types

from tests.end_to_end.conftest import SANDBOX
from tests.end_to_end.lab import ROLE, RUNTIME, Function, Lab, lambda_client, package, zipped

pytestmark = [pytest.mark.parametrize("lab", [SANDBOX], indirect=True), pytest.mark.component("boto3")]

LIMIT = 6 * 1024 * 1024
FINE = "def handler(event, context): return 'fine'"
FUNCTION = {
    "FunctionName": "refused",
    "Role": ROLE,
    "Runtime": RUNTIME,
    "Handler": "app.handler",
    "Code": {"ZipFile": package(FINE)},
}


@pytest.fixture
def aws(lab: Lab) -> Any:
    return lambda_client(lab.endpoint)


def refused(call: Callable[..., Any], **parameters: Any) -> tuple[int, str, str]:
    """Status, name and message of the error a boto3 call ends with."""
    with pytest.raises(ClientError) as error:
        call(**parameters)
    answer = error.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


def invoke_path(name: str) -> str:
    return f"/2015-03-31/functions/{name}/invocations"


def test_an_unknown_function(lab: Lab, aws: Any) -> None:
    arn = "arn:aws:lambda:us-east-1:123456789012:function:nobody"
    unknown = (404, "ResourceNotFoundException", f"Function not found: {arn}:$LATEST")
    assert refused(aws.invoke, FunctionName="nobody") == unknown
    for call in (aws.get_function, aws.get_function_configuration, aws.delete_function):
        assert refused(call, FunctionName="nobody") == (404, "ResourceNotFoundException", f"Function not found: {arn}")
    assert refused(aws.update_function_code, FunctionName="nobody", ZipFile=package(FINE))[0] == 404
    by_path = httpx.get(f"{lab.endpoint}/fn/nobody/")
    assert (by_path.status_code, by_path.json()["Message"]) == (404, f"Function not found: {arn}")
    port = urlsplit(lab.endpoint).port
    by_host = httpx.get(lab.endpoint, headers={"host": f"{'x' * 32}.lambda-url.us-east-1.localhost:{port}"})
    assert (by_host.status_code, by_host.json()) == (403, {"Message": None})
    assert by_host.headers["x-amzn-errortype"] == "AccessDeniedException"


@pytest.mark.parametrize("name", ["with.dot", "ümlaut", "a" * 65, "a b", "%2e%2e", "a:b:c:d"])
def test_an_invalid_name(lab: Lab, name: str) -> None:
    with httpx.Client(base_url=lab.endpoint, auth=lab.signing) as http:
        invoked = http.post(invoke_path(name), content=b"{}")
        assert invoked.status_code in (400, 404)
        assert invoked.headers["x-amzn-errortype"] in (
            "ValidationException",
            "InvalidParameterValueException",
            "ResourceNotFoundException",
        )
        created = http.post(
            "/2015-03-31/functions", json={**FUNCTION, "FunctionName": name, "Code": {"ZipFile": "AA=="}}
        )
        assert created.status_code in (400, 404)
        assert created.json()["Type"] == "User"
        assert http.get(f"/fn/{name}/").status_code == 404


@pytest.mark.parametrize("body", [b"{", b"nonsense", b'{"a": 1,}', b"\xff\xfe", b"{} {}", b"[" * 100_000])
def test_an_event_that_is_no_json(lab: Lab, anything: Function, body: bytes) -> None:
    answer = httpx.post(lab.endpoint + invoke_path(anything.name), content=body, auth=lab.signing)
    assert answer.status_code == 400
    assert answer.headers["x-amzn-errortype"] == "InvalidRequestContentException"
    assert answer.json()["Message"].startswith("Could not parse request body into json: ")


def test_a_body_over_the_limit(lab: Lab, anything: Function) -> None:
    long = b'"' + b"x" * (LIMIT - 1) + b'"'
    with httpx.Client(base_url=lab.endpoint, auth=lab.signing) as http:
        for path in (invoke_path(anything.name), f"/fn/{anything.name}/"):
            for content in (long, iter([long[:1000], long[1000:]])):  # with a length, and in chunks
                answer = http.post(path, content=content)
                assert answer.status_code == 413
                assert answer.headers["x-amzn-errortype"] == "RequestTooLargeException"
                assert str(LIMIT) in answer.json()["Message"]
        assert anything.run("result = 1") == 1


@pytest.mark.parametrize(
    ("parameters", "name", "said"),
    [
        ({"MemorySize": 127}, "ValidationException", "greater than or equal to 128"),
        ({"MemorySize": 10_241}, "InvalidParameterValueException", "less than or equal to 10240"),
        ({"MemorySize": -1}, "ValidationException", "'-1' at 'memorySize'"),
        ({"Timeout": 0}, "ValidationException", "greater than or equal to 1"),
        ({"Timeout": 901}, "InvalidParameterValueException", "less than or equal to 900"),
        ({"EphemeralStorage": {"Size": 511}}, "ValidationException", "ephemeralStorage.size"),
        ({"Runtime": "cobol85"}, "InvalidParameterValueException", "Value cobol85 at 'runtime'"),
        ({"Runtime": "python2.7"}, "InvalidParameterValueException", "python2.7 is no longer supported"),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "InvalidParameterValueException", "AWS_REGION"),
        ({"Environment": {"Variables": {"A-B": "x"}}}, "ValidationException", "at 'environment.variables'"),
        ({"Environment": {"Variables": {"LONG": "x" * 5000}}}, "InvalidParameterValueException", "4"),
        ({"Role": "admin"}, "ValidationException", "'role'"),
        ({"Description": "x" * 257}, "ValidationException", "256"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_configuration_out_of_range(aws: Any, parameters: dict[str, Any], name: str, said: str) -> None:
    status, code, message = refused(aws.create_function, **{**FUNCTION, **parameters})
    assert (status, code) == (400, name)
    assert said in message
    assert refused(aws.get_function, FunctionName="refused")[0] == 404


def test_a_function_that_exists(aws: Any, anything: Function) -> None:
    taken = refused(aws.create_function, **{**FUNCTION, "FunctionName": anything.name})
    assert taken == (409, "ResourceConflictException", f"Function already exist: {anything.name}")


def test_a_revision_that_is_not_the_current_one(aws: Any, anything: Function) -> None:
    outdated = refused(aws.update_function_configuration, FunctionName=anything.name, RevisionId="0", Timeout=5)
    assert outdated[:2] == (412, "PreconditionFailedException")


def _zip_with(name: str, content: bytes, mode: int = 0o644) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        entry = zipfile.ZipInfo(name)
        entry.create_system = 3
        entry.external_attr = mode << 16
        archive.writestr(entry, content)
    return packed.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no zip at all",
        package(FINE)[:-30],
        zipped({}),
        _zip_with("../outside.py", b""),
        _zip_with("/etc/outside", b""),
        _zip_with("link", b"/etc/passwd", stat.S_IFLNK | 0o777),
        zipped({"bomb": b"\0" * (260 * 1024 * 1024)}),
    ],
    ids=["nothing", "no zip", "cut short", "empty", "..", "absolute", "link", "bomb"],
)
def test_a_package_that_cannot_be_unpacked(lab: Lab, aws: Any, content: bytes) -> None:
    function = lab.deploy(FINE)
    status, code, message = refused(aws.update_function_code, FunctionName=function.name, ZipFile=content)
    assert status in (400, 413)
    assert code in ("InvalidParameterValueException", "InvalidZipFileException", "CodeStorageExceededException")
    assert message
    assert function.value() == "fine"
    assert not list(lab.platform.data_dir.glob("code/.new-*"))


@pytest.mark.parametrize(
    ("headers", "status", "name"),
    [
        ({"x-amz-invocation-type": "Whenever"}, 400, "ValidationException"),
        ({"x-amz-log-type": "Head"}, 400, "ValidationException"),
        ({"x-amz-client-context": "not base64!"}, 400, "InvalidRequestContentException"),
        ({"x-amz-client-context": "W10="}, 400, "InvalidRequestContentException"),
    ],
)
def test_headers_that_cannot_be(lab: Lab, anything: Function, headers: dict[str, str], status: int, name: str) -> None:
    answer = httpx.post(lab.endpoint + invoke_path(anything.name), content=b"{}", headers=headers, auth=lab.signing)
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (status, name)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"FunctionName": 3}', b'{"Code": "x"}', b'{"MemorySize": "lots"}'])
def test_a_control_request_that_is_not_as_the_model_wants_it(lab: Lab, body: bytes) -> None:
    answer = httpx.post(f"{lab.endpoint}/2015-03-31/functions", content=body, auth=lab.signing)
    assert answer.status_code == 400
    assert answer.headers["x-amzn-errortype"] in ("SerializationException", "InvalidRequestContentException")
    assert answer.json()["Type"] == "User"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 405), ("GET", "/fn/", 404), ("PUT", "/2015-03-31/functions", 405), ("GET", "/samovar/v1/none", 404)],
)
def test_a_path_nobody_serves(lab: Lab, method: str, path: str, status: int) -> None:
    answer = httpx.request(method, lab.endpoint + path, auth=lab.signing)
    assert answer.status_code == status
    assert answer.json()["Type"] == "User"


@pytest.mark.parametrize(
    "raw",
    [
        b"GARBAGE\r\n\r\n",
        b"GET /fn/anything/ HTTP/9.9\r\n\r\n",
        b"GET /fn/anything/ HTTP/1.1\r\nHost: a\r\nBroken header\r\n\r\n",
        b"POST /fn/anything/ HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        b"POST /fn/anything/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST /fn/anything/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /fn/anything/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /fn/anything/ HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    ],
    ids=["garbage", "version", "header", "negative", "two lengths", "chunk", "smuggling", "tls", "huge header"],
)
def test_what_is_no_http(lab: Lab, anything: Function, raw: bytes) -> None:
    metered = len(lab.metered(anything).ids)
    address = urlsplit(lab.endpoint)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
        with contextlib.suppress(OSError):  # the server hung up before it was told everything
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
        assert _read_all(connection).split(b" ")[1:2] in ([b"400"], [b"431"], [b"505"], [])
    assert anything.run("result = 1") == 1
    anything.readings()  # brings what was metered to the store
    assert len(lab.metered(anything).ids) == metered + 1


def _read_all(connection: socket.socket) -> bytes:
    answer = b""
    try:
        while part := connection.recv(65536):
            answer += part
    except ConnectionResetError:
        return answer  # the server would not even read to the end
    return answer


def test_a_bad_command_ends_with_an_error_a_script_can_trust(lab: Lab) -> None:
    unknown = lab.platform.cli("invoke", "nobody", fails_with=2)
    assert "nobody" in unknown.stderr
    bad = lab.platform.cli("invoke", "anything", "--event", "/nonexistent", fails_with=2)
    assert "/nonexistent" in bad.stderr
    failing = lab.deploy("def handler(event, context): raise ValueError('mine')")
    failed = lab.platform.cli("invoke", failing.name, fails_with=1)
    assert failed.stdout == ""
    assert "ValueError: mine" in failed.stderr
