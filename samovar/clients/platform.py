"""The HTTP client of the platform: AWS Lambda's REST API, and `/samovar/v1/` where Lambda has no word.

Answers become the frozen records of `samovar.answers`, errors the classes of `samovar.errors`. Every call
has a deadline. Paths and member names: AWS Lambda API reference.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from samovar.access.roles import AccessKey, NewKey, Role
from samovar.access.sigv4 import Credentials, Signed, sign
from samovar.answers import (
    Answered,
    Configuration,
    Function,
    LogRecord,
    Page,
    Provisioned,
    SourceMapping,
    SourceMappings,
    Status,
    UrlConfig,
    Usage,
)
from samovar.clients.connection import ANSWER_TIMEOUT_S, CONNECT_TIMEOUT_S, Connected
from samovar.errors import ServiceFailure, by_aws_name
from samovar.explanation import Explanation
from samovar.function import MAX_TIMEOUT_S
from samovar.invocation import Reading
from samovar.link.operations import EnvironmentView, InvokerStatus
from samovar.provisioning import Provision
from samovar.upload_triggers import UploadTriggers

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Told how many bytes of how many have been sent."""

START_MARGIN_S = 60.0
"""What an invocation may take beyond the function's own timeout: waiting for an environment, and its start."""
_CHUNK = 256 * 1024
_MAPPINGS = "/2015-03-31/event-source-mappings/"
_SIGNED_BESIDE = (b"x-amz-", b"content-type")
"""The headers that are signed beside the host; others may be changed on the way."""


class Client(Connected):
    """One platform. Use it as a context manager, so that its connections are closed."""

    @property
    def key(self) -> Credentials | None:
        """What requests are signed with; `None` when they are not."""
        return self._key

    # Functions

    def create_function(self, parameters: Mapping[str, Any], code: bytes, progress: Progress | None = None) -> Function:
        """CreateFunction. `parameters` are the request's members without `Code`."""
        body = {**parameters, "Code": {"ZipFile": base64.b64encode(code).decode()}}
        answer = self._send("POST", "/2015-03-31/functions", body, progress=progress)
        return Function(configuration=_decode(answer, Configuration))

    def get_function(self, name: str) -> Function:
        """GetFunction: configuration, tags, reserved concurrency. Raises `ResourceNotFound`."""
        return _decode(self._send("GET", f"/2015-03-31/functions/{_segment(name)}"), Function)

    def get_configuration(self, name: str) -> Configuration:
        """GetFunctionConfiguration. Raises `ResourceNotFound`."""
        return _decode(self._send("GET", f"/2015-03-31/functions/{_segment(name)}/configuration"), Configuration)

    def list_functions(self) -> Iterator[Configuration]:
        """ListFunctions, page after page."""
        query: dict[str, str] = {}
        while True:
            page = _decode(self._send("GET", "/2015-03-31/functions/", query=query), Page)
            yield from page.functions
            if not page.next_marker:
                return
            query = {"Marker": page.next_marker}

    def update_code(self, name: str, code: bytes, progress: Progress | None = None) -> Configuration:
        """UpdateFunctionCode with a new package."""
        body = {"ZipFile": base64.b64encode(code).decode()}
        path = f"/2015-03-31/functions/{_segment(name)}/code"
        return _decode(self._send("PUT", path, body, progress=progress), Configuration)

    def update_configuration(self, name: str, parameters: Mapping[str, Any]) -> Configuration:
        """UpdateFunctionConfiguration."""
        path = f"/2015-03-31/functions/{_segment(name)}/configuration"
        return _decode(self._send("PUT", path, parameters), Configuration)

    def publish_version(self, name: str) -> Configuration:
        """PublishVersion: the new version, or the last one if nothing has changed since."""
        return _decode(self._send("POST", f"/2015-03-31/functions/{_segment(name)}/versions", {}), Configuration)

    def delete_function(self, name: str) -> None:
        """DeleteFunction. Raises `ResourceNotFound`."""
        self._send("DELETE", f"/2015-03-31/functions/{_segment(name)}")

    def put_concurrency(self, name: str, reserved: int) -> None:
        """PutFunctionConcurrency."""
        path = f"/2017-10-31/functions/{_segment(name)}/concurrency"
        self._send("PUT", path, {"ReservedConcurrentExecutions": reserved})

    def delete_concurrency(self, name: str) -> None:
        """DeleteFunctionConcurrency."""
        self._send("DELETE", f"/2017-10-31/functions/{_segment(name)}/concurrency")

    def get_provisioned(self, name: str) -> Provisioned:
        """The environments a function keeps ready. Raises `ResourceNotFound`."""
        return _decode(self._send("GET", f"/samovar/v1/functions/{_segment(name)}/provisioned"), Provisioned)

    def put_provisioned(self, name: str, provisions: Sequence[Provision]) -> Provisioned:
        """Replace what a function is to keep ready; with nothing, it keeps nothing."""
        body = {"provisions": msgspec.to_builtins(provisions)}
        return _decode(self._send("PUT", f"/samovar/v1/functions/{_segment(name)}/provisioned", body), Provisioned)

    def uploads(self, name: str, wanted: UploadTriggers | None = None) -> UploadTriggers:
        """The uploads a deployment of a function asked for; with `wanted`, these instead."""
        method, body = ("GET", None) if wanted is None else ("PUT", msgspec.to_builtins(wanted))
        return _decode(self._send(method, f"/samovar/v1/functions/{_segment(name)}/uploads", body), UploadTriggers)

    def tag(self, arn: str, tags: Mapping[str, str]) -> None:
        """TagResource."""
        self._send("POST", f"/2017-03-31/tags/{_segment(arn)}", {"Tags": tags})

    def untag(self, arn: str, names: list[str]) -> None:
        """UntagResource."""
        self._send("DELETE", f"/2017-03-31/tags/{_segment(arn)}", query={"tagKeys": names})

    def tags(self, arn: str) -> dict[str, str]:
        """ListTags."""
        found = _decode(self._send("GET", f"/2017-03-31/tags/{_segment(arn)}"), dict[str, dict[str, str]])
        return found["Tags"]

    def list_mappings(self, function: str | None = None) -> Iterator[SourceMapping]:
        """Every event source mapping, of one function or of all: ListEventSourceMappings."""
        query = {} if function is None else {"FunctionName": function}
        while True:
            page = _decode(self._send("GET", _MAPPINGS, query=query), SourceMappings)
            yield from page.event_source_mappings
            if not page.next_marker:
                return
            query = {**query, "Marker": page.next_marker}

    def create_mapping(self, parameters: Mapping[str, Any]) -> SourceMapping:
        """CreateEventSourceMapping."""
        return _decode(self._send("POST", _MAPPINGS, parameters), SourceMapping)

    def update_mapping(self, uuid: str, parameters: Mapping[str, Any]) -> SourceMapping:
        """UpdateEventSourceMapping. Raises `ResourceConflict` while another change is under way."""
        return _decode(self._send("PUT", f"{_MAPPINGS}{_segment(uuid)}", parameters), SourceMapping)

    def delete_mapping(self, uuid: str) -> None:
        """DeleteEventSourceMapping."""
        self._send("DELETE", f"{_MAPPINGS}{_segment(uuid)}")

    def create_url(self, name: str) -> UrlConfig:
        """CreateFunctionUrlConfig with AuthType NONE."""
        body = {"AuthType": "NONE"}
        return _decode(self._send("POST", f"/2021-10-31/functions/{_segment(name)}/url", body), UrlConfig)

    def get_url(self, name: str) -> UrlConfig:
        """GetFunctionUrlConfig. Raises `ResourceNotFound` when the function has no URL."""
        return _decode(self._send("GET", f"/2021-10-31/functions/{_segment(name)}/url"), UrlConfig)

    def delete_url(self, name: str) -> None:
        """DeleteFunctionUrlConfig."""
        self._send("DELETE", f"/2021-10-31/functions/{_segment(name)}/url")

    def invoke(self, name: str, event: bytes, *, tail: bool = False, timeout_s: float = MAX_TIMEOUT_S) -> Answered:
        """Invoke, and wait for the result. `timeout_s` is the function's own timeout."""
        response = self._invoke(name, event, {"X-Amz-Log-Type": "Tail" if tail else "None"}, timeout_s)
        log = response.headers.get("X-Amz-Log-Result")
        return Answered(
            payload=response.content,
            request_id=response.headers.get("x-amzn-RequestId", ""),
            version=response.headers.get("X-Amz-Executed-Version", ""),
            function_error=response.headers.get("X-Amz-Function-Error"),
            log=base64.b64decode(log).decode(errors="replace") if log else "",
        )

    def invoke_later(self, name: str, event: bytes, qualifier: str | None = None) -> str:
        """Hand in an event for a function to run when it can; its request id, once it is stored."""
        named = name if qualifier is None else f"{name}:{qualifier}"
        response = self._invoke(named, event, {"X-Amz-Invocation-Type": "Event"}, 0.0)
        return str(response.headers.get("x-amzn-RequestId", ""))

    def _invoke(self, name: str, event: bytes, headers: dict[str, str], timeout_s: float) -> httpx.Response:
        request = self._http.build_request(
            "POST",
            f"/2015-03-31/functions/{_segment(name)}/invocations",
            content=event,
            headers={"Content-Type": "application/json", **headers},
            timeout=httpx.Timeout(timeout_s + START_MARGIN_S, connect=CONNECT_TIMEOUT_S),
        )
        with self._reaching():
            response = self._http.send(self._signed(request, event))
        _raise_for_error(response)
        return response

    # What Lambda has no word for

    def status(self) -> Status:
        """What runs, and what this host can do."""
        return _decode(self._send("GET", "/samovar/v1/status"), Status)

    def account(self) -> str:
        """The account that everything here belongs to."""
        return self.status().account

    def healthy(self) -> bool:
        """Whether calls can be served now."""
        with self._reaching():
            return self._http.get("/samovar/v1/health").is_success

    def invoker(self) -> InvokerStatus:
        """What runs functions, and which runtimes it has. Raises `ServiceUnavailable` when it is away."""
        return self.status().running_invoker()

    def environments(self) -> list[EnvironmentView]:
        """Every execution environment there is now."""
        return _decode(self._send("GET", "/samovar/v1/environments"), list[EnvironmentView])

    def logs(self, name: str, *, follow: bool = False, **query: str | int) -> Iterator[LogRecord]:
        """A function's log, oldest line first. With `follow`, new lines as they come, until the caller stops.

        `query`: `since` (epoch ms), `request_id`, `limit` (the last so many lines).
        """
        limits = httpx.Timeout(None if follow else ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        parameters = {**query, "follow": "true" if follow else "false"}
        path = f"/samovar/v1/functions/{_segment(name)}/logs"
        request = self._signed(self._http.build_request("GET", path, params=parameters, timeout=limits), b"")
        with self._reaching(), closing(self._http.send(request, stream=True)) as response:
            if response.is_error:
                response.read()
                _raise_for_error(response)
            for line in response.iter_lines():
                if line:
                    yield msgspec.json.decode(line, type=LogRecord)

    def usage(self, name: str | None = None, **query: str | int | float) -> Usage:
        """Roll-ups of meter readings: of one function, or of all. `query`: `since`, `until` (epoch seconds)."""
        path = f"/samovar/v1/functions/{_segment(name)}/usage" if name else "/samovar/v1/usage"
        return _decode(self._send("GET", path, query=query), Usage)

    def invocation(self, request_id: str) -> Reading:
        """The meter reading of one invocation. Raises `ResourceNotFound`."""
        return _decode(self._send("GET", f"/samovar/v1/invocations/{_segment(request_id)}"), Reading)

    def why(self, request_id: str) -> Explanation:
        """Why one invocation was cold or waited. Raises `ResourceNotFound`."""
        return _decode(self._send("GET", f"/samovar/v1/invocations/{_segment(request_id)}/why"), Explanation)

    def invocations(self, name: str, **query: str | int) -> list[Reading]:
        """The readings of a function's latest invocations, newest first. `query`: `since` (epoch s), `limit`."""
        path = f"/samovar/v1/functions/{_segment(name)}/invocations"
        return _decode(self._send("GET", path, query=query), list[Reading])

    # Access keys

    def create_key(self, role: Role, name: str | None, functions: Sequence[str] = ()) -> NewKey:
        """A new access key, with its secret."""
        body = {"role": role, "name": name, "functions": list(functions)}
        return _decode(self._send("POST", "/samovar/v1/keys", body), NewKey)

    def import_key(self, key: Credentials, role: Role, name: str | None, functions: Sequence[str] = ()) -> NewKey:
        """Let in an access key that exists elsewhere. Raises `ResourceConflict` when there is one of its id."""
        body = {"role": role, "name": name, "functions": list(functions), "key_id": key.key_id, "secret": key.secret}
        return _decode(self._send("POST", "/samovar/v1/keys", body), NewKey)

    def keys(self) -> list[AccessKey]:
        """Every access key, without its secret."""
        return _decode(self._send("GET", "/samovar/v1/keys"), list[AccessKey])

    def revoke_key(self, key_id: str) -> None:
        """Let a key in no more. Raises `ResourceNotFound`."""
        self._send("DELETE", f"/samovar/v1/keys/{_segment(key_id)}")

    # The wire

    def call(self, kind: type[T], method: str, path: str, body: Mapping[str, Any] | None = None) -> T:
        """An operation of Samovar's own API that stands in another module; `path` is quoted already."""
        return _decode(self._send(method, f"/samovar/v1/{path}", body), kind)

    def order(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> None:
        """As `call`, for what answers nothing."""
        self._send(method, f"/samovar/v1/{path}", body)

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
    ) -> bytes:
        content = msgspec.json.encode(body) if body is not None else b""
        headers = {"Content-Length": str(len(content))}
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = self._http.build_request(
            method, path, params=query, headers=headers, content=_chunks(content, progress) if content else None
        )
        with self._reaching():
            response = self._http.send(self._signed(request, content))
        _raise_for_error(response)
        return response.content

    def _signed(self, request: httpx.Request, body: bytes) -> httpx.Request:
        """The request with its signature; as it is where there is no key to sign with."""
        if self._key is not None:
            path, _, query = request.url.raw_path.partition(b"?")
            given = {b"host": request.headers["host"].encode()}
            given |= {
                name.lower(): value for name, value in request.headers.raw if name.lower().startswith(_SIGNED_BESIDE)
            }
            request.headers.update(sign(Signed(request.method, path, query, given), body, self._key, time.time()))
        return request


def _segment(text: str) -> str:
    return quote(text, safe="")


def _chunks(content: bytes, progress: Progress | None) -> Iterator[bytes]:
    for start in range(0, len(content), _CHUNK):
        yield content[start : start + _CHUNK]
        if progress:
            progress(min(start + _CHUNK, len(content)), len(content))


def _decode(content: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise ServiceFailure(f"what answered is no Samovar, or of another version: {error}") from error


class _Fault(msgspec.Struct):
    """AWS's error body; the message comes in either spelling."""

    message: str = ""
    upper: str = msgspec.field(default="", name="Message")
    reason: str | None = msgspec.field(default=None, name="Reason")


def _raise_for_error(response: httpx.Response) -> None:
    if not response.is_error:
        return
    try:
        fault = msgspec.json.decode(response.content, type=_Fault)
    except msgspec.DecodeError:
        fault = _Fault(message=response.text[:500])
    name = response.headers.get("x-amzn-ErrorType", "").split(":")[0]
    kind = by_aws_name(name, response.status_code)
    message = fault.upper or fault.message or f"HTTP {response.status_code} {response.reason_phrase}"
    raise kind(message, retry_after=_seconds(response.headers.get("Retry-After")), reason=fault.reason)


def _seconds(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None  # Retry-After may also be a date; then the wait is left to the caller
